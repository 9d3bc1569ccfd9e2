//! Replays a trace and proves that nothing in it is impossible.

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use crate::{Event, What};

/// What has become of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Born at this time, in Unix nanoseconds.
    Alive(u64),
    /// Died at this time, in Unix nanoseconds.
    Dead(u64),
}

/// A sequence of events that no allocator produces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The address is given out although it has not been released since this time.
    BornAlive {
        /// The event that gives it out.
        event: Event,
        /// When it was given out before, in Unix nanoseconds.
        since_ns: u64,
    },
    /// The address is released although it has not been given out since this time.
    DoubleDeath {
        /// The event that releases it.
        event: Event,
        /// When it was released before, in Unix nanoseconds.
        since_ns: u64,
    },
}

/// Replays the events of one process, in their order.
///
/// A release of an address that was never seen is no violation: it was born before recording began,
/// in the parent before a fork, or by an allocator that is called directly; such releases are
/// [counted](Check::strangers).
#[derive(Clone, Debug, Default)]
pub struct Check {
    fates: FxHashMap<u64, Fate>,
    alive: u64,
    strangers: u64,
    events: u64,
}

impl Check {
    /// Takes note of an event; what is impossible about it.
    pub fn replay(&mut self, event: &Event) -> [Option<Violation>; 2] {
        let What::Call(call) = event.what else { return [None; 2] };
        self.events += 1;
        if call.kind.is_death() {
            return [call.address.and_then(|address| self.release(event, address)), None];
        }
        // The old memory of a failed reallocation lives on.
        let released = call.old_address.filter(|&old| old != 0 && !call.failed());
        let death = released.and_then(|old| self.release(event, old));
        let born = call.address.filter(|&address| address != 0);
        [death, born.and_then(|address| self.give_out(event, address))]
    }

    fn release(&mut self, event: &Event, address: u64) -> Option<Violation> {
        match self.fates.insert(address, Fate::Dead(event.time_ns)) {
            Some(Fate::Alive(_)) => self.alive -= 1,
            Some(Fate::Dead(since_ns)) => {
                return Some(Violation::DoubleDeath { event: *event, since_ns });
            }
            None => self.strangers += 1,
        }
        None
    }

    fn give_out(&mut self, event: &Event, address: u64) -> Option<Violation> {
        let fate = Fate::Alive(event.time_ns);
        match self.fates.entry(address) {
            Entry::Occupied(mut entry) => match entry.insert(fate) {
                Fate::Alive(since_ns) => {
                    return Some(Violation::BornAlive { event: *event, since_ns });
                }
                Fate::Dead(_) => self.alive += 1,
            },
            Entry::Vacant(entry) => {
                entry.insert(fate);
                self.alive += 1;
            }
        }
        None
    }

    /// Calls that were replayed.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Blocks of memory that live at the end.
    pub fn alive(&self) -> u64 {
        self.alive
    }

    /// Releases of addresses that were never seen before.
    pub fn strangers(&self) -> u64 {
        self.strangers
    }
}

#[cfg(test)]
mod tests {
    use mallook_format::Kind;

    use super::*;
    use crate::Call;

    fn call(time_ns: u64, kind: Kind, address: u64, size: u64, old_address: Option<u64>) -> Event {
        let (address, size) = (Some(address), Some(size));
        let call = Call { kind, address, size, old_address, alignment: None, start_ns: None };
        Event { time_ns, pid: 1, tid: 1, what: What::Call(call) }
    }

    #[test]
    fn possible_sequences_pass() {
        let mut check = Check::default();
        for event in [
            call(1, Kind::Free, 0x10, 0, None),
            call(2, Kind::Malloc, 0x10, 8, None),
            call(3, Kind::Realloc, 0x10, 16, Some(0x10)),
            call(4, Kind::Realloc, 0, 99, Some(0x10)),
            call(5, Kind::Realloc, 0x20, 99, Some(0x10)),
            call(6, Kind::Malloc, 0x10, 8, None),
            call(7, Kind::Realloc, 0, 0, Some(0x20)),
            call(8, Kind::Malloc, 0x20, 8, None),
            call(9, Kind::Malloc, 0, 8, None),
        ] {
            assert_eq!(check.replay(&event), [None; 2], "{event:?}");
        }
        assert_eq!((check.events(), check.alive(), check.strangers()), (9, 2, 1));
    }

    #[test]
    fn impossible_ones_are_found() {
        let mut check = Check::default();
        let first = call(1, Kind::Malloc, 0x10, 8, None);
        let again = call(2, Kind::Calloc, 0x10, 8, None);
        let free = call(3, Kind::Free, 0x10, 0, None);
        let twice = call(4, Kind::Free, 0x10, 0, None);
        assert_eq!(check.replay(&first), [None; 2]);
        let born = Violation::BornAlive { event: again, since_ns: 1 };
        assert_eq!(check.replay(&again), [Some(born), None]);
        assert_eq!(check.replay(&free), [None; 2]);
        let death = Violation::DoubleDeath { event: twice, since_ns: 3 };
        assert_eq!(check.replay(&twice), [Some(death), None]);
    }
}
