//! The parts that many rows share, formatted once: the front of the time, which changes ten times a
//! second; process, thread and function; the trace; the front of the rows' numbers.

use mallook_format::Kind;

use super::buffer::Row;
use super::number::eight_digits;
use crate::event::Event;

/// The largest number of a row: others read no larger integer as one.
pub const MOST: u64 = i64::MAX as u64;

/// Nanoseconds that the last eight digits of a time tell apart.
const BACK: u64 = 100_000_000;
/// Rows that the last four digits of a number tell apart.
const NUMBERED: u32 = 10_000;
/// Callers that are remembered.
const CALLERS: usize = 256;

/// Formats the shared parts; a caller takes at most `N` bytes.
pub struct SharedParts<const N: usize> {
    front: Front,
    callers: Box<[Caller<N>; CALLERS]>,
    format: CallerFormat,
    number: Number,
}

/// How a format spells what is the same for many rows.
#[derive(Clone, Copy)]
pub struct CallerFormat {
    /// The process, the thread and the function.
    pub caller: fn(&Event, Kind) -> String,
    /// The trace, with up to six bytes before and after it.
    pub trace: fn(&Event) -> String,
}

/// The front of a time.
#[derive(Clone, Copy, Default)]
struct Front {
    /// The first time with this front, and the first one after it.
    start_ns: u64,
    end_ns: u64,
    /// Nothing for times without a front.
    text: Short,
}

/// Up to 16 bytes of text, the first one lowest.
#[derive(Clone, Copy, Default)]
pub struct Short {
    bytes: u128,
    length: usize,
}

/// A time as text.
#[derive(Clone, Copy)]
pub struct TimeText {
    front: Short,
    /// The last eight digits of a time that has a front.
    back: u64,
    back_length: usize,
}

/// A process, a thread and a function; two cache lines, so that a place is found by a shift.
#[derive(Clone, Copy)]
#[repr(align(128))]
struct Caller<const N: usize> {
    /// PID, TID, trace and raw kind; there is no kind 0.
    key: (u32, u32, u32, u8),
    length: u8,
    text: [u8; N],
    trace: Short,
}

/// The number of the next row.
#[derive(Default)]
struct Number {
    /// All digits but the last four; nothing for numbers without more.
    front: Short,
    /// 0 to 10^4; the latter is carried.
    back: u32,
}

impl<const N: usize> SharedParts<N> {
    pub fn new(format: CallerFormat) -> SharedParts<N> {
        let nobody = Caller { key: (0, 0, 0, 0), length: 0, text: [0; N], trace: Short::default() };
        SharedParts {
            front: Front::default(),
            callers: Box::new([nobody; CALLERS]),
            format,
            number: Number::default(),
        }
    }

    /// The text of a time, up to [`MOST`].
    #[inline(always)]
    pub fn time(&mut self, time_ns: u64) -> TimeText {
        if !(self.front.start_ns..self.front.end_ns).contains(&time_ns) {
            self.front = Front::of(time_ns);
        }
        // Times above the limit end at it.
        let since = time_ns.min(MOST) - self.front.start_ns;
        let front = self.front.text;
        match front.length {
            0 => TimeText::short(since),
            _ => TimeText { front, back: eight_digits(since as u32), back_length: 8 },
        }
    }

    /// Appends a caller; the text of its trace.
    #[inline]
    pub fn caller(&mut self, event: &Event, kind: Kind, row: &mut Row) -> Short {
        let key = (event.pid, event.tid, event.trace, kind as u8);
        let place = event.tid.wrapping_mul(16).wrapping_add(u32::from(key.3)) as usize % CALLERS;
        let caller = &mut self.callers[place];
        if caller.key != key {
            *caller = Caller::new(key, &self.format, event, kind);
        }
        row.put(caller.text, caller.length.into());
        caller.trace
    }

    /// Appends the number of the row, and the first `length` of four bytes.
    #[inline(always)]
    pub fn number(&mut self, row: &mut Row, after: [u8; 4], length: usize) {
        let number = &mut self.number;
        if number.back == NUMBERED {
            number.carry();
        }
        let back = number.back;
        number.back += 1;
        if number.front.length == 0 {
            row.decimal(back.into());
            return row.put(after, length);
        }
        number.front.put(row);
        let after = u64::from(u32::from_le_bytes(after));
        row.put((eight_digits(back) >> 32 | after << 32).to_le_bytes(), 4 + length);
    }
}

impl Front {
    #[cold]
    fn of(time_ns: u64) -> Front {
        let front = time_ns.min(MOST) / BACK;
        let text = if front == 0 { Short::default() } else { Short::of(&front.to_string()) };
        let start_ns = front * BACK;
        // Behind the limit, there are no other fronts.
        let end_ns = if time_ns > MOST { u64::MAX } else { start_ns + BACK };
        Front { start_ns, end_ns, text }
    }
}

