//! How events look. Each format is a plain function over an event.

mod csv;
mod jsonl;
mod sizes;
mod text;

use crate::{Event, Trace};

/// An output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One aligned line an event, for people.
    Text,
    /// Comma-separated values, one row a call.
    Csv,
    /// JSON Lines, one object a call.
    Jsonl,
    /// The lines of the C libmallook.
    Sizes,
}

/// Turns events into bytes.
pub struct Renderer {
    format: Format,
    text: text::Layout,
}

impl Renderer {
    /// A renderer for the events of these traces.
    pub fn new(format: Format, traces: &[Trace]) -> Renderer {
        Renderer { format, text: text::Layout::of(traces) }
    }

    /// Appends what comes before the first event.
    pub fn begin(&self, out: &mut Vec<u8>) {
        if self.format == Format::Csv {
            out.extend_from_slice(csv::HEADER);
        }
    }

    /// Appends an event, if the format has something for it.
    pub fn event(&self, event: &Event, out: &mut Vec<u8>) {
        match self.format {
            Format::Text => self.text.event(event, out),
            Format::Csv => csv::event(event, out),
            Format::Jsonl => jsonl::event(event, out),
            Format::Sizes => sizes::event(event, out),
        }
    }
}

fn decimal(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// `0x` and lower-case digits without leading zeros.
fn hexadecimal(number: u64, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b"0x");
    let digits = (64 - number.leading_zeros()).div_ceil(4).max(1);
    out.extend((0..digits).rev().map(|place| DIGITS[(number >> (place * 4)) as usize & 15]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_has_no_leading_zeros() {
        for number in [0, 1, 15, 16, 0xdead_beef, 0x7f00_0000_1000, u64::MAX] {
            let mut out = Vec::new();
            hexadecimal(number, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{number:#x}"));
        }
    }
}
