//! `memory_replay`: the records of Android's `malloc_debug`, which memory_replay replays.

use std::io::{self, Write};

use mallook_analysis::{Block, Cause};
use mallook_format::Kind;
use mallook_reader::{Call, Event, EventKind};

use super::export::{Export, Source};
use super::heap::{Change, LiveBlocks, Omitted};

/// The alignment of `valloc` and `pvalloc`.
const PAGE: u64 = 4096;

/// Writes a line a call.
pub struct MemoryReplay<'a> {
    live: LiveBlocks,
    out: &'a mut dyn Write,
}

impl<'a> MemoryReplay<'a> {
    /// An export of one process.
    pub fn new(source: Source<'a>, out: &'a mut dyn Write) -> MemoryReplay<'a> {
        MemoryReplay { live: LiveBlocks::new(source.traces.len()), out }
    }
}

impl Export for MemoryReplay<'_> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let EventKind::Call(call) = &event.kind else { return Ok(()) };
        let &Event { tid, time_ns: end, .. } = event;
        let start = call.death_ns().unwrap_or(end);
        let mut grown = None;
        for change in self.live.changes(event) {
            let line = match change {
                Change::Death(old, Cause::Grown) => {
                    grown = Some(old.address);
                    continue;
                }
                Change::Death(old, _) => format!("free {:#x}", old.address),
                Change::Birth(new, _) => allocation(call, new, grown.take()),
                Change::Failure | Change::Unknown(_) => continue,
            };
            writeln!(self.out, "{tid}: {line} {start} {end}")?;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<Omitted> {
        Ok(self.live.omitted())
    }
}

fn allocation(call: &Call, new: &Block, old: Option<u64>) -> String {
    let &Block { address, size, .. } = new;
    let is_page = matches!(call.kind, Kind::Valloc | Kind::Pvalloc);
    let alignment = call.alignment().or(is_page.then_some(PAGE));
    match (old, alignment) {
        (Some(old), _) => format!("realloc {address:#x} {old:#x} {size}"),
        (None, Some(alignment)) => format!("memalign {address:#x} {alignment} {size}"),
        (None, None) if call.kind == Kind::Calloc => format!("calloc {address:#x} 1 {size}"),
        (None, None) => format!("malloc {address:#x} {size}"),
    }
}
