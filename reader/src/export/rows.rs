//! The parts that many rows share, formatted once: the front of the time, which changes ten times a
//! second; process, thread and function; the trace; the front of the rows' numbers.

use mallook_format::Kind;

use super::buffer::Row;
use super::number::{eight_digits, eight_nibbles};
use crate::event::Event;

/// The largest number of a row: others read no larger integer as one.
pub const MOST: u64 = i64::MAX as u64;

/// Nanoseconds that the last eight digits of a time tell apart.
const BACK: u64 = 100_000_000;
/// Four digits of 0, as [`Number::back`] has them.
const FOUR_ZEROS: u32 = 0xf6f6_f6f6;
/// Bytes of a trace and the front of the rows' numbers.
const NUMBERED: usize = 32;
/// Callers that are remembered.
const CALLERS: usize = 256;

/// Formats the shared parts; a caller takes at most `N` bytes.
pub struct SharedParts<const N: usize> {
    front: Front,
    high: High,
    callers: Box<[Caller<N>; CALLERS]>,
    format: CallerFormat,
    number: Number,
}

/// How a format spells what is the same for many rows.
#[derive(Clone, Copy)]
pub struct CallerFormat {
    /// The process, the thread and the function.
    pub caller: fn(&Event, Kind) -> String,
    /// The trace, with up to eight bytes before and after it.
    pub trace: fn(&Event) -> String,
    /// Up to 16 bytes before the second time of a row.
    pub before_again: &'static str,
}

/// The front of a time.
#[derive(Clone, Copy)]
struct Front {
    /// The first time with this front, and the first one after it.
    start_ns: u64,
    end_ns: u64,
    /// Nothing for times without a front.
    text: Short,
    /// The front behind what stands before the second time of a row.
    again: [u8; 32],
    again_length: usize,
}

/// Bits 32 to 47 of an address, as text.
#[derive(Clone, Copy)]
struct High {
    /// No address has those of the first one.
    bits: u64,
    text: u64,
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
    /// The trace, and the front of the rows' numbers.
    numbered_length: u8,
    /// The front that `numbered` has.
    front: u64,
    text: [u8; N],
    numbered: [u8; NUMBERED],
}

/// A caller that was appended to a row.
#[derive(Clone, Copy)]
pub struct CallerPlace(usize);

/// The number of the next row.
struct Number {
    /// All digits but the last four.
    front: u64,
    /// The last four digits, each in a byte that says 246 more, so that ten carry.
    back: u32,
}

impl<const N: usize> SharedParts<N> {
    pub fn new(format: CallerFormat) -> SharedParts<N> {
        let nobody = Caller {
            key: (0, 0, 0, 0),
            length: 0,
            numbered_length: 0,
            front: 0,
            text: [0; N],
            numbered: [0; NUMBERED],
        };
        const { assert!(size_of::<Caller<N>>() == 128, "a place is found by a shift") };
        SharedParts {
            front: Front::of(0, format.before_again),
            high: High { bits: u64::MAX, text: 0 },
            callers: Box::new([nobody; CALLERS]),
            format,
            number: Number { front: 0, back: FOUR_ZEROS },
        }
    }

    /// The text of a time, up to [`MOST`].
    #[inline(always)]
    pub fn time(&mut self, time_ns: u64) -> TimeText {
        if !(self.front.start_ns..self.front.end_ns).contains(&time_ns) {
            self.front = Front::of(time_ns, self.format.before_again);
        }
        // Times above the limit end at it.
        let since = time_ns.min(MOST) - self.front.start_ns;
        let front = self.front.text;
        match front.length {
            0 => TimeText::short(since),
            _ => TimeText { front, back: eight_digits(since as u32), back_length: 8 },
        }
    }

    /// Appends the last time once more, with what stands before it, and the first `length` of eight
    /// bytes.
    #[inline(always)]
    pub fn again(&self, time: TimeText, after: [u8; 8], length: usize, row: &mut Row) {
        row.put(self.front.again, self.front.again_length);
        if time.back_length == 0 {
            time.front.put(row);
            return row.put(after, length);
        }
        let back = u128::from(time.back) | u128::from(u64::from_le_bytes(after)) << 64;
        row.put(back.to_le_bytes(), 8 + length);
    }

