//! The blocks of a trace in the order in which they start, without looking at all of them first.
//!
//! Blocks are claimed in the order of the file, and a thread reads the clock for the base of its
//! block after it has claimed it; a thread that is held up in between starts later than the ones
//! that stand behind it. But it claims no other block before. So of two blocks of one owner, the
//! second was claimed, and with it everything behind it in the file, after the first one's base.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;

use crate::Trace;
use crate::heap::EARLY;
use crate::index::{Block, Blocks};

/// What blocks are ordered by: at equal times by claim.
type Key = (u64, u64, u64);

/// A block that waits for its turn.
struct Waiting(Block);

impl Waiting {
    fn key(&self) -> Key {
        (self.0.base_ticks, self.0.sequence, self.0.index)
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Waiting) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Waiting) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Waiting) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// Blocks in the order in which they start.
pub struct Upcoming<I> {
    blocks: I,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// The base of the newest block of each owner, of those that were looked at.
    bases: FxHashMap<u64, u64>,
    /// No block that was not looked at starts earlier.
    horizon: u64,
}

impl<'a> Upcoming<Blocks<'a>> {
    pub fn of(trace: &'a Trace<'a>) -> Upcoming<Blocks<'a>> {
        let mut upcoming = Upcoming::new(trace.blocks());
        if trace.ring_blocks().is_some() {
            // The newest block of a ring may stand anywhere, and there are only so many.
            while upcoming.look() {}
        }
        upcoming
    }
}

impl<I: Iterator<Item = Block>> Upcoming<I> {
    /// Orders blocks that come in the order of their claims.
    fn new(blocks: I) -> Upcoming<I> {
        let (waiting, bases) = (BinaryHeap::new(), FxHashMap::default());
        Upcoming { blocks, waiting, bases, horizon: 0 }
    }

    /// Looks at one more block, if there is one.
    fn look(&mut self) -> bool {
        let Some(block) = self.blocks.next() else {
            self.horizon = u64::MAX;
            return false;
        };
        if let Some(before) = self.bases.insert(block.owner, block.base_ticks) {
            // The clocks of two processors are not quite the same.
            self.horizon = self.horizon.max(before.saturating_sub(EARLY));
        }
        self.waiting.push(Reverse(Waiting(block)));
        true
    }
}

impl<I: Iterator<Item = Block>> Iterator for Upcoming<I> {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        while self.waiting.peek().is_none_or(|first| first.0.0.base_ticks > self.horizon) {
            if !self.look() {
                break;
            }
        }
        self.waiting.pop().map(|Reverse(Waiting(block))| block)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;

    /// The blocks of threads that claim one, read the clock, fill it and go on: which thread takes
    /// its next step is as the schedule says.
    fn blocks(schedule: &[u8]) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut claimed = [None; 256];
        for (time, &thread) in (1..).zip(schedule) {
            match claimed[usize::from(thread)].take() {
                Some(place) => blocks[place as usize].base_ticks = time * EARLY * 2,
                None => {
                    let sequence = blocks.len() as u64;
                    blocks.push(Block {
                        index: sequence + 1,
                        sequence,
                        parity: 1,
                        base_ticks: 0,
                        base_ns: 0,
                        owner: thread.into(),
                        first_use: true,
                    });
                    claimed[usize::from(thread)] = Some(sequence);
                }
            }
        }
        // A block that was claimed and not opened is none.
        blocks.retain(|block| block.base_ticks != 0);
        blocks
    }

    proptest! {
        #[test]
        fn blocks_come_in_the_order_in_which_they_start(
            schedule in prop::collection::vec(prop_oneof![0u8..3, 0u8..20], 0..400),
        ) {
            let blocks = blocks(&schedule);
            let mut sorted = blocks.clone();
            sorted.sort_unstable_by_key(|block| block.base_ticks);
            let upcoming: Vec<_> = Upcoming::new(blocks.into_iter()).collect();
            prop_assert_eq!(upcoming, sorted);
        }
    }

    #[test]
    fn no_more_blocks_are_looked_at_than_there_are_threads() {
        let schedule: Vec<u8> = (0..2000).map(|step| (step / 2 % 5) as u8).collect();
        let looked_at = Cell::new(0);
        let blocks = blocks(&schedule).into_iter().inspect(|_| looked_at.set(looked_at.get() + 1));
        for (shown, _) in (1..).zip(Upcoming::new(blocks)) {
            assert!(looked_at.get() <= shown + 2 * 5, "{} for {shown}", looked_at.get());
        }
    }
}
