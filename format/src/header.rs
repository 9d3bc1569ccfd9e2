//! Block 0: what is written once, before the first event.

use bytemuck::{Pod, Zeroable};

use crate::error::HeaderError;
use crate::layout::{BLOCK_SIZE, CURSOR_OFFSET, MAGIC, SLOT_SIZE, VERSION, until_zero};
use crate::raw::raw_enum;

/// Bit of [`FileHeader::flags`]: the process is a forked child that goes on without exec.
pub const FLAG_RESTART: u32 = 1;

/// Bit of [`FileHeader::flags`]: the program, or a library before the recorder, defines `malloc`.
/// Allocations that it does not pass on are not in the trace.
pub const FLAG_OTHER_MALLOC: u32 = 2;

/// Bit of [`FileHeader::flags`]: a tool has written the trace, which is a time range of another one.
pub const FLAG_CUT: u32 = 4;

/// Bit of [`FileHeader::flags`]: a tool has made the trace from a damaged one, so events may be missing.
pub const FLAG_OF_DAMAGED: u32 = 8;

/// The largest number of events of a thread that share one read of [`Clock::Coarse`].
pub const COARSE_EVENTS: u64 = 16;

raw_enum! {
    /// How the file is filled.
    pub enum Mode: u32 {
        /// Every event is kept; the file grows.
        Full = 1,
        /// The file has a fixed size and keeps the newest events.
        Ring = 2,
    }
}

raw_enum! {
    /// The unit of the ticks, and how often a thread reads them.
    pub enum Clock: u32 {
        /// The processor's time-stamp counter.
        Tsc = 1,
        /// Nanoseconds of `CLOCK_MONOTONIC`.
        Monotonic = 2,
        /// The time-stamp counter, read at least every [`COARSE_EVENTS`] events of a thread; the
        /// others carry the time of the last read.
        Coarse = 3,
    }
}

raw_enum! {
    /// How call stacks were taken.
    pub enum Stacks: u32 {
        /// Not at all.
        Off = 0,
        /// The return address of each call alone.
        Caller = 1,
        /// By frame pointers.
        FramePointers = 2,
        /// Whole, by the unwind tables.
        Full = 3,
    }
}

/// The part of the header that is written once, before the first event.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct FileHeader {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`VERSION`].
    pub version: u32,
    /// Size of this header in bytes.
    pub header_size: u32,
    /// Size of every block in bytes.
    pub block_size: u32,
    /// Size of every slot in bytes.
    pub slot_size: u32,
    /// Raw [`Mode`].
    pub mode: u32,
    /// Raw [`Clock`].
    pub clock: u32,
    /// Number of blocks after the header in a ring, 0 in full mode.
    pub ring_blocks: u64,
    /// Largest number of blocks in full mode, 0 for no bound.
    pub max_blocks: u64,
    /// Ticks at the moment of creation.
    pub ticks: u64,
    /// `CLOCK_MONOTONIC` at the same moment, in nanoseconds.
    pub monotonic_ns: u64,
    /// `CLOCK_REALTIME` at the same moment, in nanoseconds since 1970.
    pub realtime_ns: u64,
    /// Process ID.
    pub pid: u32,
    /// Parent's process ID.
    pub parent_pid: u32,
    /// Page size in bytes.
    pub page_size: u32,
    /// [`FLAG_RESTART`], [`FLAG_OTHER_MALLOC`], [`FLAG_CUT`], [`FLAG_OF_DAMAGED`].
    pub flags: u32,
    /// Unix seconds, as in the file's name.
    pub epoch: u64,
    /// The first of the blocks behind a ring that may hold call sites; 0 in full mode.
    pub site_start: u32,
    /// Their number.
    pub site_blocks: u32,
    /// Raw [`Stacks`].
    pub stacks: u32,
    /// Blocks from this header to that of the next trace in the same file, 0 if there is none.
    pub next_trace: u32,
    /// With [`FLAG_CUT`]: the start of the time range in nanoseconds since 1970, 0 for the start of
    /// the trace.
    pub cut_since_ns: u64,
    /// With [`FLAG_CUT`]: the end of the time range, [`u64::MAX`] for the end of the trace.
    pub cut_until_ns: u64,
    /// Host name, padded with zeros.
    pub hostname: [u8; 64],
    /// Path of the executable, padded with zeros.
    pub executable: [u8; 512],
    /// Zero-separated command line if it was asked for, padded with zeros.
    pub command_line: [u8; 1344],
}

