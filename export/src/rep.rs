//! `rep`: the traces of the malloc lab of "Computer Systems: A Programmer's Perspective".

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};

use mallook_analysis::{Block, Cause};
use mallook_reader::Event;
use rustc_hash::FxHashMap;

use super::export::{Export, Source};
use super::heap::{Change, LiveBlocks, Omitted};

/// Writes four numbers, which are known at the end, and a line a call, which wait in a file meanwhile.
pub struct Rep<'a> {
    live: LiveBlocks,
    lines: Lines,
    out: &'a mut dyn Write,
}

/// The lines so far.
struct Lines {
    file: BufWriter<File>,
    /// The numbers of live blocks, by address. A reallocation keeps the number.
    numbers: FxHashMap<u64, u64>,
    /// Numbers that were given to blocks.
    blocks: u64,
    operations: u64,
    /// Bytes that live, and the most that did.
    bytes: u64,
    peak: u64,
}

impl<'a> Rep<'a> {
    /// An export of one process.
    ///
    /// # Errors
    /// There is no room for a temporary file.
    pub fn new(source: Source<'a>, out: &'a mut dyn Write) -> io::Result<Rep<'a>> {
        let lines = Lines {
            file: BufWriter::new(tempfile::tempfile()?),
            numbers: FxHashMap::default(),
            blocks: 0,
            operations: 0,
            bytes: 0,
            peak: 0,
        };
        Ok(Rep { live: LiveBlocks::new(source.traces.len()), lines, out })
    }
}

impl Export for Rep<'_> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let mut grown = None;
        for change in self.live.changes(event) {
            match change {
                Change::Death(old, Cause::Grown) => grown = self.lines.death(old),
                Change::Death(old, _) => {
                    if let Some(number) = self.lines.death(old) {
                        self.lines.put(format_args!("f {number}"))?;
                    }
                }
                Change::Birth(new, _) => self.lines.birth(new, grown.take())?,
                Change::Failure | Change::Unknown(_) => {}
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<Omitted> {
        let Lines { file, peak, blocks, operations, .. } = &mut self.lines;
        // The suggested size of the heap, blocks, operations, and the weight among other traces.
        writeln!(self.out, "{peak}\n{blocks}\n{operations}\n1")?;
        file.flush()?;
        file.get_mut().rewind()?;
        io::copy(file.get_mut(), self.out)?;
        Ok(self.live.omitted())
    }
}

impl Lines {
    fn put(&mut self, line: std::fmt::Arguments) -> io::Result<()> {
        self.operations += 1;
        writeln!(self.file, "{line}")
    }

    /// The number that a block had.
    fn death(&mut self, old: &Block) -> Option<u64> {
        self.bytes = self.bytes.saturating_sub(old.size);
        self.numbers.remove(&old.address)
    }

    fn birth(&mut self, new: &Block, grown: Option<u64>) -> io::Result<()> {
        self.bytes = self.bytes.saturating_add(new.size);
        self.peak = self.peak.max(self.bytes);
        // Drivers take NULL for a failure, and some allocators have it for 0 bytes.
        let size = new.size.max(1);
        let number = grown.unwrap_or(self.blocks);
        self.numbers.insert(new.address, number);
        match grown {
            Some(_) => self.put(format_args!("r {number} {size}")),
            None => {
                self.blocks += 1;
                self.put(format_args!("a {number} {size}"))
            }
        }
    }
}
