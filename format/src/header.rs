//! Block 0.

use bytemuck::{Pod, Zeroable};

use crate::sync::{AtomicU64, Ordering};
use crate::{BLOCK_SIZE, HeaderError, Loss, SLOT_SIZE};

/// The first eight bytes of every trace.
pub const MAGIC: [u8; 8] = *b"MALLOOK\0";
/// The version that this crate writes and reads.
pub const VERSION: u32 = 1;
/// Offset of the claim cursor, alone in its 128 bytes.
pub const CURSOR_OFFSET: usize = 2048;
/// Offset of the number of blocks that were opened.
pub const OPENED_OFFSET: usize = 2056;
/// Offset of the number of threads that write.
pub const WRITERS_OFFSET: usize = 2064;
/// Offset of the control word.
pub const CONTROL_OFFSET: usize = 2176;
/// Offset of the first stripe of loss counters.
pub const LOSS_OFFSET: usize = 2304;
/// Number of stripes of loss counters; threads spread over them.
pub const LOSS_STRIPES: usize = 16;
/// Bit of the cursor: the process closed the trace and gave unused space back. Claims may still
/// follow.
pub const CURSOR_CLOSED: u64 = 1 << 63;
/// Bit of [`FileHeader::flags`]: the process is a forked child that goes on without exec.
pub const FLAG_RESTART: u32 = 1;

const STRIPE_BYTES: usize = 128;

/// How the file is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Mode {
    /// Every event is kept; the file grows.
    Full = 1,
    /// The file has a fixed size and keeps the newest events.
    Ring = 2,
}

impl Mode {
    /// The mode with this raw value, if there is one.
    pub const fn from_raw(raw: u32) -> Option<Mode> {
        match raw {
            1 => Some(Mode::Full),
            2 => Some(Mode::Ring),
            _ => None,
        }
    }
}

/// What the ticks count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Clock {
    /// The processor's time-stamp counter.
    Tsc = 1,
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    Monotonic = 2,
    /// The time-stamp counter, read at least every [`COARSE_EVENTS`] events of a thread; the others
    /// carry the time of the last read.
    Coarse = 3,
}

/// The most events of a thread to one read of [`Clock::Coarse`].
pub const COARSE_EVENTS: u64 = 16;

impl Clock {
    /// The clock with this raw value, if there is one.
    pub const fn from_raw(raw: u32) -> Option<Clock> {
        match raw {
            1 => Some(Clock::Tsc),
            2 => Some(Clock::Monotonic),
            3 => Some(Clock::Coarse),
            _ => None,
        }
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
    /// Blocks behind the header in a ring, 0 in full mode.
    pub ring_blocks: u64,
    /// Bound on the blocks in full mode, 0 for none.
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
    /// [`FLAG_RESTART`].
    pub flags: u32,
    /// Unix seconds, as in the file's name.
    pub epoch: u64,
    /// Zero.
    pub reserved: [u64; 4],
    /// Host name, padded with zeros.
    pub hostname: [u8; 64],
    /// Path of the executable, padded with zeros.
    pub executable: [u8; 512],
    /// Zero-separated command line where it was asked for, padded with zeros.
    pub command_line: [u8; 1344],
}

const _: () = assert!(size_of::<FileHeader>() == CURSOR_OFFSET, "the live words follow it");
const _: () = assert!(core::mem::offset_of!(FileHeader, hostname) == 128, "as specified");

/// The bytes up to the first zero.
pub(crate) fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or(bytes)
}

impl FileHeader {
    /// Checks everything that a decoder relies on.
    ///
    /// # Errors
    /// The first field that has a value which this version does not know.
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

    /// The path of the executable; empty where it was not to be had.
    pub fn executable(&self) -> &[u8] {
        until_zero(&self.executable)
    }

    /// The arguments; none where the command line was not asked for.
    pub fn arguments(&self) -> impl Iterator<Item = &[u8]> {
        let end = self.command_line.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        self.command_line[..end].split(|&byte| byte == 0).filter(move |_| end != 0)
    }
}

/// The control word, taken apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Bit 0: the process reached its clean end.
    pub ended: bool,
    /// Bits 8..16, cause + 1: recording stopped before the end of the process.
    pub stopped: Option<Loss>,
}

impl Control {
    /// Bit for a clean end.
    pub const ENDED: u64 = 1;

    /// The bits for a stop by this cause.
    pub const fn stopped_bits(cause: Loss) -> u64 {
        (cause as u64 + 1) << 8
    }

    /// Takes the word apart.
    pub fn from_word(word: u64) -> Control {
        let cause = (word >> 8) & 0xff;
        Control {
            ended: word & Control::ENDED != 0,
            stopped: cause.checked_sub(1).and_then(Loss::from_raw),
        }
    }
}

/// The words of the header that change while the process runs.
///
/// All of them are counters or flags of their own: nothing else is published through them, so all
/// accesses are `Relaxed`. What a claim number entitles to is governed by the state word of the
/// block ([`crate::ring`]).
#[repr(C)]
pub struct LiveWords {
    /// Blocks claimed so far, with [`CURSOR_CLOSED`]. Written by every thread that needs a block.
    pub cursor: AtomicU64,
    /// Blocks opened so far: what a reader has to find, however the process ended. Written by every
    /// thread that has opened a block.
    pub opened: AtomicU64,
    /// Threads that have written, or are about to: where there is one, its order is that of the
    /// trace. Written by every thread before its first event.
    pub writers: AtomicU64,
    pad0: [u64; STRIPE_BYTES / 8 - 3],
    /// [`Control`].
    pub control: AtomicU64,
    pad1: [u64; STRIPE_BYTES / 8 - 1],
    losses: [[AtomicU64; STRIPE_BYTES / 8]; LOSS_STRIPES],
}

#[cfg(not(loom))]
const _: () = {
    assert!(core::mem::offset_of!(LiveWords, opened) + CURSOR_OFFSET == OPENED_OFFSET);
    assert!(core::mem::offset_of!(LiveWords, writers) + CURSOR_OFFSET == WRITERS_OFFSET);
    assert!(core::mem::offset_of!(LiveWords, control) + CURSOR_OFFSET == CONTROL_OFFSET);
    assert!(core::mem::offset_of!(LiveWords, losses) + CURSOR_OFFSET == LOSS_OFFSET);
    assert!(size_of::<LiveWords>() + CURSOR_OFFSET <= BLOCK_SIZE);
};

impl LiveWords {
    /// Counts `count` events that could not be recorded. `spread` is any number that differs
    /// between threads.
    pub fn lose(&self, cause: Loss, spread: u32, count: u64) {
        let stripe = &self.losses[spread as usize % LOSS_STRIPES];
        stripe[cause as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// How many events could not be recorded for this cause.
    pub fn lost(&self, cause: Loss) -> u64 {
        let counts = self.losses.iter().map(|s| s[cause as usize].load(Ordering::Relaxed));
        counts.fold(0, u64::wrapping_add)
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

    #[test]
    fn the_control_word_comes_back() {
        assert_eq!(Control::from_word(0), Control::default());
        for cause in Loss::ALL {
            let word = Control::ENDED | Control::stopped_bits(cause);
            assert_eq!(Control::from_word(word), Control { ended: true, stopped: Some(cause) });
        }
    }
}