const _: () = assert!(size_of::<FileHeader>() == CURSOR_OFFSET, "the live words follow it");
const _: () = assert!(core::mem::offset_of!(FileHeader, hostname) == 128, "as specified");

impl FileHeader {
    /// Checks every field that a decoder relies on.
    ///
    /// # Errors
    /// The first field whose value this version does not know.
    pub fn verify(&self) -> Result<(), HeaderError> {
        let field = |field, offset, found: u64, expected: u64| {
            if found == expected {
                Ok(())
            } else {
                Err(HeaderError::Field { field, offset, found, expected })
            }
        };
        field("magic", 0, u64::from_le_bytes(self.magic), u64::from_le_bytes(MAGIC))?;
        field("version", 8, self.version.into(), VERSION.into())?;
        field("header size", 12, self.header_size.into(), BLOCK_SIZE as u64)?;
        field("block size", 16, self.block_size.into(), BLOCK_SIZE as u64)?;
        field("slot size", 20, self.slot_size.into(), SLOT_SIZE as u64)?;
        if Mode::from_raw(self.mode).is_none() {
            field("mode", 24, self.mode.into(), Mode::Full as u64)?;
        }
        if Clock::from_raw(self.clock).is_none() {
            field("clock", 28, self.clock.into(), Clock::Tsc as u64)?;
        }
        if (self.mode == Mode::Ring as u32) == (self.ring_blocks == 0) {
            field("ring blocks", 32, self.ring_blocks, u64::from(self.ring_blocks == 0))?;
        }
        Ok(())
    }

    /// The host name.
    pub fn hostname(&self) -> &[u8] {
        until_zero(&self.hostname)
    }

    /// The path of the executable; empty if it was not known.
    pub fn executable(&self) -> &[u8] {
        until_zero(&self.executable)
    }

    /// The arguments; none if the command line was not asked for.
    pub fn arguments(&self) -> impl Iterator<Item = &[u8]> {
        let end = self.command_line.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        self.command_line[..end].split(|&byte| byte == 0).filter(move |_| end != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FileHeader {
        FileHeader {
            magic: MAGIC,
            version: VERSION,
            header_size: BLOCK_SIZE as u32,
            block_size: BLOCK_SIZE as u32,
            slot_size: SLOT_SIZE as u32,
            mode: Mode::Full as u32,
            clock: Clock::Tsc as u32,
            ..Zeroable::zeroed()
        }
    }

    #[test]
    fn a_wrong_field_is_named() {
        assert_eq!(header().verify(), Ok(()));
        let error = FileHeader { version: 9, ..header() }.verify().unwrap_err();
        assert_eq!(error.to_string(), "version at offset 8: found 0x9, expected 0x1");
        assert!(FileHeader { magic: *b"\x7fELF\0\0\0\0", ..header() }.verify().is_err());
        assert!(FileHeader { mode: 3, ..header() }.verify().is_err());
        assert!(FileHeader { ring_blocks: 7, ..header() }.verify().is_err());
        assert!(FileHeader { mode: Mode::Ring as u32, ..header() }.verify().is_err());
    }

    #[test]
    fn strings_end_at_the_first_zero_and_arguments_at_the_last() {
        let mut full = header();
        full.hostname[..5].copy_from_slice(b"a\0b\0c");
        full.command_line[..5].copy_from_slice(b"a\0\0bc");
        assert_eq!(full.hostname(), b"a");
        assert_eq!(full.arguments().collect::<Vec<_>>(), [&b"a"[..], b"", b"bc"]);
        assert_eq!(header().arguments().count(), 0);
    }
}
