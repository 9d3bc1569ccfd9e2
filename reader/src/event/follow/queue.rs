//! Moments that were read from a growing trace and not emitted yet.

use std::collections::VecDeque;

use crate::decode::{Batch, Moment, Moments};
use crate::trace::ClockSync;

/// Moments by time.
#[derive(Default)]
pub struct Queue {
    moments: VecDeque<Moment>,
    clock_syncs: Vec<ClockSync>,
    /// Moments later than this wait: earlier ones may still be read.
    until: u64,
    /// The file has further moments.
    goes_on: bool,
}

impl Queue {
    /// Adds moments that were read, in any order, and clock syncs; at equal times those that wait
    /// come first.
    pub fn add(&mut self, mut seen: Vec<Moment>, clock_syncs: &mut Vec<ClockSync>) {
        seen.sort_by_key(|moment| moment.ticks);
        let first = seen.first().map_or(u64::MAX, |first| first.ticks);
        // Moments that are not later than all new ones stay where they are.
        let later = self.moments.partition_point(|waiting| waiting.ticks <= first);
        let mut rest = self.moments.split_off(later);
        if rest.is_empty() {
            self.moments.extend(seen);
        } else {
            rest.extend(seen);
            rest.make_contiguous().sort_by_key(|moment| moment.ticks);
            self.moments.append(&mut rest);
        }
        self.clock_syncs.append(clock_syncs);
        self.clock_syncs.sort_unstable();
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
}

impl Moments for Queue {
    fn more(&mut self, batch: &mut Batch) -> bool {
        let known = self
            .clock_syncs
            .partition_point(|sync| !self.goes_on || sync.ticks <= self.until.saturating_add(1));
        batch.clock_syncs.extend(self.clock_syncs.drain(..known));
        let ready = self.moments.partition_point(|moment| moment.ticks <= self.until);
        batch.moments.extend(self.moments.drain(..ready));
        if self.moments.is_empty() {
            // A burst is over.
            self.moments.shrink_to(1 << 12);
        }
        ready != 0
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
