//! `mtrace`: the lines of glibc's `mtrace()`, for mtrace(1).

use std::io::{self, Write};

use mallook_analysis::Cause;
use mallook_reader::{Event, EventKind, Frame};

use super::export::{Export, Source};
use super::function::{functions, innermost, module};
use super::heap::{Change, LiveBlocks, Omitted};

/// Writes a line a call, two a reallocation.
pub struct Mtrace<'a> {
    source: Source<'a>,
    live: LiveBlocks,
    out: &'a mut dyn Write,
}

impl<'a> Mtrace<'a> {
    /// An export of one process.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn new(source: Source<'a>, out: &'a mut dyn Write) -> io::Result<Mtrace<'a>> {
        writeln!(out, "= Start")?;
        Ok(Mtrace { source, live: LiveBlocks::new(source.traces.len()), out })
    }
}

impl Export for Mtrace<'_> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let EventKind::Call(call) = &event.kind else { return Ok(()) };
        let frame = innermost(self.source.stacks_of(event.trace), event.stack);
        let at = frame.map(|frame| format!("@ {} ", caller(&frame))).unwrap_or_default();
        let out = &mut self.out;
        for change in self.live.changes(event) {
            match change {
                Change::Death(old, Cause::Grown) => writeln!(out, "{at}< {:#x}", old.address)?,
                Change::Birth(new, Some(from)) if !from.was_replaced => {
                    writeln!(out, "{at}> {:#x} {:#x}", new.address, new.size)?;
                }
                Change::Death(old, _) => writeln!(out, "{at}- {:#x}", old.address)?,
                Change::Unknown(old) => writeln!(out, "{at}- {old:#x}")?,
                Change::Birth(new, _) => writeln!(out, "{at}+ {:#x} {:#x}", new.address, new.size)?,
                Change::Failure => {
                    match (call.old_address().unwrap_or(0), call.size().unwrap_or(0)) {
                        (0, size) => writeln!(out, "{at}+ (nil) {size:#x}")?,
                        (old, size) => writeln!(out, "{at}! {old:#x} {size:#x}")?,
                    }
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<Omitted> {
        writeln!(self.out, "= End")?;
        // Failed calls and unknown releases have lines.
        Ok(Omitted { failed: 0, unknown: 0, ..self.live.omitted() })
    }
}

/// The caller as one word: its name and line, or its module and address there, which mtrace(1) looks up.
fn caller(frame: &Frame) -> String {
    let function = functions(frame).swap_remove(0);
    match (function.is_named, module(frame), frame.address_in_file()) {
        (false, Some(module), Some(address)) => format!("{}:[{address:#x}]", word(&module)),
        _ => match function.place() {
            Some(place) => word(&format!("{}({place})", function.name)),
            None => word(&function.name),
        },
    }
}

/// The text without what mtrace(1) takes apart, or hands to a shell.
fn word(text: &str) -> String {
    let harmless = |character| match character {
        '[' => '{',
        ']' => '}',
        plain if plain.is_alphanumeric() => plain,
        plain if "/._-+=,:()<>{}~*@".contains(plain) => plain,
        _ => '_',
    };
    text.chars().map(harmless).collect()
}
