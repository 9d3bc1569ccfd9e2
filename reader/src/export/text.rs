//! `text`: one aligned line an event.

use std::io::Write;

use mallook_format::Kind;

use super::buffer::TextBuffer;
use super::marks::Marks;
use super::number::{decimal, hexadecimal};
use crate::event::{Call, Event, EventKind, Gap, Grouped};
use crate::trace::{Mark, Trace};

/// The layout of all lines.
pub struct Layout {
    /// Unix time of the first trace's start, in nanoseconds.
    start_ns: u64,
    /// Lines say the process, since there are several.
    processes: bool,
    marks: Marks,
}

impl Layout {
    pub fn of(traces: &[Trace]) -> Layout {
        let starts = traces.iter().map(|trace| trace.header().realtime_ns);
        Layout {
            start_ns: starts.min().unwrap_or(0),
            processes: traces.len() > 1,
            marks: Marks::of(traces),
        }
    }

    pub fn learn(&mut self, trace: u32, mark: &Mark) {
        self.marks.learn(trace, mark);
    }

    pub fn event(&self, event: &Event, out: &mut TextBuffer) {
        let since = event.time_ns.saturating_sub(self.start_ns);
        let (seconds, nanoseconds) = (since / 1_000_000_000, since % 1_000_000_000);
        // Writing to memory does not fail.
        let _ = write!(out, "{seconds:>5}.{nanoseconds:09}  ");
        let _ = match self.processes {
            true => write!(out, "{:>7}/{:<7}  ", event.pid, event.tid),
            false => write!(out, "{:>7}  ", event.tid),
        };
        match event.kind {
            EventKind::Call(call) => write_call(&call, out),
            EventKind::Marker(Kind::Mark, place) => {
                let _ = match self.marks.get(event.trace, place) {
                    Some(mark) => write!(out, "--- mark: {mark}"),
                    None => write!(out, "--- mark {place}"),
                };
            }
            EventKind::Marker(kind, pid) => write_marker(kind, pid, event.pid, out),
            EventKind::Missing(Gap::Overwritten, count) => {
                let _ = write!(out, "--- {} events overwritten here", Grouped(count));
            }
            EventKind::Missing(Gap::Lost, count) => {
                let _ = write!(out, "--- {} events lost, here or before", Grouped(count));
            }
        }
        out.put(b"\n");
    }
}

/// `realloc(0x55d0…, 128) = 0x55d1…`
fn write_call(call: &Call, out: &mut TextBuffer) {
    out.put(call.name().as_bytes());
    out.put(b"(");
    let mut first = true;
    let mut argument =
        |value: Option<u64>, write: fn(u64, &mut TextBuffer), out: &mut TextBuffer| {
            if let Some(value) = value {
                if !std::mem::take(&mut first) {
                    out.put(b", ");
                }
                write(value, out);
            }
        };
    if call.kind.first_half().is_some() {
        match call.old_address() {
            Some(0) => argument(Some(0), |_, out| out.put(b"NULL"), out),
            Some(old) => argument(Some(old), hexadecimal, out),
            None => argument(Some(0), |_, out| out.put(b"?"), out),
        }
    }
    if call.kind.is_death() {
        argument(call.address(), hexadecimal, out);
    }
    argument(call.alignment(), decimal, out);
    argument(call.size(), decimal, out);
    out.put(b")");
    if call.kind.is_birth() {
        out.put(b" = ");
        match call.address() {
            Some(0) if call.failed() => out.put(b"NULL (failed)"),
            Some(0) => out.put(b"NULL"),
            Some(address) => hexadecimal(address, out),
            None => out.put(b"? (unfinished)"),
        }
    }
}

fn write_marker(kind: Kind, pid: u32, own: u32, out: &mut TextBuffer) {
    let _ = match kind {
        Kind::Start => write!(out, "--- process {own} starts"),
        Kind::Restart => write!(out, "--- process {own} starts, forked from {pid}"),
        Kind::Forking => write!(out, "--- about to fork"),
        Kind::Forked => write!(out, "--- forked process {pid}"),
        Kind::Exec if pid == own || pid == 0 => write!(out, "--- about to exec"),
        Kind::Exec => write!(out, "--- process {pid}, which shares our memory, about to exec"),
        Kind::Exit if pid == own || pid == 0 => write!(out, "--- about to exit"),
        Kind::Exit => write!(out, "--- process {pid}, which shares our memory, about to exit"),
        Kind::End => write!(out, "--- ends"),
        Kind::Paused => write!(out, "--- recording pauses"),
        Kind::Resumed => write!(out, "--- recording goes on"),
        other => write!(out, "--- {}", other.name()),
    };
}
