//! The moments of all threads in one order.
//!
//! Each block is a run in order of time; blocks enter the merge when their time comes, and the run
//! with the smallest time is emitted until it passes the second smallest.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use mallook_format::ring::BlockCopy;

use crate::Trace;
use crate::decode::{self, Moment};
use crate::trace::Block;

/// How far ahead the release that a birth has overtaken is looked for, in moments of a thread.
const LOOK_AHEAD: usize = 256;

/// Where events come from, in order of time.
pub trait Moments {
    /// The next moment.
    fn peek(&mut self) -> Option<Moment>;
    /// Goes on to the one after it.
    fn advance(&mut self);
    /// Puts the next moment off behind the death of `address` in another thread, if there is one
    /// soon enough.
    fn put_off(&mut self, address: u64) -> bool;
}

/// A block whose time has come.
struct Run {
    moments: Vec<Moment>,
    position: usize,
    /// No moment of this run happened before; set when one is put off.
    floor: u64,
    sequence: u64,
}

/// When a run goes on. Equal times: a moment that was put off comes last, then by claim.
type Key = (u64, bool, u64);

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
    fn head(&self) -> Option<Moment> {
        let moment = *self.moments.get(self.position)?;
        Some(Moment { ticks: moment.ticks.max(self.floor), ..moment })
    }

    fn key(&self) -> Option<Key> {
        let moment = self.moments.get(self.position)?;
        Some((moment.ticks.max(self.floor), moment.ticks < self.floor, self.sequence))
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
            if self.heap.peek().is_some_and(|Reverse(((ticks, ..), _))| *ticks < block.base_ticks) {
                break;
            }
            let slot = self.free.pop().unwrap_or_else(|| {
                let sequence = 0;
                self.runs.push(Run { moments: Vec::new(), position: 0, floor: 0, sequence });
                self.runs.len() - 1
            });
            let run = &mut self.runs[slot];
            run.moments.clear();
            decode::moments(self.trace, block, &mut self.copy, &mut run.moments);
            *run = Run {
                moments: std::mem::take(&mut run.moments),
                position: 0,
                floor: 0,
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
        let last = (u64::MAX, true, u64::MAX);
        let waiting = self.heap.peek().map_or(last, |Reverse((key, _))| *key);
        let coming = self.blocks.clone().peek().map_or(last, |block| (block.base_ticks, false, 0));
        waiting.min(coming)
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
                Some(key) if key <= limit => return self.runs[slot].head(),
                _ => self.yield_turn(),
            }
        }
        self.admit();
        let Reverse((_, slot)) = self.heap.pop()?;
        self.current = Some((slot, self.limit()));
        self.runs[slot].head()
    }

    fn advance(&mut self) {
        if let Some((slot, _)) = self.current {
            self.runs[slot].position += 1;
        }
    }

    fn put_off(&mut self, address: u64) -> bool {
        let Some((slot, _)) = self.current else { return false };
        let Some(head) = self.runs[slot].head() else { return false };
        let waiting = self.heap.iter().map(|Reverse((_, other))| &self.runs[*other]);
        let death = waiting
            .flat_map(|run| run.moments.iter().skip(run.position).take(LOOK_AHEAD))
            .filter(|m| m.kind.is_death() && m.address == address && m.tid != head.tid)
            .map(|death| death.ticks)
            .min();
        let Some(ticks) = death.filter(|&ticks| ticks >= head.ticks) else { return false };
        // Never twice to the same time: then the death there was not the one.
        if self.runs[slot].floor > ticks || (self.runs[slot].floor == ticks && ticks > 0) {
            return false;
        }
        self.runs[slot].floor = ticks;
        self.yield_turn();
        true
    }
}