impl Short {
    /// The first 16 bytes of a text.
    fn of(text: &str) -> Short {
        Short { bytes: u128::from_le_bytes(padded(text)), length: text.len().min(16) }
    }

    /// Appends the text.
    #[inline(always)]
    pub fn put(self, row: &mut Row) {
        row.put(self.bytes.to_le_bytes(), self.length);
    }

    /// The first bytes, and the others.
    #[inline(always)]
    pub fn split_at(self, length: usize) -> (Short, Short) {
        let length = length.min(self.length);
        let others = self.bytes.checked_shr(8 * length as u32).unwrap_or(0);
        (Short { length, ..self }, Short { bytes: others, length: self.length - length })
    }
}

impl TimeText {
    /// The text of a time without a front.
    #[cold]
    fn short(time_ns: u64) -> TimeText {
        TimeText { front: Short::of(&time_ns.to_string()), back: 0, back_length: 0 }
    }

    /// Appends the time.
    #[inline(always)]
    pub fn put(self, row: &mut Row) {
        self.front.put(row);
        row.put(self.back.to_le_bytes(), self.back_length);
    }

    /// Appends the time in seconds, with nine decimals.
    #[inline(always)]
    pub fn put_seconds(self, row: &mut Row) {
        if self.back_length == 0 {
            row.put(*b"0.000000000", 11 - self.front.length);
            return self.front.put(row);
        }
        let (whole, tenths) = self.front.split_at(self.front.length - 1);
        if whole.length == 0 {
            row.byte(b'0');
        }
        whole.put(row);
        row.byte(b'.');
        tenths.put(row);
        row.put(self.back.to_le_bytes(), 8);
    }
}

impl Number {
    /// Goes on to the next front.
    #[cold]
    fn carry(&mut self) {
        let digits = self.front.bytes.to_le_bytes();
        let digits = str::from_utf8(&digits[..self.front.length]).unwrap_or_default();
        let front = digits.parse::<u64>().unwrap_or(0) + 1;
        *self = Number { front: Short::of(&front.to_string()), back: 0 };
    }
}

impl<const N: usize> Caller<N> {
    #[cold]
    fn new(
        key: (u32, u32, u32, u8),
        format: &CallerFormat,
        event: &Event,
        kind: Kind,
    ) -> Caller<N> {
        let text = (format.caller)(event, kind);
        let trace = Short::of(&(format.trace)(event));
        Caller { key, length: text.len().min(N) as u8, text: padded(&text), trace }
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
                Event {
                    time_ns,
                    pid,
                    tid,
                    trace: pid % 7,
                    stack: None,
                    kind: EventKind::Call(call),
                }
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
        Event {
            time_ns: u64::MAX,
            pid: u32::MAX,
            tid: u32::MAX,
            trace: u32::MAX,
            stack: None,
            kind: EventKind::Call(call),
        }
    }

    /// Both writers make the same text of every call.
    pub fn assert_same_rows(
        events: &[Event],
        mut fast: impl FnMut(&Event, &mut TextBuffer),
        plain: impl Fn(usize, &Event, &Call) -> String,
    ) {
        let mut out = TextBuffer::new();
        for (number, event) in events.iter().enumerate() {
            let EventKind::Call(call) = &event.kind else { continue };
            out.clear();
            fast(event, &mut out);
            assert_eq!(String::from_utf8_lossy(out.text()), plain(number, event, call));
        }
    }

    #[test]
    fn times_may_jump_anywhere() {
        let nothing = CallerFormat { caller: |_, _| String::new(), trace: |_| String::new() };
        let mut shared = SharedParts::<1>::new(nothing);
        let mut out = TextBuffer::new();
        for time_ns in [
            u64::MAX,
            5,
            0,
            u64::MAX - 1,
            BACK,
            BACK - 1,
            2 * BACK - 1,
            MOST - 1,
            MOST,
            MOST + 1,
            10 * BACK,
            10 * BACK - 1,
            u64::MAX,
        ] {
            out.clear();
            let mut row = out.row();
            let time = shared.time(time_ns);
            time.put(&mut row);
            row.byte(b' ');
            time.put_seconds(&mut row);
            row.end();
            let shown = time_ns.min(MOST);
            let (seconds, rest) = (shown / 1_000_000_000, shown % 1_000_000_000);
            assert_eq!(String::from_utf8_lossy(out.text()), format!("{shown} {seconds}.{rest:09}"));
        }
    }

    #[test]
    fn rows_are_numbered() {
        let nothing = CallerFormat { caller: |_, _| String::new(), trace: |_| String::new() };
        let mut shared = SharedParts::<1>::new(nothing);
        let mut out = TextBuffer::new();
        for number in 0..123_456 {
            out.clear();
            let mut row = out.row();
            shared.number(&mut row, [0; 4], 0);
            row.end();
            assert_eq!(String::from_utf8_lossy(out.text()), number.to_string());
        }
    }
}
