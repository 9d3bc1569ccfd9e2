//! A birth, and its death at once.

use super::{Workload, size};
use crate::heap::Heap;

/// `malloc` and `free`.
#[derive(Debug)]
pub struct Pairs {
    name: &'static str,
    count: u64,
    /// `None`: sizes from the table.
    size: Option<usize>,
}

impl Pairs {
    /// Pairs of 64 bytes.
    pub fn of_64_bytes(count: u64) -> Pairs {
        Pairs { name: "malloc(64), free", count, size: Some(64) }
    }

    /// Pairs of 16 bytes to 64 KiB.
    pub fn of_mixed_sizes(count: u64) -> Pairs {
        Pairs { name: "malloc(16 to 64 Ki), free", count, size: None }
    }
}

/// Calls the two functions `count` times.
#[inline(always)]
fn pairs(heap: &Heap, count: u64, size: impl Fn(usize) -> usize) {
    let Heap { malloc, free, .. } = *heap;
    for number in 0..count as usize {
        // SAFETY: any size may be asked for.
        let block = unsafe { malloc(size(number)) };
        // SAFETY: a block of this heap, or null.
        unsafe { free(block) };
    }
}

impl Workload for Pairs {
    fn name(&self) -> &'static str {
        self.name
    }

    #[inline(never)]
    fn round(&mut self, heap: &Heap) {
        match self.size {
            Some(fixed) => pairs(heap, self.count, |_| fixed),
            None => pairs(heap, self.count, size),
        }
    }

    fn moments(&self) -> u64 {
        self.count * 2
    }
}

/// `calloc` and `free`.
#[derive(Debug)]
pub struct Zeroed(u64);

impl Zeroed {
    /// This number of pairs.
    pub fn new(count: u64) -> Zeroed {
        Zeroed(count)
    }
}

impl Workload for Zeroed {
    fn name(&self) -> &'static str {
        "calloc(4, 64), free"
    }

    #[inline(never)]
    fn round(&mut self, heap: &Heap) {
        let Heap { calloc, free, .. } = *heap;
        for _ in 0..self.0 {
            // SAFETY: any size may be asked for.
            let block = unsafe { calloc(4, 64) };
            // SAFETY: a block of this heap, or null.
            unsafe { free(block) };
        }
    }

    fn moments(&self) -> u64 {
        self.0 * 2
    }
}
