//! The moments of all threads by time: a k-way merge of blocks.
//!
//! Each block is a sorted run. A run enters the merge when its start time comes; the run with the
//! smallest time is emitted up to the second smallest.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use mallook_format::ring::BlockCopy;
use rustc_hash::FxHashMap;

use super::block_queue::{BlockQueue, InOrder, Overwritten};
use crate::decode::{self, Batch, Moment, Moments};
use crate::stack::Stacks;
use crate::trace::{Block, Trace};

/// A decoded block.
#[derive(Default)]
struct Run {
    moments: Vec<Moment>,
    position: usize,
    sequence: u64,
}

/// The next time of a run; at equal times runs are ordered by claim.
type Key = (u64, u64);

/// Merges the blocks of one trace.
pub struct Merge<'a> {
    trace: &'a Trace<'a>,
    /// The blocks count the moments that a ring had overwritten before the trace was cut out.
    is_cut: bool,
    queue: BlockQueue<InOrder<'a>>,
    /// The next block of the queue.
    coming: Option<Block>,
    /// The started runs by their next times.
    heap: BinaryHeap<Reverse<(Key, usize)>>,
    runs: Vec<Run>,
    /// Finished runs, to be used again.
    free: Vec<usize>,
    /// The last time of each owner: a clock that went back does not reverse its moments.
    last_ticks: FxHashMap<u64, u64>,
    /// The moments missing before the next block that was claimed later, until they are reported.
    overwritten: Overwritten,
    /// Where stacks are made, if they are wanted.
    stacks: Option<&'a Stacks<'a>>,
}

thread_local! {
    /// The block that is being decoded, once for all traces that are merged.
    static COPY: RefCell<Box<BlockCopy>> = RefCell::new(Box::new(BlockCopy::EMPTY));
}

impl Run {
    fn key(&self) -> Option<Key> {
        self.moments.get(self.position).map(|moment| (moment.ticks, self.sequence))
    }
}

impl<'a> Merge<'a> {
    /// All blocks of a trace; with their stacks, if these are wanted.
    pub fn of(trace: &'a Trace<'a>, stacks: Option<&'a Stacks<'a>>) -> Merge<'a> {
        let (mut queue, overwritten) = BlockQueue::of(trace);
        Merge {
            trace,
            is_cut: trace.cut().is_some(),
            coming: queue.next(),
            queue,
            heap: BinaryHeap::new(),
            runs: Vec::new(),
            free: Vec::new(),
            last_ticks: FxHashMap::default(),
            overwritten,
            stacks,
        }
    }

    /// Starts the runs whose start time has come.
    fn admit(&mut self, batch: &mut Batch) {
        while let Some(block) = self.coming {
            if self.heap.peek().is_some_and(|Reverse(((ticks, _), _))| *ticks < block.start_ticks) {
                break;
            }
            let number = self.free.pop().unwrap_or_else(|| {
                self.runs.push(Run::default());
                self.runs.len() - 1
            });
            let run = &mut self.runs[number];
            (run.position, run.sequence) = (0, block.sequence);
            run.moments.clear();
            let (trace, moments) = (self.trace, &mut run.moments);
            let each = |moment| moments.push(moment);
            let is_there = COPY.with_borrow_mut(|copy| match self.stacks {
                None => decode::moments(trace, &block, copy, each),
                Some(stacks) => decode::moments_with_stacks(trace, &block, copy, stacks, each),
            });
            if !is_there {
                let missing = self.trace.overwritten_since(&block);
                batch.moments.push(Moment::gap(block.start_ticks, self.trace.pid(), missing));
            }
            if self.is_cut && block.overwritten != 0 {
                let count = block.overwritten;
                batch.moments.push(Moment::gap(block.start_ticks, self.trace.pid(), count));
            }
            if self.overwritten.count != 0 && block.sequence > self.overwritten.last {
                let count = std::mem::take(&mut self.overwritten.count);
                batch.moments.push(Moment::gap(block.start_ticks, self.trace.pid(), count));
            }
            if let (Some(first), Some(last)) = (run.moments.first(), run.moments.last()) {
                let (first, last) = (first.ticks, last.ticks);
                let before = self.last_ticks.entry(block.owner).or_default();
                if first < *before {
                    let moments = run.moments.iter_mut();
                    moments.for_each(|moment| moment.ticks = moment.ticks.max(*before));
                }
                *before = last.max(*before);
            }
            self.coming = self.queue.next();
            if self.coming.is_none() {
                // Many traces of one block may be open.
                run.moments.shrink_to_fit();
            }
            match run.key() {
                Some(key) => self.heap.push(Reverse((key, number))),
                None => self.free.push(number),
            }
            // Every moment before the next block lies before its clock sync.
            batch.clock_syncs.extend(self.coming.map(|next| next.clock_sync()));
        }
    }

    /// The second smallest time of all runs.
    fn limit(&self) -> Option<Key> {
        let waiting = self.heap.peek().map(|Reverse((key, _))| *key);
        let coming = self.coming.map(|block| (block.start_ticks, 0));
        waiting.into_iter().chain(coming).min()
    }
}

impl Moments for Merge<'_> {
    fn more(&mut self, batch: &mut Batch) -> bool {
        self.admit(batch);
        let Some(Reverse((_, number))) = self.heap.pop() else { return false };
        let limit = self.limit();
        let run = &mut self.runs[number];
        let rest = &run.moments[run.position..];
        let is_within =
            |moment: &Moment| limit.is_none_or(|limit| (moment.ticks, run.sequence) <= limit);
        // Mostly the whole rest of the run, or a few moments.
        let count = match rest.last() {
            Some(last) if !is_within(last) => {
                rest.iter().take_while(|moment| is_within(moment)).count()
            }
            _ => rest.len(),
        };
        if batch.moments.is_empty() && count == run.moments.len() {
            std::mem::swap(&mut batch.moments, &mut run.moments);
        } else {
            batch.moments.extend_from_slice(&rest[..count]);
            run.position += count;
        }
        match run.key() {
            Some(key) => self.heap.push(Reverse((key, number))),
            None => self.free.push(number),
        }
        true
    }
}
