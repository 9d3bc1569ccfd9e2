//! Events with their call stacks.

use std::fmt;

use rustc_hash::FxHashMap;

use super::buffer::TextBuffer;
use super::exporter::{Exporter, Format};
use super::frames;
use super::number::decimal;
use crate::event::Event;
use crate::stack::{Frame, StackId, Stacks};

/// Bytes of frames whose text is kept.
const MOST_KEPT: usize = 8 << 20;

/// Writes events and their call stacks: in text, frames are lines below the event; in JSON, they are
/// objects in it, as `stack`; in csv, stacks are numbers in a last column, 0 for none, and their frames
/// are rows of a [table](StackExporter::table) of their own.
pub struct StackExporter<'a> {
    exporter: Exporter,
    format: Format,
    /// Those of each trace.
    stacks: &'a [Stacks<'a>],
    /// The numbers that stacks have in csv, by trace and number there; 0 for none.
    numbers: Vec<Vec<u32>>,
    last_number: u32,
    with_table: bool,
    table: TextBuffer,
    /// The text of frames, by trace and site, and its length.
    kept: FxHashMap<(u32, u32), Box<str>>,
    kept_bytes: usize,
}

impl<'a> StackExporter<'a> {
    /// Adds stacks to what the exporter of this format writes. `stacks` are those of each trace.
    pub fn new(exporter: Exporter, format: Format, stacks: &'a [Stacks<'a>]) -> StackExporter<'a> {
        let mut table = TextBuffer::new();
        table.put(frames::TABLE);
        StackExporter {
            exporter,
            format,
            stacks,
            numbers: vec![Vec::new(); stacks.len()],
            last_number: 0,
            with_table: false,
            table,
            kept: FxHashMap::default(),
            kept_bytes: 0,
        }
    }

    /// The exporter without stacks, to go on with others.
    pub fn into_exporter(self) -> Exporter {
        self.exporter
    }

    /// Makes rows of the table of stacks, too.
    #[must_use]
    pub fn with_table(self) -> StackExporter<'a> {
        StackExporter { with_table: true, ..self }
    }

    /// Appends the line before the first event, if the format has one.
    pub fn begin(&self, out: &mut TextBuffer) {
        self.exporter.begin(out);
        if self.format == Format::Csv {
            out.take_back(1);
            out.put(b",stack\n");
        }
    }

    /// Appends an event, if the format has a line for it.
    pub fn event(&mut self, event: &Event, out: &mut TextBuffer) {
        let before = out.len();
        self.exporter.event(event, out);
        if out.len() == before {
            return;
        }
        match self.format {
            Format::Csv => {
                out.take_back(1);
                out.put(b",");
                decimal(self.number(event).into(), out);
                out.put(b"\n");
            }
            Format::Jsonl => {
                if let Some(stack) = event.stack {
                    out.take_back(2);
                    out.put(b",\"stack\":");
                    let mut separator: &[u8] = b"[";
                    self.frames(event.trace, stack, frames::objects, |frame| {
                        out.put(separator);
                        out.put(frame.as_bytes());
                        separator = b",";
                    });
                    out.put(if separator == b"[" { b"[]}\n" } else { b"]}\n" });
                }
            }
            Format::Text => {
                if let Some(stack) = event.stack {
                    self.frames(event.trace, stack, frames::lines, |it| out.put(it.as_bytes()));
                }
            }
            Format::Sizes => {}
        }
    }

    /// The rows of the table that were made since it was cleared, if it is [made](Self::with_table); its
    /// first one is that of the names of its columns.
    ///
    /// `frame` is 0 for the innermost one; several rows have one number where the compiler has put
    /// functions into others.
    pub fn table(&mut self) -> &mut TextBuffer {
        &mut self.table
    }

    /// The number of the event's stack in csv; rows of the table are made of a new one.
    fn number(&mut self, event: &Event) -> u32 {
        let Some(stack) = event.stack else { return 0 };
        let Some(numbers) = self.numbers.get_mut(event.trace as usize) else { return 0 };
        let place = stack.number() as usize;
        if place >= numbers.len() {
            numbers.resize(place + 1, 0);
        }
        if numbers[place] == 0 {
            self.last_number += 1;
            numbers[place] = self.last_number;
            let (number, stacks) = (self.last_number, &self.stacks[event.trace as usize]);
            let frames = self.with_table.then(|| stacks.frames(stack));
            for (position, frame) in frames.into_iter().flatten().enumerate() {
                for row in frames::rows(&frame) {
                    self.table.put(format!("{number},{position},{row}").as_bytes());
                }
            }
        }
        numbers[place]
    }

    /// The text of each frame, which is made once for each site.
    fn frames(
        &mut self,
        trace: u32,
        stack: StackId,
        make: fn(&Frame, &mut String),
        mut each: impl FnMut(&str),
    ) {
        let Some(stacks) = self.stacks.get(trace as usize) else { return };
        for site in stacks.sites_of(stack) {
            if let Some(text) = self.kept.get(&(trace, site.0)) {
                each(text);
                continue;
            }
            let mut text = String::new();
            make(&stacks.frame(site), &mut text);
            each(&text);
            if self.kept_bytes + text.len() > MOST_KEPT {
                self.kept.clear();
                self.kept_bytes = 0;
            }
            self.kept_bytes += text.len();
            self.kept.insert((trace, site.0), text.into());
        }
    }
}

impl fmt::Debug for StackExporter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackExporter").field("exporter", &self.exporter).finish_non_exhaustive()
    }
}
