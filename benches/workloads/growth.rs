//! Blocks that grow, like the buffer of a string or a list.

use super::Workload;
use crate::heap::{Block, Heap};

const LEAST: usize = 16;
const MOST: usize = 64 << 10;
/// Moments of one block: its birth, two for each doubling, its death.
const MOMENTS: u64 = 2 + 2 * (MOST / LEAST).ilog2() as u64;

/// `realloc` from nothing to 64 KiB by doublings, and `free`.
#[derive(Debug)]
pub struct Growth(u64);

impl Growth {
    /// Blocks that make about this number of pairs.
    pub fn new(pairs: u64) -> Growth {
        Growth((pairs * 2).div_ceil(MOMENTS))
    }
}

impl Workload for Growth {
    fn name(&self) -> &'static str {
        "realloc(16 to 64 Ki), free"
    }

    #[inline(never)]
    fn round(&mut self, heap: &Heap) {
        let Heap { realloc, free, .. } = *heap;
        for _ in 0..self.0 {
            let mut block: Block = core::ptr::null_mut();
            let mut size = LEAST;
            while size <= MOST {
                // SAFETY: null or a block of this heap. It is not null after the first time, unless
                // the machine has no 64 KiB left.
                block = unsafe { realloc(block, size) };
                size *= 2;
            }
            // SAFETY: as above.
            unsafe { free(block) };
        }
    }

    fn moments(&self) -> u64 {
        self.0 * MOMENTS
    }
}
