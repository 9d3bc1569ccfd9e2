//! Exports events in one of the formats.

use std::fmt;

use super::buffer::TextBuffer;
use super::csv::Csv;
use super::jsonl::Jsonl;
use super::sizes;
use super::text::Layout;
use crate::event::Event;
use crate::trace::{Mark, Trace};

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

/// Writes events in one format.
pub struct Exporter {
    format: Format,
    text: Layout,
    csv: Csv,
    jsonl: Jsonl,
}

impl Exporter {
    /// An exporter of the events of these traces. Rows of [`Format::Csv`] and [`Format::Jsonl`] are
    /// calls alone.
    pub fn new(format: Format, traces: &[Trace]) -> Exporter {
        Exporter::of(format, traces, false)
    }

    /// The same, with rows also for the life of the processes, and a column for what they say.
    pub fn with_markers(format: Format, traces: &[Trace]) -> Exporter {
        Exporter::of(format, traces, true)
    }

    fn of(format: Format, traces: &[Trace], markers: bool) -> Exporter {
        let (csv, jsonl) = (Csv::new(markers), Jsonl::new(markers, traces));
        Exporter { format, text: Layout::of(traces), csv, jsonl }
    }

    /// Appends the line before the first event, if the format has one.
    pub fn begin(&self, out: &mut TextBuffer) {
        if self.format == Format::Csv {
            self.csv.begin(out);
        }
    }

    /// Gets the text of a mark that has come since, of the trace at this position.
    pub fn learn(&mut self, trace: u32, mark: &Mark) {
        self.text.learn(trace, mark);
        self.jsonl.learn(trace, mark);
    }

    /// Appends an event, if the format has a line for it.
    #[inline(always)]
    pub fn event(&mut self, event: &Event, out: &mut TextBuffer) {
        match self.format {
            Format::Text => self.text.event(event, out),
            Format::Csv => self.csv.event(event, out),
            Format::Jsonl => self.jsonl.event(event, out),
            Format::Sizes => sizes::event(event, out),
        }
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("format", &self.format).finish_non_exhaustive()
    }
}
