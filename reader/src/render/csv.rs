//! `csv`: one row a call. No field ever needs quoting.
//!
//! What many rows share is put together once: the front of the time, which changes ten times a
//! second, and process, thread and function.

use mallook_format::Kind;

use super::page::{Page, Row};
use crate::{Call, Event, What};

pub const HEADER: &[u8] = b"time_ns,pid,tid,op,address,size,old_address,alignment,start_ns\n";

/// Nanoseconds that the digits at the end of a time tell apart.
const BACK: u64 = 100_000_000;
/// Callers that are remembered.
const CALLERS: usize = 256;

/// Puts rows together.
pub struct Csv {
    front: Front,
    callers: Box<[Caller; CALLERS]>,
}

/// The front of a time.
#[derive(Clone, Copy, Default)]
struct Front {
    /// The first time with this front, and the first one behind.
    start_ns: u64,
    end_ns: u64,
    text: [u8; 16],
    /// 0 for times without a front.
    length: usize,
}

/// Who has called which function: `,PID,TID,OP,`.
#[derive(Clone, Copy)]
struct Caller {
    /// PID, TID and raw kind; there is no kind 0.
    key: (u32, u32, u8),
    length: u8,
    text: [u8; 48],
}

impl Csv {
    pub fn new() -> Csv {
        let nobody = Caller { key: (0, 0, 0), length: 0, text: [0; 48] };
        Csv { front: Front::default(), callers: Box::new([nobody; CALLERS]) }
    }

    #[inline(always)]
    pub fn event(&mut self, event: &Event, out: &mut Page) {
        let What::Call(call) = &event.what else { return };
        let mut row = out.row();
        self.time(event.time_ns, &mut row);
        self.caller(event, call.kind, &mut row);
        match call.address() {
            Some(address) => row.address(address),
            None => row.byte(b','),
        }
        row.decimal_if_any(call.size_if_any());
        if call.is_plain() {
            row.put(*b",,,\n", 4);
        } else {
            self.rest(call, &mut row);
        }
        row.end();
    }

    /// What few calls have.
    fn rest(&mut self, call: &Call, row: &mut Row) {
        row.byte(b',');
        call.old_address().inspect(|&address| row.hexadecimal(address));
        row.byte(b',');
        call.alignment().inspect(|&alignment| row.decimal(alignment));
        row.byte(b',');
        call.start_ns().inspect(|&start| self.time(start, row));
        row.byte(b'\n');
    }

    #[inline]
    fn time(&mut self, time_ns: u64, row: &mut Row) {
        if !(self.front.start_ns..self.front.end_ns).contains(&time_ns) {
            self.front = Front::of(time_ns);
        }
        if self.front.length == 0 {
            return row.decimal(time_ns);
        }
        row.put(self.front.text, self.front.length);
        row.eight_digits((time_ns - self.front.start_ns) as u32);
    }

    #[inline]
    fn caller(&mut self, event: &Event, kind: Kind, row: &mut Row) {
        let key = (event.pid, event.tid, kind as u8);
        let place = event.tid.wrapping_mul(16).wrapping_add(u32::from(key.2)) as usize % CALLERS;
        let caller = &mut self.callers[place];
        if caller.key != key {
            *caller = Caller::new(event, kind);
        }
        row.put(caller.text, caller.length.into());
    }
}

impl Front {
    #[cold]
    fn of(time_ns: u64) -> Front {
        let front = time_ns / BACK;
        let digits = if front == 0 { String::new() } else { front.to_string() };
        let mut text = [0; 16];
        text.iter_mut().zip(digits.bytes()).for_each(|(place, digit)| *place = digit);
        let start_ns = front * BACK;
        Front { start_ns, end_ns: start_ns.saturating_add(BACK), text, length: digits.len() }
    }
}

impl Caller {
    #[cold]
    fn new(event: &Event, kind: Kind) -> Caller {
        let text = format!(",{},{},{},", event.pid, event.tid, kind.name());
        let mut caller = Caller {
            key: (event.pid, event.tid, kind as u8),
            length: text.len() as u8,
            text: [0; 48],
        };
        // The longest is one of two ten-digit numbers and "free_aligned_sized".
        for (place, byte) in caller.text.iter_mut().zip(text.bytes()) {
            *place = byte;
        }
        caller
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plainly(event: &Event, call: &Call) -> String {
        let decimal = |value: Option<u64>| value.map_or(String::new(), |value| value.to_string());
        let hex = |value: Option<u64>| value.map_or(String::new(), |value| format!("{value:#x}"));
        format!(
            "{},{},{},{},{},{},{},{},{}\n",
            event.time_ns,
            event.pid,
            event.tid,
            call.name(),
            hex(call.address()),
            decimal(call.size()),
            hex(call.old_address()),
            decimal(call.alignment()),
            decimal(call.start_ns()),
        )
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let value = || prop::option::of(prop_oneof![any::<u64>(), 0u64..1 << 20]);
        let time =
            prop_oneof![any::<u64>(), 1_795_519_784_000_000_000u64..1_795_519_784_300_000_000];
        let tid = prop_oneof![any::<u32>(), 1u32..4];
        let kind = prop::sample::select(&Kind::ALL);
        (time, any::<u32>(), tid, kind, value(), value(), value(), value(), value()).prop_map(
            |(time_ns, pid, tid, kind, address, size, old_address, alignment, start_ns)| Event {
                time_ns,
                pid,
                tid,
                what: What::Call(
                    Call::new(kind)
                        .with_address(address)
                        .with_size(size)
                        .with_old_address(old_address)
                        .with_alignment(alignment)
                        .with_start_ns(start_ns),
                ),
            },
        )
    }

    #[test]
    fn times_may_jump_anywhere() {
        let mut csv = Csv::new();
        let mut page = Page::new();
        for time_ns in [u64::MAX, 5, 0, u64::MAX - 1, BACK, BACK - 1, 2 * BACK - 1, u64::MAX] {
            page.clear();
            let call = Call::new(Kind::Free);
            csv.event(&Event { time_ns, pid: 1, tid: 1, what: What::Call(call) }, &mut page);
            assert_eq!(page.text(), format!("{time_ns},1,1,free,,,,,\n").as_bytes());
        }
    }

    proptest! {
        #[test]
        fn rows_are_what_plain_formatting_gives(events in prop::collection::vec(any_event(), 1..50)) {
            let mut csv = Csv::new();
            let mut out = Page::new();
            for event in &events {
                out.clear();
                csv.event(event, &mut out);
                let What::Call(call) = event.what else { continue };
                prop_assert_eq!(String::from_utf8_lossy(out.text()), plainly(event, &call));
            }
        }
    }
}
