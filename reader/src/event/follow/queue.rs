//! Moments that were read from a growing trace and not emitted yet.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::decode::{Batch, Moment, Moments};
use crate::trace::ClockSync;

/// Moments that are handed on at a time.
const MOMENTS: usize = 4096;

/// Moments by time: a k-way merge of sorted pieces, each of one reading.
#[derive(Default)]
pub struct Queue {
    pieces: Vec<Piece>,
    /// Pieces that are empty, to be used again.
    free: Vec<usize>,
    /// The next moment of each piece.
    heap: BinaryHeap<Reverse<(Key, usize)>>,
    /// Number of the next piece.
    number: u64,
    clock_syncs: Vec<ClockSync>,
    /// Moments later than this wait: earlier ones may still be read.
    until: u64,
    /// The file has further moments.
    goes_on: bool,
}

/// The time of a moment, and the number of its piece.
type Key = (u64, u64);

/// The moments of one reading.
#[derive(Default)]
struct Piece {
    moments: Vec<Moment>,
    position: usize,
    number: u64,
}

impl Piece {
    fn rest(&self) -> &[Moment] {
        self.moments.get(self.position..).unwrap_or_default()
    }
}

impl Queue {
    /// Adds moments that were read, in any order, and clock syncs; at equal times those that wait
    /// come first.
    pub fn add(&mut self, mut seen: Vec<Moment>, clock_syncs: &mut Vec<ClockSync>) {
        if !clock_syncs.is_empty() {
            self.clock_syncs.append(clock_syncs);
            self.clock_syncs.sort_unstable();
        }
        seen.sort_by_key(|moment| moment.ticks);
        // What waits may wait for long.
        seen.shrink_to_fit();
        let Some(first) = seen.first().map(|first| first.ticks) else { return };
        let piece = Piece { moments: seen, position: 0, number: self.number };
        self.number += 1;
        let key = (first, piece.number);
        let place = match self.free.pop() {
            Some(place) => {
                self.pieces[place] = piece;
                place
            }
            None => {
                self.pieces.push(piece);
                self.pieces.len() - 1
            }
        };
        self.heap.push(Reverse((key, place)));
    }

    /// No moment up to this time will be added any more; `goes_on`: there are further ones in the
    /// file.
    pub fn release(&mut self, until: u64, goes_on: bool) {
        self.goes_on = goes_on;
        self.until = match goes_on {
            // Times lie between two clock syncs that follow each other: none of those that will be
            // read is earlier than `until`.
            true => {
                let known = self.clock_syncs.partition_point(|sync| sync.ticks <= until);
                let last = known.checked_sub(1).and_then(|last| self.clock_syncs.get(last));
                last.map_or(self.until, |last| self.until.max(last.ticks.saturating_sub(1)))
            }
            false => until,
        };
    }

    /// Hands on the first moments, of one piece; `false` if none may be.
    fn hand_on(&mut self, moments: &mut Vec<Moment>) -> bool {
        let until = self.until;
        let is_ready = |Reverse(((ticks, _), _)): &Reverse<(Key, usize)>| *ticks <= until;
        if !self.heap.peek().is_some_and(is_ready) {
            return false;
        }
        let Some(Reverse((_, place))) = self.heap.pop() else { return false };
        let limit = self.heap.peek().map_or((u64::MAX, u64::MAX), |Reverse((key, _))| *key);
        let piece = &mut self.pieces[place];
        let is_first =
            |moment: &&Moment| moment.ticks <= until && (moment.ticks, piece.number) <= limit;
        let count = piece.rest().iter().take(MOMENTS).take_while(is_first).count();
        moments.extend_from_slice(&piece.rest()[..count]);
        piece.position += count;
        match piece.rest().first() {
            Some(next) => self.heap.push(Reverse(((next.ticks, piece.number), place))),
            None => {
                *piece = Piece::default();
                self.free.push(place);
            }
        }
        true
    }
}

impl Moments for Queue {
    fn more(&mut self, batch: &mut Batch) -> bool {
        let known = self
            .clock_syncs
            .partition_point(|sync| !self.goes_on || sync.ticks <= self.until.saturating_add(1));
        batch.clock_syncs.extend(self.clock_syncs.drain(..known));
        let end = batch.moments.len() + MOMENTS;
        let mut any = false;
        while batch.moments.len() < end && self.hand_on(&mut batch.moments) {
            any = true;
        }
        any
    }

    fn goes_on(&self) -> bool {
        self.goes_on
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn moments_come_by_time_each_once(
            pieces in prop::collection::vec(prop::collection::vec(0u64..100, 0..20), 0..10),
        ) {
            let mut queue = Queue::default();
            let mut batch = Batch::default();
            let mut all = Vec::new();
            // Each piece is no earlier than what was released before it.
            for (from, piece) in (0..).step_by(50).zip(pieces) {
                let seen: Vec<_> = piece.iter().map(|ticks| Moment::gap(from + ticks, 0, 0)).collect();
                all.extend(seen.iter().map(|moment| moment.ticks));
                let mut syncs = vec![ClockSync { ticks: from + 30, ns: from }];
                queue.add(seen, &mut syncs);
                queue.release(from + 49, true);
                while queue.more(&mut batch) {}
            }
            queue.release(u64::MAX, false);
            while queue.more(&mut batch) {}
            all.sort_unstable();
            let found: Vec<_> = batch.moments.iter().map(|moment| moment.ticks).collect();
            prop_assert_eq!(found, all);
        }
    }
}
