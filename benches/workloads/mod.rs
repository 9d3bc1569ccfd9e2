//! Workloads of an allocator: the same for the benches in one process and for `churn`.

mod growth;
mod order;
mod pairs;
mod random;
mod sizes;

pub use growth::Growth;
pub use order::{Order, Retained};
pub use pairs::{Pairs, Zeroed};
pub use random::Random;
pub use sizes::{SIZES, TABLE, size};

use crate::heap::Heap;

/// Something to do with an allocator, again and again. Memory that is needed for it is taken when
/// it is made; a round leaves no block behind.
pub trait Workload: Send {
    /// A few words.
    fn name(&self) -> &'static str;

    /// One round. Makes [`Workload::moments`] moments of a trace.
    fn round(&mut self, heap: &Heap);

    /// How many moments a round makes.
    fn moments(&self) -> u64;
}

/// Makes a workload whose round has about this number of pairs of a birth and a death.
pub type Make = fn(u64) -> Box<dyn Workload>;

/// Every workload by the name that `churn` knows it by.
pub const ALL: [(&str, Make); 6] = [
    ("pairs", |pairs| Box::new(Pairs::of_64_bytes(pairs))),
    ("mixed", |pairs| Box::new(Pairs::of_mixed_sizes(pairs))),
    ("calloc", |pairs| Box::new(Zeroed::new(pairs))),
    ("growth", |pairs| Box::new(Growth::new(pairs))),
    ("lifo", |pairs| Box::new(Retained::new(pairs, Order::Lifo))),
    ("random", |pairs| Box::new(Retained::new(pairs, Order::Random))),
];

/// The workload with this name.
pub fn named(name: &str, pairs: u64) -> Option<Box<dyn Workload>> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, make)| make(pairs))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::heap::Block;

    thread_local!(static MOMENTS: Cell<u64> = const { Cell::new(0) });

    fn count(moments: u64) {
        MOMENTS.set(MOMENTS.get() + moments);
    }

    unsafe extern "C" fn malloc(size: usize) -> Block {
        count(1);
        // SAFETY: any size may be asked for.
        unsafe { libc::malloc(size) }
    }
    unsafe extern "C" fn calloc(number: usize, size: usize) -> Block {
        count(1);
        // SAFETY: any size may be asked for.
        unsafe { libc::calloc(number, size) }
    }
    unsafe extern "C" fn realloc(block: Block, size: usize) -> Block {
        count(if block.is_null() { 1 } else { 2 });
        // SAFETY: by contract.
        unsafe { libc::realloc(block, size) }
    }
    unsafe extern "C" fn free(block: Block) {
        count(1);
        // SAFETY: by contract.
        unsafe { libc::free(block) }
    }

    #[test]
    fn every_workload_knows_what_it_does() {
        let heap = Heap { malloc, calloc, realloc, free };
        for (name, make) in ALL {
            let mut workload = make(5_000);
            MOMENTS.set(0);
            workload.round(&heap);
            workload.round(&heap);
            assert_eq!(MOMENTS.get(), 2 * workload.moments(), "{name}");
            assert!((5_000..=20_000).contains(&workload.moments()), "{name}");
        }
    }
}
