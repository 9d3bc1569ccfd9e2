//! Exports events in one of the formats.

use std::fmt;

use mallook_format::Kind;

use super::buffer::TextBuffer;
use super::csv::Csv;
use super::jsonl::Jsonl;
use super::sizes;
use super::text::Layout;
use crate::event::{Event, EventKind};
use crate::trace::Trace;

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
    markers: bool,
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
        let (csv, jsonl) = (Csv::new(markers), Jsonl::new(markers));
        Exporter { format, markers, text: Layout::of(traces), csv, jsonl }
    }

    /// Appends the line before the first event, if the format has one.
    pub fn begin(&self, out: &mut TextBuffer) {
        if self.format == Format::Csv {
            self.csv.begin(out);
        }
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

impl Exporter {
    /// Appends a row, if the format has one, that says how many calls of a trace are missing: at
    /// this time and at any other. `position` is that of the trace among those that are merged.
    pub fn lost(&mut self, trace: &Trace, position: usize, time_ns: u64, out: &mut TextBuffer) {
        let count = trace.lost().map(|(_, count)| count).fold(0, u64::saturating_add);
        if count == 0 || !self.markers {
            return;
        }
        let event = Event {
            time_ns,
            pid: trace.header().pid,
            tid: trace.header().pid,
            trace: position.try_into().unwrap_or(u32::MAX),
            kind: EventKind::Marker(Kind::End, 0),
        };
        match self.format {
            Format::Csv => self.csv.other(&event, "lost", count, out),
            Format::Jsonl => self.jsonl.other(&event, "lost", count, out),
            Format::Text | Format::Sizes => {}
        }
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("format", &self.format).finish_non_exhaustive()
    }
}
