//! How events look. Each format is a plain function over an event.

mod csv;
mod jsonl;
mod number;
mod page;
mod sizes;
mod text;

pub use page::Page;

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
    csv: csv::Csv,
}

impl Renderer {
    /// A renderer for the events of these traces.
    pub fn new(format: Format, traces: &[Trace]) -> Renderer {
        Renderer { format, text: text::Layout::of(traces), csv: csv::Csv::new() }
    }

    /// Appends what comes before the first event.
    pub fn begin(&self, out: &mut Page) {
        if self.format == Format::Csv {
            out.put(csv::HEADER);
        }
    }

    /// Appends an event, if the format has something for it.
    #[inline(always)]
    pub fn event(&mut self, event: &Event, out: &mut Page) {
        match self.format {
            Format::Text => self.text.event(event, out),
            Format::Csv => self.csv.event(event, out),
            Format::Jsonl => jsonl::event(event, out),
            Format::Sizes => sizes::event(event, out),
        }
    }
}
