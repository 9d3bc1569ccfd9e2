//! The parts that many rows share, formatted once: the front of the time, which changes ten times a
//! second, and process, thread and function.

use mallook_format::Kind;

use super::buffer::Row;
use crate::event::Event;

/// Nanoseconds that the last eight digits of a time tell apart.
const BACK: u64 = 100_000_000;
/// Callers that are remembered.
const CALLERS: usize = 256;

/// Formats the shared parts; a caller takes at most `N` bytes.
pub struct SharedParts<const N: usize> {
    front: Front,
    callers: Box<[Caller<N>; CALLERS]>,
    describe: fn(&Event, Kind) -> String,
}

/// The front of a time.
#[derive(Clone, Copy, Default)]
struct Front {
    /// The first time with this front, and the first one after it.
    start_ns: u64,
    end_ns: u64,
    text: [u8; 16],
    /// 0 for times without a front.
    length: usize,
}

/// A process, a thread and a function.
#[derive(Clone, Copy)]
struct Caller<const N: usize> {
    /// PID, TID and raw kind; there is no kind 0.
    key: (u32, u32, u8),
    length: u8,
    text: [u8; N],
}

impl<const N: usize> SharedParts<N> {
    /// `describe` formats a caller.
    pub fn new(describe: fn(&Event, Kind) -> String) -> SharedParts<N> {
        let nobody = Caller { key: (0, 0, 0), length: 0, text: [0; N] };
        SharedParts { front: Front::default(), callers: Box::new([nobody; CALLERS]), describe }
    }

    /// Appends a time.
    #[inline]
    pub fn time(&mut self, time_ns: u64, row: &mut Row) {
        if !(self.front.start_ns..self.front.end_ns).contains(&time_ns) {
            self.front = Front::of(time_ns);
        }
        if self.front.length == 0 {
            return row.decimal(time_ns);
        }
        row.put(self.front.text, self.front.length);
        row.eight_digits((time_ns - self.front.start_ns) as u32);
    }

    /// Appends a caller.
    #[inline]
    pub fn caller(&mut self, event: &Event, kind: Kind, row: &mut Row) {
        let key = (event.pid, event.tid, kind as u8);
        let place = event.tid.wrapping_mul(16).wrapping_add(u32::from(key.2)) as usize % CALLERS;
        let caller = &mut self.callers[place];
        if caller.key != key {
            *caller = Caller::new(key, &(self.describe)(event, kind));
        }
        row.put(caller.text, caller.length.into());
    }
}

impl Front {
    #[cold]
    fn of(time_ns: u64) -> Front {
        let front = time_ns / BACK;
        let digits = if front == 0 { String::new() } else { front.to_string() };
        let start_ns = front * BACK;
        Front {
            start_ns,
            end_ns: start_ns.saturating_add(BACK),
            text: padded(&digits),
            length: digits.len(),
        }
    }
}

impl<const N: usize> Caller<N> {
    #[cold]
    fn new(key: (u32, u32, u8), text: &str) -> Caller<N> {
        Caller { key, length: text.len().min(N) as u8, text: padded(text) }
    }
}

/// The first `N` bytes of a text, padded with zeros.
fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut padded = [0; N];
    padded.iter_mut().zip(text.bytes()).for_each(|(place, byte)| *place = byte);
    padded
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::super::buffer::TextBuffer;
    use super::*;
    use crate::event::{Call, EventKind};

    fn any_event() -> impl Strategy<Value = Event> {
        let value = || prop::option::of(prop_oneof![any::<u64>(), 0u64..1 << 20]);
        let time =
            prop_oneof![any::<u64>(), 1_795_519_784_000_000_000u64..1_795_519_784_300_000_000];
        let tid = prop_oneof![any::<u32>(), 1u32..4];
        let kind = prop::sample::select(&Kind::ALL[..]);
        (time, any::<u32>(), tid, kind, value(), value(), value(), value(), value()).prop_map(
            |(time_ns, pid, tid, kind, address, size, old_address, alignment, start_ns)| {
                let call = Call::new(kind)
                    .with_address(address)
                    .with_size(size)
                    .with_old_address(old_address)
                    .with_alignment(alignment)
                    .with_start_ns(start_ns);
                Event { time_ns, pid, tid, kind: EventKind::Call(call) }
            },
        )
    }

    pub fn any_events() -> impl Strategy<Value = Vec<Event>> {
        prop::collection::vec(prop_oneof![20 => any_event(), 1 => Just(longest())], 1..50)
    }

    /// The event with the longest row.
    fn longest() -> Event {
        let call = Call::new(Kind::FreeAlignedSized)
            .with_address(u64::MAX)
            .with_size(u64::MAX)
            .with_old_address(u64::MAX)
            .with_alignment(u64::MAX)
            .with_start_ns(u64::MAX);
        Event { time_ns: u64::MAX, pid: u32::MAX, tid: u32::MAX, kind: EventKind::Call(call) }
    }

    /// Both writers make the same text of every call.
    pub fn assert_same_rows(
        events: &[Event],
        mut fast: impl FnMut(&Event, &mut TextBuffer),
        plain: impl Fn(&Event, &Call) -> String,
    ) {
        let mut out = TextBuffer::new();
        for event in events {
            let EventKind::Call(call) = &event.kind else { continue };
            out.clear();
            fast(event, &mut out);
            assert_eq!(String::from_utf8_lossy(out.text()), plain(event, call));
        }
    }

    #[test]
    fn times_may_jump_anywhere() {
        let mut shared = SharedParts::<1>::new(|_, _| String::new());
        let mut out = TextBuffer::new();
        for time_ns in [u64::MAX, 5, 0, u64::MAX - 1, BACK, BACK - 1, 2 * BACK - 1, u64::MAX] {
            out.clear();
            let mut row = out.row();
            shared.time(time_ns, &mut row);
            row.end();
            assert_eq!(out.text(), time_ns.to_string().as_bytes());
        }
    }
}
