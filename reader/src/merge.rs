//! The moments of all threads in one order.
//!
//! Each block is a run in order of time; blocks enter the merge when their time comes, and the run
//! with the smallest time is emitted until it passes the second smallest.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use mallook_format::ring::BlockCopy;

use crate::Trace;
use crate::decode::{self, Moment};
use crate::settle::Moments;
use crate::trace::Block;

/// A block whose time has come.
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
    blocks: std::iter::Peekable<std::slice::Iter<'a, Block>>,
    heap: BinaryHeap<Reverse<(Key, usize)>>,
    runs: Vec<Run>,
    free: Vec<usize>,
    /// The run that is being emitted, and up to when.
    current: Option<(usize, Key)>,
    copy: Box<BlockCopy>,
}

impl Run {
    fn key(&self) -> Option<Key> {
        self.moments.get(self.position).map(|moment| (moment.ticks, self.sequence))
    }
}

impl<'a> Merge<'a> {
    pub fn new(trace: &'a Trace<'a>) -> Merge<'a> {
        Merge {
            trace,
            blocks: trace.blocks().iter().peekable(),
            heap: BinaryHeap::new(),
            runs: Vec::new(),
            free: Vec::new(),
            current: None,
            copy: Box::new(BlockCopy::EMPTY),
        }
    }

    /// Starts the runs whose time has come.
    fn admit(&mut self) {
        while let Some(block) = self.blocks.peek() {
            if self.heap.peek().is_some_and(|Reverse(((ticks, _), _))| *ticks < block.base_ticks) {
                break;
            }
            let slot = self.free.pop().unwrap_or_else(|| {
                let sequence = 0;
                self.runs.push(Run { moments: Vec::new(), position: 0, sequence });
                self.runs.len() - 1
            });
            let run = &mut self.runs[slot];
            run.moments.clear();
            let moments = &mut run.moments;
            decode::moments(self.trace, block, &mut self.copy, |moment, _| moments.push(moment));
            *run = Run {
                moments: std::mem::take(&mut run.moments),
                position: 0,
                sequence: block.sequence,
            };
            match run.key() {
                Some(key) => self.heap.push(Reverse((key, slot))),
                None => self.free.push(slot),
            }
            self.blocks.next();
        }
    }

    /// The key up to which the run may be emitted: that of the second smallest.
    fn limit(&self) -> Key {
        let last = (u64::MAX, u64::MAX);
        let waiting = self.heap.peek().map_or(last, |Reverse((key, _))| *key);
        let coming = self.blocks.clone().peek().map_or(last, |block| (block.base_ticks, 0));
        waiting.min(coming)
    }

    fn head(&self, slot: usize) -> Option<Moment> {
        let run = self.runs.get(slot)?;
        run.moments.get(run.position).copied()
    }

    /// Ends the turn of the current run.
    fn yield_turn(&mut self) {
        if let Some((slot, _)) = self.current.take() {
            match self.runs[slot].key() {
                Some(key) => self.heap.push(Reverse((key, slot))),
                None => self.free.push(slot),
            }
        }
    }
}

impl Moments for Merge<'_> {
    fn peek(&mut self) -> Option<Moment> {
        if let Some((slot, limit)) = self.current {
            match self.runs[slot].key() {
                Some(key) if key <= limit => return self.head(slot),
                _ => self.yield_turn(),
            }
        }
        self.admit();
        let Reverse((_, slot)) = self.heap.pop()?;
        self.current = Some((slot, self.limit()));
        self.head(slot)
    }

    fn advance(&mut self) {
        if let Some((slot, _)) = self.current {
            self.runs[slot].position += 1;
        }
    }
}
