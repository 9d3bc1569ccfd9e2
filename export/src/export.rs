//! The common part of all formats.

use std::io;

use mallook_reader::{Event, Stacks, Trace};

use super::heap::Omitted;

/// Turns events into a file of another program.
pub trait Export {
    /// Takes the next event; events come in the order of time, as
    /// [`MergedEvents`](mallook_reader::MergedEvents) gives them.
    ///
    /// # Errors
    /// The file cannot be written.
    fn event(&mut self, event: &Event) -> io::Result<()>;

    /// The trace at this position has ended.
    fn ended(&mut self, _trace: u32) {}

    /// Writes what is left, after the last event; says what is not in the file.
    ///
    /// # Errors
    /// The file cannot be written.
    fn finish(&mut self) -> io::Result<Omitted>;
}

/// The traces that are exported.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Their order is that of [`Event::trace`].
    pub traces: &'a [Trace<'a>],
    /// The call stacks of each; none if nobody asks for them.
    pub stacks: &'a [Stacks<'a>],
}

impl<'a> Source<'a> {
    /// The call stacks of a trace.
    pub fn stacks_of(&self, trace: u32) -> Option<&'a Stacks<'a>> {
        self.stacks.get(trace as usize)
    }

    /// The executable of a trace.
    pub fn program(&self, trace: u32) -> String {
        let header = self.traces.get(trace as usize).map(Trace::header);
        let name = header.map(|header| String::from_utf8_lossy(header.executable()).into_owned());
        let name = name.filter(|name| !name.is_empty());
        mallook_reader::escape(name.as_deref().unwrap_or("[unknown program]")).into_owned()
    }

    /// The file name of the executable.
    pub fn short_program(&self, trace: u32) -> String {
        let program = self.program(trace);
        let name = program.rsplit('/').next().unwrap_or_default();
        if name.is_empty() { program } else { name.to_owned() }
    }

    /// The start of the first process, in Unix nanoseconds.
    pub fn start_ns(&self) -> u64 {
        self.traces.iter().map(|trace| trace.header().realtime_ns).min().unwrap_or(0)
    }
}
