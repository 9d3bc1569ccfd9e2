//! A block's knowledge of the stacks of its thread, and a stack's addition to it.
//!
//! A block names up to [`MAX_STACK`] stacks by numbers that go round. Stacks are told apart by a
//! hash of 64 bits: two different ones among the 127 of a block take each other's place once in about
//! 2^50 blocks.

use core::sync::atomic::{Ordering, compiler_fence};

use mallook_format::{
    MAX_KEEP, MAX_STACK, MORE_SITES, SLOT_SIZE, STACK_SITES, Slot, StackSlot, stack_more,
};
use mallook_unwind::Site;

use crate::record::thread_buffer::{Segment, slot_at};

/// Buckets of the table from hashes to numbers.
const BUCKETS: usize = 512;

/// The state of one thread. All zero: of no block.
#[repr(C)]
pub struct Encoder {
    /// The part of a block that it is about.
    segment: Segment,
    /// Outer frames of the thread's last stack that the last one of the block has as well.
    same: usize,
    /// Frames of the last stack of the block.
    depth: usize,
    /// The number that was given last.
    last: u8,
    /// The number of the last stack of the block; 0 for none, which has no frames.
    current: u8,
    /// The number of a stack, by its hash; a hint.
    by_hash: [u8; BUCKETS],
    /// The hash of the stack with each number, 0 for none.
    numbers: [u64; MAX_STACK as usize + 1],
    /// The hash of the thread's last stack.
    hash: u64,
}

/// How a stack stands in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coded {
    /// It has this number.
    Known(u8),
    /// It gets this number, and shares this many outer frames with the last one.
    New { number: u8, keep: usize },
}

impl Coded {
    /// Its number.
    pub fn number(self) -> u8 {
        match self {
            Coded::Known(number) | Coded::New { number, .. } => number,
        }
    }

    /// Number of slots that define it, if it has this many frames.
    pub fn slots(self, depth: usize) -> usize {
        match self {
            Coded::Known(_) => 0,
            Coded::New { keep, .. } => {
                1 + depth.saturating_sub(keep + STACK_SITES).div_ceil(MORE_SITES)
            }
        }
    }

    /// Writes those slots, from this address on, with these parity bits; returns the address after them.
    pub fn write(self, sites: &[Site], cursor: usize, parity_bits: u64) -> usize {
        let Coded::New { number, keep } = self else { return cursor };
        let new = sites.get(keep..).unwrap_or_default();
        let more = self.slots(sites.len()) - 1;
        let (outer, inner) = new.split_at(new.len().min(more * MORE_SITES));
        let mut address = cursor;
        let mut put = |slot: Slot| {
            slot_at(address).commit(slot.word0 | parity_bits, slot.word1);
            address += SLOT_SIZE;
        };
        for piece in outer.chunks(MORE_SITES) {
            put(stack_more(&padded(piece)));
        }
        put(StackSlot { number, keep: keep as u16, sites: padded(inner) }.slot());
        address
    }
}

/// The sites, with none behind the last.
fn padded<const COUNT: usize>(sites: &[Site]) -> [mallook_format::Site; COUNT] {
    let mut padded = [mallook_format::Site::NONE; COUNT];
    padded.iter_mut().zip(sites).for_each(|(into, site)| into.0 = site.0);
    padded
}

impl Encoder {
    /// Takes notice of the thread's last stack, which has `kept` outer frames of the one before: no more
    /// than it has frames.
    #[inline(always)]
    pub fn see(&mut self, hash: u64, kept: usize) {
        self.hash = hash;
        self.same = self.same.min(kept);
    }

    /// Whether the thread's last stack has this hash.
    #[inline(always)]
    pub fn is_last(&self, hash: u64) -> bool {
        self.hash == hash
    }

    /// The number of the thread's last stack in a block, if it is that of the block as well.
    #[inline(always)]
    pub fn current(&self, segment: Segment, depth: usize) -> Option<u8> {
        let stands = self.same == depth && self.depth == depth && self.segment == segment;
        stands.then_some(self.current)
    }

    /// How the thread's last stack stands in a block.
    #[inline]
    pub fn code(&mut self, segment: Segment) -> Coded {
        if self.segment != segment {
            self.begin(segment);
        }
        let hash = self.hash;
        let number = self.by_hash[hash as usize % BUCKETS];
        if self.numbers.get(usize::from(number)) == Some(&hash) {
            return Coded::Known(number);
        }
        Coded::New { number: self.last % MAX_STACK + 1, keep: self.same.min(MAX_KEEP) }
    }

