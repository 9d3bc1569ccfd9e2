//! Selects events.

use super::call::{Call, Event, EventKind};

/// Selects events. Empty lists and `None` select everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Not before this Unix time in nanoseconds.
    pub since_ns: Option<u64>,
    /// Not after this Unix time in nanoseconds.
    pub until_ns: Option<u64>,
    /// Only these functions, by name.
    pub functions: Vec<String>,
    /// Only these processes.
    pub pids: Vec<u32>,
    /// Only these threads.
    pub tids: Vec<u32>,
    /// Only calls that return, release or reallocate one of these addresses.
    pub addresses: Vec<u64>,
    /// Only calls with a size of at least this many bytes.
    pub min_size: Option<u64>,
    /// Only calls with a size of at most this many bytes.
    pub max_size: Option<u64>,
}

impl Filter {
    /// The event is selected. Markers have no function, address or size: a filter on one of these
    /// selects no markers.
    pub fn wants(&self, event: &Event) -> bool {
        self.since_ns.is_none_or(|since| event.time_ns >= since)
            && !self.is_past(event.time_ns)
            && is_any(&self.pids, &event.pid)
            && is_any(&self.tids, &event.tid)
            && match &event.kind {
                EventKind::Marker(..) | EventKind::Missing(..) => !self.is_about_calls(),
                EventKind::Call(call) => self.wants_call(call),
            }
    }

    /// Every event is selected.
    pub fn wants_all(&self) -> bool {
        *self == Filter::default()
    }

    /// No event from this time on is selected.
    pub fn is_past(&self, time_ns: u64) -> bool {
        self.until_ns.is_some_and(|until| time_ns > until)
    }

    fn is_about_calls(&self) -> bool {
        !self.functions.is_empty()
            || !self.addresses.is_empty()
            || self.min_size.is_some()
            || self.max_size.is_some()
    }

    fn wants_call(&self, call: &Call) -> bool {
        let is_wanted =
            |address: Option<u64>| address.is_some_and(|address| self.addresses.contains(&address));
        let (name, size) = (call.name(), call.size());
        (self.functions.is_empty() || self.functions.iter().any(|wanted| wanted == name))
            && (self.addresses.is_empty()
                || is_wanted(call.address())
                || is_wanted(call.old_address()))
            && self.min_size.is_none_or(|min| size.is_some_and(|size| size >= min))
            && self.max_size.is_none_or(|max| size.is_some_and(|size| size <= max))
    }
}

/// The list selects the value.
fn is_any(list: &[u32], value: &u32) -> bool {
    list.is_empty() || list.contains(value)
}

#[cfg(test)]
mod tests {
    use mallook_format::Kind;

    use super::*;

    fn event(kind: EventKind) -> Event {
        Event { time_ns: 1000, pid: 7, tid: 8, trace: 0, stack: None, kind }
    }

    #[test]
    fn addresses_and_processes() {
        let moved = Call::new(Kind::Realloc).with_address(0x20).with_old_address(0x10);
        let (moved, fork) =
            (event(EventKind::Call(moved)), event(EventKind::Marker(Kind::Forked, 9)));
        let filter = |pids: &[u32], addresses: &[u64]| Filter {
            pids: pids.to_vec(),
            addresses: addresses.to_vec(),
            ..Filter::default()
        };
        for (filter, wants_moved, wants_fork) in [
            (filter(&[], &[]), true, true),
            (filter(&[6, 7], &[]), true, true),
            (filter(&[6], &[]), false, false),
            (filter(&[], &[0x10]), true, false),
            (filter(&[], &[0x20]), true, false),
            (filter(&[], &[0x30, 0]), false, false),
        ] {
            assert_eq!((filter.wants(&moved), filter.wants(&fork)), (wants_moved, wants_fork));
        }
    }
}