    /// Appends an address, and the byte `END`.
    #[inline(always)]
    pub fn address<const END: u8>(&mut self, address: u64, row: &mut Row) {
        let bits = address >> 32;
        if bits != self.high.bits {
            // Twelve digits, as most addresses have.
            if bits >> 12 == 0 || bits >> 16 != 0 {
                row.hexadecimal(address);
                return row.byte(END);
            }
            self.high = High::of(bits);
        }
        let end = u128::from(END) << 112;
        let low = u128::from(eight_nibbles(address as u32)) << 48;
        row.put((u128::from(self.high.text) | low | end).to_le_bytes(), 15);
    }

    /// Appends a caller.
    #[inline]
    pub fn caller(&mut self, event: &Event, kind: Kind, row: &mut Row) -> CallerPlace {
        let key = (event.pid, event.tid, event.trace, kind as u8);
        let place = event.tid.wrapping_mul(16).wrapping_add(u32::from(key.3)) as usize % CALLERS;
        let caller = &mut self.callers[place];
        if caller.key != key {
            *caller = Caller::new(key, &self.format, event, kind);
        }
        row.put(caller.text, caller.length.into());
        CallerPlace(place)
    }

    /// Appends the trace of a caller, the number of the row, and the first `length` of four bytes.
    #[inline(always)]
    pub fn numbered(
        &mut self,
        event: &Event,
        CallerPlace(place): CallerPlace,
        (after, length): ([u8; 4], usize),
        row: &mut Row,
    ) {
        let caller = &mut self.callers[place % CALLERS];
        if caller.front != self.number.front {
            caller.number(self.number.front, &self.format, event);
        }
        row.put(caller.numbered, caller.numbered_length.into());
        let digits = u64::from(self.number.digits());
        // The first ones have no front, and no zeros before them.
        let zeros = if self.number.front == 0 { self.number.zeros() } else { 0 };
        let text = (digits | u64::from(u32::from_le_bytes(after)) << 32) >> (8 * zeros);
        row.put(text.to_le_bytes(), 4 + length - zeros);
        self.number.step();
    }

    /// The number of a row that has no caller.
    pub fn number(&mut self) -> u64 {
        let digits = self.number.digits().to_le_bytes();
        let back = digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        let number = self.number.front * 10_000 + back;
        self.number.step();
        number
    }
}

impl Front {
    #[cold]
    fn of(time_ns: u64, before_again: &str) -> Front {
        let front = time_ns.min(MOST) / BACK;
        let text = if front == 0 { String::new() } else { front.to_string() };
        let again = format!("{before_again}{text}");
        let start_ns = front * BACK;
        // Behind the limit, there are no other fronts.
        let end_ns = if time_ns > MOST { u64::MAX } else { start_ns + BACK };
        let again_length = again.len().min(32);
        Front { start_ns, end_ns, text: Short::of(&text), again: padded(&again), again_length }
    }
}

impl High {
    #[cold]
    fn of(bits: u64) -> High {
        High { bits, text: u64::from_le_bytes(padded(&format!("{bits:#x}"))) }
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
    fn split_at(self, length: usize) -> (Short, Short) {
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
    /// The last four digits as text, the first one lowest.
    #[inline(always)]
    fn digits(&self) -> u32 {
        (self.back - (FOUR_ZEROS - u32::from_le_bytes(*b"0000"))).swap_bytes()
    }

    /// Zeros before the number, if it has no front.
    fn zeros(&self) -> usize {
        ((self.back ^ FOUR_ZEROS).leading_zeros() / 8).min(3) as usize
    }

    /// Goes on to the next number.
    #[inline(always)]
    fn step(&mut self) {
        let carried = self.back.wrapping_add(1);
        // Bytes that have carried are 0, and all others are above 245.
        let zeros = (!carried & 0x8080_8080) >> 7;
        self.back = carried + zeros * (FOUR_ZEROS & 0xff);
        if self.back == FOUR_ZEROS {
            self.front += 1;
        }
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
        let mut caller = Caller {
            key,
            length: text.len().min(N) as u8,
            numbered_length: 0,
            front: 0,
            text: padded(&text),
            numbered: [0; NUMBERED],
        };
        caller.number(0, format, event);
        caller
    }

    /// The rows have another front now.
    #[cold]
    fn number(&mut self, front: u64, format: &CallerFormat, event: &Event) {
        let mut text = (format.trace)(event);
        if front != 0 {
            text.push_str(&front.to_string());
        }
        self.front = front;
        self.numbered_length = text.len().min(NUMBERED) as u8;
        self.numbered = padded(&text);
    }
}

/// The first `N` bytes of a text, padded with zeros.
fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut padded = [0; N];
    padded.iter_mut().zip(text.bytes()).for_each(|(place, byte)| *place = byte);
    padded
}

#[cfg(test)]
pub mod tests;
