//! The blocks of a trace by start time: a priority queue with a watermark.
//!
//! The file has the blocks in the order of their claims. A thread claims a block and then reads the
//! clock for the block's base, so a thread that is held up in between starts its block later than
//! threads whose blocks follow in the file. The second block of an owner was claimed after the base
//! of the first, and every block after the second in the file was claimed later still: the base of
//! the first is a lower bound for all of them. The watermark is the largest such bound; a waiting
//! block that starts before it is the next one. The queue holds about one block for each owner.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;

use super::live_set::EARLY;
use crate::trace::{Block, Blocks, Trace};

/// Blocks are ordered by start, at equal times by claim.
type Key = (u64, u64, u64);

/// A block in the queue.
struct Waiting(Block);

impl Waiting {
    fn key(&self) -> Key {
        (self.0.start_ticks, self.0.sequence, self.0.index)
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

/// Blocks by start time.
pub struct BlockQueue<I> {
    /// Blocks in the order of their claims.
    blocks: I,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// The start of the last block of each owner that was read.
    bases: FxHashMap<u64, u64>,
    /// No unread block starts earlier.
    watermark: u64,
}

/// The blocks of a trace in the order of their claims.
pub enum InOrder<'a> {
    /// A growing file has them in that order.
    File(Blocks<'a>),
    /// In a ring, that of a slow thread may stand anywhere.
    Ring(std::vec::IntoIter<Block>),
}

impl Iterator for InOrder<'_> {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        match self {
            InOrder::File(blocks) => blocks.next(),
            InOrder::Ring(blocks) => blocks.next(),
        }
    }
}

/// The call moments of a ring that have been overwritten, and the last claim that has any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overwritten {
    pub count: u64,
    pub last: u64,
}

impl<'a> BlockQueue<InOrder<'a>> {
    /// All blocks of a trace, and what is overwritten.
    pub fn of(trace: &'a Trace<'a>) -> (BlockQueue<InOrder<'a>>, Overwritten) {
        let mut blocks = Blocks::of(trace);
        let Some(turn) = trace.ring_blocks() else {
            return (BlockQueue::new(InOrder::File(blocks)), Overwritten::default());
        };
        let mut all: Vec<Block> = blocks.by_ref().collect();
        all.sort_by_key(|block| block.sequence);
        let count =
            all.iter().fold(blocks.overwritten, |sum, it| sum.saturating_add(it.overwritten));
        let last = all.last().map_or(0, |newest| newest.sequence.saturating_sub(turn));
        let queue = BlockQueue::new(InOrder::Ring(all.into_iter()));
        (queue, Overwritten { count, last })
    }
}

impl<I: Iterator<Item = Block>> BlockQueue<I> {
    /// Orders blocks that are given in the order of their claims.
    fn new(blocks: I) -> BlockQueue<I> {
        let (waiting, bases) = (BinaryHeap::new(), FxHashMap::default());
        BlockQueue { blocks, waiting, bases, watermark: 0 }
    }

    /// Reads one more block; `false` if there is none.
    fn read(&mut self) -> bool {
        let Some(mut block) = self.blocks.next() else {
            self.watermark = u64::MAX;
            return false;
        };
        if let Some(&before) = self.bases.get(&block.owner) {
            // Whatever the clock says, the blocks of an owner follow each other as they were claimed.
            block.start_ticks = block.start_ticks.max(before);
            // A processor may have read its clock early.
            self.watermark = self.watermark.max(before.saturating_sub(EARLY));
        }
        self.bases.insert(block.owner, block.start_ticks);
        self.waiting.push(Reverse(Waiting(block)));
        true
    }
}

impl<I: Iterator<Item = Block>> Iterator for BlockQueue<I> {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        while self.waiting.peek().is_none_or(|first| first.0.0.start_ticks > self.watermark) {
            if !self.read() {
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

    /// The blocks of threads that claim a block, read the clock, fill the block and go on. The
    /// schedule names the thread that takes the next step.
    fn blocks(schedule: &[u8]) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut claimed = [None; 256];
        for (time, &thread) in (1..).zip(schedule) {
            match claimed[usize::from(thread)].take() {
                Some(place) => {
                    blocks[place as usize].base_ticks = time * EARLY * 2;
                    blocks[place as usize].start_ticks = time * EARLY * 2;
                }
                None => {
                    let sequence = blocks.len() as u64;
                    blocks.push(Block {
                        index: sequence + 1,
                        sequence,
                        parity: 1,
                        base_ticks: 0,
                        base_ns: 0,
                        shift: 0,
                        start_ticks: 0,
                        overwritten: 0,
                        owner: thread.into(),
                        first_use: true,
                    });
                    claimed[usize::from(thread)] = Some(sequence);
                }
            }
        }
        // A block that was claimed and not opened does not count.
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
            let queue: Vec<_> = BlockQueue::new(blocks.into_iter()).collect();
            prop_assert_eq!(queue, sorted);
        }
    }

    proptest! {
        /// A clock that goes anywhere does not reverse the blocks of an owner.
        #[test]
        fn blocks_of_an_owner_follow_each_other(
            given in prop::collection::vec((0u64..5, any::<u64>()), 0..200),
        ) {
            let block = |(sequence, (owner, base_ticks)): (u64, (u64, u64))| Block {
                index: sequence + 1,
                sequence,
                parity: 1,
                base_ticks,
                base_ns: 0,
                shift: 0,
                start_ticks: base_ticks,
                overwritten: 0,
                owner,
                first_use: true,
            };
            let blocks = (0..).zip(given).map(block).collect::<Vec<_>>();
            let queue: Vec<_> = BlockQueue::new(blocks.iter().copied()).collect();
            prop_assert_eq!(queue.len(), blocks.len());
            for owner in 0..5 {
                let of_owner = queue.iter().filter(|block| block.owner == owner);
                prop_assert!(of_owner.is_sorted_by_key(|block| block.sequence));
            }
        }
    }

    #[test]
    fn no_more_blocks_are_read_than_there_are_threads() {
        let schedule: Vec<u8> = (0..2000).map(|step| (step / 2 % 5) as u8).collect();
        let read = Cell::new(0);
        let blocks = blocks(&schedule).into_iter().inspect(|_| read.set(read.get() + 1));
        for (shown, _) in (1..).zip(BlockQueue::new(blocks)) {
            assert!(read.get() <= shown + 2 * 5, "{} for {shown}", read.get());
        }
    }
}
