//! The least that recording an event can cost: reading the clock, and storing 16 bytes.

use core::hint::black_box;

use mallook_format::{BLOCK_SIZE, SLOT_SIZE, Slot};

use crate::clock::ticks;

const SLOTS: usize = BLOCK_SIZE / SLOT_SIZE;

/// A buffer of the size of a block, which stays in the cache.
#[derive(Debug)]
pub struct Floor(Box<[Slot; SLOTS]>);

impl Default for Floor {
    fn default() -> Floor {
        Floor(Box::new([Slot { word0: 1, word1: 0 }; SLOTS]))
    }
}

impl Floor {
    /// This number of events.
    #[inline(never)]
    pub fn events(&mut self, count: u64) {
        let buffer = black_box(&mut *self.0);
        for event in 0..count {
            let slot = &mut buffer[event as usize % SLOTS];
            // SAFETY: a slot of the buffer; volatile, so that each event is stored.
            unsafe { core::ptr::write_volatile(slot, Slot { word0: event, word1: ticks() }) };
        }
    }
}
