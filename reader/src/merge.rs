//! The moments of all threads in one order.
//!
//! Each block is a run in order of time; blocks enter the merge when their time comes, and the run
//! with the smallest time is emitted until it passes the second smallest.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use mallook_format::ring::BlockCopy;

use crate::Trace;
use crate::decode::{self, Batch, Moment, Moments};
use crate::index::{Block, Blocks};
use crate::upcoming::Upcoming;

/// A block whose time has come.
#[derive(Default)]
struct Run {
    moments: Vec<Moment>,
    position: usize,
    sequence: u64,
}

/// When a run goes on; at equal times by claim.
type Key = (u64, u64);

/// Merges the blocks of one trace.
pub struct Merge<'a> {
    trace: &'a Trace<'a>,
    upcoming: Upcoming<Blocks<'a>>,
    /// The block that comes next.
    coming: Option<Block>,
    heap: BinaryHeap<Reverse<(Key, usize)>>,
    runs: Vec<Run>,
    free: Vec<usize>,
    copy: Box<BlockCopy>,
}

impl Run {
    fn key(&self) -> Option<Key> {
        self.moments.get(self.position).map(|moment| (moment.ticks, self.sequence))
    }
}

impl<'a> Merge<'a> {
    pub fn new(trace: &'a Trace<'a>) -> Merge<'a> {
        let mut upcoming = Upcoming::of(trace);
        Merge {
            trace,
            coming: upcoming.next(),
            upcoming,
            heap: BinaryHeap::new(),
            runs: Vec::new(),
            free: Vec::new(),
            copy: Box::new(BlockCopy::EMPTY),
        }
    }

    /// Starts the runs whose time has come.
    fn admit(&mut self, batch: &mut Batch) {
        while let Some(block) = self.coming {
            if self.heap.peek().is_some_and(|Reverse(((ticks, _), _))| *ticks < block.base_ticks) {
                break;
            }
            let slot = self.free.pop().unwrap_or_else(|| {
                self.runs.push(Run::default());
                self.runs.len() - 1
            });
            let run = &mut self.runs[slot];
            (run.position, run.sequence) = (0, block.sequence);
            run.moments.clear();
            let moments = &mut run.moments;
            decode::moments(self.trace, &block, &mut self.copy, |moment| moments.push(moment));
            match run.key() {
                Some(key) => self.heap.push(Reverse((key, slot))),
                None => self.free.push(slot),
            }
            self.coming = self.upcoming.next();
            // The tie at the end of what may be emitted now.
            if let Some(next) = &self.coming {
                batch.ties.push((next.base_ticks, next.base_ns));
            }
        }
    }

    /// Where the second smallest run goes on.
    fn limit(&self) -> Option<Key> {
        let waiting = self.heap.peek().map(|Reverse((key, _))| *key);
        let coming = self.coming.map(|block| (block.base_ticks, 0));
        waiting.into_iter().chain(coming).min()
    }
}

impl Moments for Merge<'_> {
    fn more(&mut self, batch: &mut Batch) -> bool {
        self.admit(batch);
        let Some(Reverse((_, slot))) = self.heap.pop() else { return false };
        let limit = self.limit();
        let run = &mut self.runs[slot];
        let rest = &run.moments[run.position..];
        let goes_on =
            |moment: &Moment| limit.is_none_or(|limit| (moment.ticks, run.sequence) <= limit);
        // Mostly all of it, or a few.
        let count = match rest.last() {
            Some(last) if !goes_on(last) => {
                rest.iter().take_while(|moment| goes_on(moment)).count()
            }
            _ => rest.len(),
        };
        batch.moments.extend_from_slice(&rest[..count]);
        run.position += count;
        match run.key() {
            Some(key) => self.heap.push(Reverse((key, slot))),
            None => self.free.push(slot),
        }
        true
    }
}
