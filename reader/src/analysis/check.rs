//! Replays a trace and finds impossible events.

use crate::decode::Moment;
use crate::event::{Event, EventKind, Events, Paired};
use crate::order::LiveSet;
use crate::stack::Stacks;
use crate::trace::Trace;

/// Why an event is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// It gives out live memory.
    BornAlive,
    /// It releases memory that was released before and not given out since.
    DoubleDeath,
}

/// The result of a replay. What is wrong with call stacks is [damage](crate::Damage) of the trace.
///
/// ```
/// use mallook_reader::{Check, Trace};
///
/// # fn main() -> Result<(), mallook_reader::Error> {
/// let trace = Trace::open("../tests/golden/v1.trace".as_ref())?;
/// let check = Check::of(&trace, |violation, event| eprintln!("{violation:?}: {event:?}"));
/// assert_eq!((check.calls, check.violations, check.alive()), (30, 0, 1));
/// # Ok(()) }
/// ```
///
/// The free of an unknown address is no violation: the memory was born before recording began, in
/// the parent before a fork, in an allocator that was called directly, or in a pause. Nor is the birth
/// at an address that lived before the end of a pause, nor anything in the 2^16 ticks after that, in which
/// clocks may have been read early. Of a ring with pauses, and of the coarse clock with pauses, nothing is
/// impossible: their markers may be overwritten, and times may be older.
#[derive(Clone, Debug)]
pub struct Check {
    live: LiveSet,
    /// Calls that were replayed.
    pub calls: u64,
    /// Releases of addresses whose birth is not in the trace.
    pub unknown_frees: u64,
    /// Impossible events.
    pub violations: u64,
}

impl Check {
    /// Replays a trace; `found` gets every impossible event.
    pub fn of(trace: &Trace, found: impl FnMut(Violation, &Event)) -> Check {
        if !trace.may_have_stacks() {
            return Check::of_events(trace, Events::of(trace), found);
        }
        let stacks = Stacks::of(trace);
        let check = Check::of_events(trace, Events::with_stacks(trace, &stacks), found);
        stacks.check_sites();
        check
    }

    /// The same without the call stacks.
    pub(super) fn without_stacks(trace: &Trace) -> Check {
        Check::of_events(trace, Events::of(trace), |_, _| {})
    }

    fn of_events(
        trace: &Trace,
        mut events: Events,
        mut found: impl FnMut(Violation, &Event),
    ) -> Check {
        let mut check = Check::new(trace.is_coarse());
        check.live = check.live.with_pauses_of(trace);
        while let Some(Paired { moment, event }) = events.next_paired() {
            check.calls +=
                u64::from(event.is_some_and(|event| matches!(event.kind, EventKind::Call(_))));
            if let Some(violation) = check.replay(&moment) {
                check.violations += 1;
                found(violation, &event.unwrap_or_else(|| events.first_half(&moment)));
            }
        }
        check
    }

    fn new(coarse: bool) -> Check {
        Check { live: LiveSet::new(false, coarse), calls: 0, unknown_frees: 0, violations: 0 }
    }

    /// Number of blocks of memory that live at the end.
    pub fn alive(&self) -> u64 {
        self.live.alive()
    }

    /// Number of births at addresses that lived: these died in pauses of the recording.
    pub fn unseen_deaths(&self) -> u64 {
        self.live.unseen_deaths()
    }

    fn replay(&mut self, moment: &Moment) -> Option<Violation> {
        let is_death = moment.address != 0 && moment.kind.is_death();
        self.unknown_frees += u64::from(is_death && self.live.is_unknown(moment.address));
        let violation = if is_death { Violation::DoubleDeath } else { Violation::BornAlive };
        let found = self.live.contradicts(moment).then_some(violation);
        self.live.apply(moment);
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
        assert_eq!((check.alive(), check.unknown_frees), (2, 2));
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

    /// One thread's free and another thread's birth of an unknown address at about the same time:
    /// the address may have lived before, or the free may follow the birth.
    #[test]
    fn either_order_is_possible_where_nothing_tells() {
        let pair = [(1, Kind::Free, 0x10), (2, Kind::Malloc, 0x10)];
        for next in [Kind::Free, Kind::Malloc] {
            let (_, found) = replay(&[pair[0], pair[1], (1, next, 0x10), (1, next, 0x10)]);
            assert_eq!(found[..3], [None; 3]);
            assert!(found[3].is_some());
        }
        // The first free may follow thread 2's birth, wherever that was put.
        let own = [(1, Kind::Malloc, 0x10), (1, Kind::Free, 0x10)];
        let (_, found) = replay(&[pair[0], own[0], own[1], pair[1], own[0], own[0]]);
        assert_eq!(found[..5], [None; 5]);
        assert_eq!(found[5], Some(Violation::BornAlive));
        let (_, found) = replay(&[pair[0], (1, Kind::Malloc, 0x10), (1, Kind::Malloc, 0x10)]);
        assert_eq!(found, [None, None, Some(Violation::BornAlive)]);
    }
}
