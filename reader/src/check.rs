//! Replays a trace and proves that nothing in it is impossible.

use crate::decode::Moment;
use crate::events::Step;
use crate::heap::Heap;
use crate::{Event, Events, Trace, What};

/// What is impossible about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// It gives out memory that was given out before and not released.
    BornAlive,
    /// It releases memory that was released before and not given out.
    DoubleDeath,
}

/// What a replay has shown.
///
/// A release of an address that was never seen is no violation: it was born before recording began,
/// in the parent before a fork, or by an allocator that is called directly.
#[derive(Clone, Debug)]
pub struct Check {
    heap: Heap,
    /// Calls that were replayed.
    pub calls: u64,
    /// Releases of addresses that were never seen before.
    pub strangers: u64,
    /// Impossible events.
    pub violations: u64,
}

impl Check {
    /// Replays a trace; `found` gets every impossible event.
    pub fn of(trace: &Trace, mut found: impl FnMut(Violation, &Event)) -> Check {
        let mut check = Check::new(trace.is_coarse());
        let mut events = Events::of(trace);
        while let Some(Step { moment, event }) = events.step() {
            check.calls +=
                u64::from(event.is_some_and(|event| matches!(event.what, What::Call(_))));
            if let Some(violation) = check.replay(&moment) {
                check.violations += 1;
                found(violation, &event.unwrap_or_else(|| events.first_half(&moment)));
            }
        }
        check
    }

    fn new(coarse: bool) -> Check {
        Check { heap: Heap::new(false, coarse), calls: 0, strangers: 0, violations: 0 }
    }

    /// Blocks of memory that live at the end.
    pub fn alive(&self) -> u64 {
        self.heap.alive()
    }

    fn replay(&mut self, moment: &Moment) -> Option<Violation> {
        let is_death = moment.address != 0 && moment.kind.is_death();
        self.strangers += u64::from(is_death && self.heap.is_stranger(moment.address));
        let violation = if is_death { Violation::DoubleDeath } else { Violation::BornAlive };
        let found = self.heap.contradicts(moment).then_some(violation);
        self.heap.happen(moment);
        found
    }
}

#[cfg(test)]
mod tests {
    use mallook_format::Kind;

    use super::*;

    fn replay(moments: &[(u32, Kind, u64)]) -> (Check, Vec<Option<Violation>>) {
        let mut check = Check::new(false);
        let moment = |(ticks, &(tid, kind, address))| Moment {
            ticks,
            late: 0,
            tid,
            kind,
            aux: 0,
            address,
            size: 8,
        };
        let found = (0..).zip(moments).map(moment).map(|moment| check.replay(&moment)).collect();
        (check, found)
    }

    #[test]
    fn possible_sequences_pass() {
        let (check, found) = replay(&[
            (1, Kind::Free, 0x10),
            (1, Kind::Free, 0x10),
            (1, Kind::Malloc, 0x10),
            (1, Kind::ReallocDeath, 0x10),
            (1, Kind::Malloc, 0x10),
            (1, Kind::Realloc, 0x20),
            (1, Kind::Malloc, 0),
            (1, Kind::ReallocDeath, 0x20),
            (1, Kind::Realloc, 0),
        ]);
        assert_eq!(found, [None; 9]);
        // The last reallocation failed: its block lives on.
        assert_eq!((check.alive(), check.strangers), (2, 2));
    }

    #[test]
    fn impossible_ones_are_found() {
        let (_, found) = replay(&[
            (1, Kind::Malloc, 0x10),
            (1, Kind::Calloc, 0x10),
            (1, Kind::Free, 0x10),
            (1, Kind::Free, 0x10),
        ]);
        let (born, dead) = (Some(Violation::BornAlive), Some(Violation::DoubleDeath));
        assert_eq!(found, [None, born, None, dead]);
    }

    /// One thread's release and another's birth of an address that was never seen, at about the
    /// same time: it may have lived before, or the release may be that of the birth.
    #[test]
    fn either_order_is_possible_where_nothing_tells() {
        let pair = [(1, Kind::Free, 0x10), (2, Kind::Malloc, 0x10)];
        for next in [Kind::Free, Kind::Malloc] {
            let (_, found) = replay(&[pair[0], pair[1], (1, next, 0x10), (1, next, 0x10)]);
            assert_eq!(found[..3], [None; 3]);
            assert!(found[3].is_some());
        }
        // The first release may be that of thread 2's birth, wherever that was put.
        let own = [(1, Kind::Malloc, 0x10), (1, Kind::Free, 0x10)];
        let (_, found) = replay(&[pair[0], own[0], own[1], pair[1], own[0], own[0]]);
        assert_eq!(found[..5], [None; 5]);
        assert_eq!(found[5], Some(Violation::BornAlive));
        let (_, found) = replay(&[pair[0], (1, Kind::Malloc, 0x10), (1, Kind::Malloc, 0x10)]);
        assert_eq!(found, [None, None, Some(Violation::BornAlive)]);
    }
}
