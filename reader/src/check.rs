//! Replays a trace and proves that nothing in it is impossible.

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use crate::decode::Moment;
use crate::events::Step;
use crate::{Event, Events, Trace, What};

/// What has become of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Alive,
    Dead,
}

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
#[derive(Clone, Debug, Default)]
pub struct Check {
    fates: FxHashMap<u64, Fate>,
    /// Calls that were replayed.
    pub calls: u64,
    /// Blocks of memory that live at the end.
    pub alive: u64,
    /// Releases of addresses that were never seen before.
    pub strangers: u64,
    /// Impossible events.
    pub violations: u64,
}

impl Check {
    /// Replays a trace; `found` gets every impossible event.
    pub fn of(trace: &Trace, mut found: impl FnMut(Violation, &Event)) -> Check {
        let mut check = Check::default();
        let mut events = Events::of(trace);
        while let Some(Step { moment, event }) = events.step() {
            if let Some(Event { what: What::Call(call), .. }) = event {
                check.calls += 1;
                if let Some(old) = call.old_address.filter(|_| call.failed()) {
                    check.revive(old);
                }
            }
            if let Some(violation) = check.replay(&moment) {
                check.violations += 1;
                found(violation, &event.unwrap_or_else(|| events.first_half(&moment)));
            }
        }
        check
    }

    fn replay(&mut self, moment: &Moment) -> Option<Violation> {
        if moment.address == 0 || !moment.kind.is_moment() {
            return None;
        }
        if moment.kind.is_death() {
            // Nothing is known of an address that was never given out, also when it is released
            // again.
            let Some(fate) = self.fates.get_mut(&moment.address) else {
                self.strangers += 1;
                return None;
            };
            if std::mem::replace(fate, Fate::Dead) == Fate::Dead {
                return Some(Violation::DoubleDeath);
            }
            self.alive -= 1;
            return None;
        }
        match self.fates.entry(moment.address) {
            Entry::Occupied(mut entry) => {
                if let Fate::Alive = entry.insert(Fate::Alive) {
                    return Some(Violation::BornAlive);
                }
            }
            Entry::Vacant(entry) => drop(entry.insert(Fate::Alive)),
        }
        self.alive += 1;
        None
    }

    /// The old memory of a failed reallocation lives on.
    fn revive(&mut self, address: u64) {
        if address != 0 && !matches!(self.fates.insert(address, Fate::Alive), Some(Fate::Alive)) {
            self.alive += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use mallook_format::Kind;

    use super::*;

    fn replay(moments: &[(Kind, u64)]) -> (Check, Vec<Option<Violation>>) {
        let mut check = Check::default();
        let moment = |(ticks, &(kind, address))| Moment {
            ticks,
            tid: 1,
            kind,
            aux: 0,
            address,
            size: 8,
            odd_alignment: None,
        };
        let found = (0..).zip(moments).map(moment).map(|moment| check.replay(&moment)).collect();
        (check, found)
    }

    #[test]
    fn possible_sequences_pass() {
        let (mut check, found) = replay(&[
            (Kind::Free, 0x10),
            (Kind::Free, 0x10),
            (Kind::Malloc, 0x10),
            (Kind::ReallocDeath, 0x10),
            (Kind::Malloc, 0x10),
            (Kind::Realloc, 0x20),
            (Kind::Malloc, 0),
            (Kind::ReallocDeath, 0x20),
            (Kind::Realloc, 0),
        ]);
        assert_eq!(found, [None; 9]);
        assert_eq!((check.alive, check.strangers), (1, 2));
        check.revive(0x20);
        assert_eq!(check.alive, 2);
    }

    #[test]
    fn impossible_ones_are_found() {
        let (_, found) = replay(&[
            (Kind::Malloc, 0x10),
            (Kind::Calloc, 0x10),
            (Kind::Free, 0x10),
            (Kind::Free, 0x10),
        ]);
        let (born, dead) = (Some(Violation::BornAlive), Some(Violation::DoubleDeath));
        assert_eq!(found, [None, born, None, dead]);
    }
}
