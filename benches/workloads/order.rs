//! Many blocks that live at once.

use super::{Random, Workload, size};
use crate::heap::{Block, Heap};

/// Blocks that live at once.
const LIVE: usize = 1000;
/// The sizes of the table, scaled down to what a thread's cache keeps: 16 bytes to 1 KiB.
const SCALE: u32 = 6;

/// In what order blocks die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The newest first.
    Lifo,
    /// In a fixed order that looks like none.
    Random,
}

/// A thousand births, then a thousand deaths.
#[derive(Debug)]
pub struct Retained {
    blocks: Box<[Block; LIVE]>,
    deaths: Box<[usize; LIVE]>,
    order: Order,
    repeats: u64,
}

// SAFETY: between rounds nothing lives behind the pointers, and a round runs on one thread.
unsafe impl Send for Retained {}

/// Which block dies when.
fn deaths(order: Order) -> [usize; LIVE] {
    let mut deaths = core::array::from_fn(|number| LIVE - 1 - number);
    if order == Order::Random {
        let mut random = Random::default();
        for rest in (2..=LIVE).rev() {
            deaths.swap(rest - 1, random.below(rest as u64) as usize);
        }
    }
    deaths
}

impl Retained {
    /// Repeats that make about this number of pairs.
    pub fn new(pairs: u64, order: Order) -> Retained {
        Retained {
            blocks: Box::new([core::ptr::null_mut(); LIVE]),
            deaths: Box::new(deaths(order)),
            order,
            repeats: pairs.div_ceil(LIVE as u64),
        }
    }
}

impl Workload for Retained {
    fn name(&self) -> &'static str {
        match self.order {
            Order::Lifo => "1000 live, freed newest first",
            Order::Random => "1000 live, freed at random",
        }
    }

    #[inline(never)]
    fn round(&mut self, heap: &Heap) {
        let Heap { malloc, free, .. } = *heap;
        for _ in 0..self.repeats {
            for (number, block) in self.blocks.iter_mut().enumerate() {
                // SAFETY: any size may be asked for.
                *block = unsafe { malloc(16 + (size(number) >> SCALE)) };
            }
            for &death in &self.deaths[..] {
                // SAFETY: the order names each block once.
                unsafe { free(self.blocks[death]) };
            }
        }
    }

    fn moments(&self) -> u64 {
        self.repeats * 2 * LIVE as u64
    }
}