    /// The block has the stack of this depth, as it was coded.
    #[inline]
    pub fn confirm(&mut self, coded: Coded, depth: usize) {
        self.same = depth;
        self.depth = depth;
        self.current = coded.number();
        if let Coded::New { number, .. } = coded {
            let hash = self.hash;
            self.last = number;
            self.by_hash[hash as usize % BUCKETS] = number;
            if let Some(place) = self.numbers.get_mut(usize::from(number)) {
                *place = hash;
            }
        }
    }

    /// Begins a block, or one with a new owner.
    #[cold]
    fn begin(&mut self, segment: Segment) {
        self.same = 0;
        self.depth = 0;
        self.last = 0;
        self.current = 0;
        self.numbers.fill(0);
        // A handler may interrupt this and leave by `longjmp`: then it is begun again.
        compiler_fence(Ordering::SeqCst);
        self.segment = segment;
    }
}

#[cfg(test)]
mod tests {
    use mallook_unwind::hash_of;

    use super::*;

    fn encoder() -> Box<Encoder> {
        // SAFETY: all zero is a value.
        unsafe { Box::new_zeroed().assume_init() }
    }

    fn sites(numbers: &[u32]) -> Vec<Site> {
        numbers.iter().map(|&number| Site(number)).collect()
    }

    /// Codes and confirms a stack.
    fn put(encoder: &mut Encoder, segment: Segment, stack: &[Site], kept: usize) -> Coded {
        encoder.see(hash_of(stack), kept);
        let coded = encoder.code(segment);
        encoder.confirm(coded, stack.len());
        coded
    }

    const FIRST: Segment = Segment { block: 1 << 14, base: 5, owner: 7 };
    const SECOND: Segment = Segment { base: 6, ..FIRST };

    #[test]
    fn a_stack_is_defined_once_in_a_block() {
        let encoder = &mut *encoder();
        let (one, two) = (sites(&[20, 21, 22]), sites(&[20, 21, 23, 24]));
        assert_eq!(put(encoder, FIRST, &one, 0), Coded::New { number: 1, keep: 0 });
        assert_eq!(put(encoder, FIRST, &one, 3), Coded::Known(1));
        assert_eq!(put(encoder, FIRST, &two, 2), Coded::New { number: 2, keep: 2 });
        assert_eq!(put(encoder, FIRST, &one, 2), Coded::Known(1));
        assert_eq!(put(encoder, SECOND, &two, 2), Coded::New { number: 1, keep: 0 });
    }

    #[test]
    fn the_last_stack_again() {
        let encoder = &mut *encoder();
        let (long, short) = (sites(&[20, 21, 22]), sites(&[20, 21]));
        put(encoder, FIRST, &long, 0);
        encoder.see(hash_of(&long), 3);
        assert_eq!(encoder.current(FIRST, 3), Some(1));
        assert_eq!(encoder.current(SECOND, 3), None);
        // All of it is the outer part of the last one.
        encoder.see(hash_of(&short), 2);
        assert_eq!(encoder.current(FIRST, 2), None);
        // Captured, and lost.
        encoder.see(hash_of(&long), 2);
        assert_eq!(encoder.current(FIRST, 3), None);
    }

    #[test]
    fn what_was_not_recorded_is_not_kept() {
        let encoder = &mut *encoder();
        put(encoder, FIRST, &sites(&[20, 21, 22]), 0);
        // Captured, and lost.
        encoder.see(hash_of(&sites(&[20, 30])), 1);
        let again = put(encoder, FIRST, &sites(&[20, 30, 31]), 2);
        assert_eq!(again, Coded::New { number: 2, keep: 1 });
    }

    #[test]
    fn numbers_go_round() {
        let encoder = &mut *encoder();
        for round in 0..3 {
            for number in 1..=u32::from(MAX_STACK) {
                let coded = put(encoder, FIRST, &sites(&[1000 * round + number + 16]), 0);
                assert_eq!(coded, Coded::New { number: number as u8, keep: 0 });
            }
        }
        assert_eq!(put(encoder, FIRST, &sites(&[17]), 0), Coded::New { number: 1, keep: 0 });
    }

    #[test]
    fn what_is_kept_fits_its_field() {
        let encoder = &mut *encoder();
        let deep: Vec<_> = (16..16 + MAX_KEEP as u32 + 1).map(Site).collect();
        put(encoder, FIRST, &deep, 0);
        // Of a stack that is no longer known, all frames are those of the last one.
        encoder.numbers.fill(0);
        let again = put(encoder, FIRST, &deep, deep.len());
        assert_eq!(again, Coded::New { number: 2, keep: MAX_KEEP });
    }

    #[test]
    fn slots_are_counted() {
        let new = Coded::New { number: 1, keep: 3 };
        for (depth, slots) in [(3, 1), (8, 1), (9, 2), (14, 2), (15, 3), (2048, 341)] {
            assert_eq!(new.slots(depth), slots, "{depth}");
        }
        assert_eq!(Coded::Known(1).slots(2047), 0);
    }
}
