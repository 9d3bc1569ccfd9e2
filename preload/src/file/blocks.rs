//! The open file, and the claims of its blocks.

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

use mallook_format::ring::{self, BlockCell};
use mallook_format::{BLOCK_SIZE, CURSOR_CLOSED, CURSOR_OFFSET, LiveWords, Loss, Mode, State};

use super::descriptor::Descriptor;
use super::windows::{FIRST_MAPPING, Windows};

/// The open file of a process, in memory that is wiped on fork: all zero while no file is open. The
/// fields are written by the thread that opens the session, and published with it.
#[repr(C)]
pub struct TraceFile {
    /// Address of the header's mapping, 0 for none.
    base: AtomicUsize,
    /// Raw [`Mode`].
    mode: AtomicU32,
    /// Number of blocks of a ring, without the header; 0 in full mode.
    ring_blocks: AtomicU64,
    /// Largest number of blocks in full mode, without the header; 0 for no bound.
    max_blocks: AtomicU64,
    /// Our descriptor; a ring needs none.
    pub descriptor: Descriptor,
    /// The mappings in full mode. Last: a process that records nothing touches the fields above
    /// only.
    windows: Windows,
}

/// The mode and the size of a file, as in its header.
#[derive(Clone, Copy)]
pub struct Shape {
    pub mode: Mode,
    /// Number of blocks of a ring, without the header; 0 in full mode.
    pub ring_blocks: u64,
    /// Largest number of blocks in full mode, without the header; 0 for no bound.
    pub max_blocks: u64,
}

impl Shape {
    /// Length in bytes of the first mapping: all of a ring.
    pub fn first_mapping(&self) -> usize {
        match self.mode {
            Mode::Ring => (self.ring_blocks as usize + 1) * BLOCK_SIZE,
            Mode::Full => FIRST_MAPPING,
        }
    }
}

/// A block that was taken for the calling thread, which has to open it.
pub struct Claimed {
    pub block: &'static BlockCell,
    pub state: State,
}

impl TraceFile {
    /// Enters a file whose header is mapped here, [`Shape::first_mapping`] bytes long, for the life
    /// of the process.
    pub fn enter(&self, header: *mut u8, shape: Shape) {
        self.mode.store(shape.mode as u32, Relaxed);
        self.ring_blocks.store(shape.ring_blocks, Relaxed);
        self.max_blocks.store(shape.max_blocks, Relaxed);
        if shape.mode == Mode::Full {
            self.windows.set_first(header);
        }
        self.base.store(header as usize, Relaxed);
    }

    /// How the file is filled.
    pub fn mode(&self) -> Mode {
        Mode::from_raw(self.mode.load(Relaxed)).unwrap_or(Mode::Full)
    }

    /// The changing words of the header, if there is one.
    pub fn live(&self) -> Option<&'static LiveWords> {
        // Relaxed: the stage of the session was read before, or only the counters are needed.
        let base = self.base.load(Relaxed);
        let words = base.checked_add(CURSOR_OFFSET)? as *const LiveWords;
        // SAFETY: `base` is the header's mapping, which stays for the life of the process; the
        // words are atomics at a properly aligned offset of it.
        (base != 0).then(|| unsafe { &*words })
    }

    /// Claims the next block for the calling thread. `is_closing` says whether the end of the file
    /// is being cut off at the moment. `evict` is as in [`ring::take_next`].
    ///
    /// # Errors
    /// The file may not or cannot grow, or every block of a ring is in use.
    pub fn claim(
        &self,
        is_closing: impl FnOnce() -> bool,
        evict: impl Fn(u64) -> bool,
    ) -> Result<Claimed, Loss> {
        match self.mode() {
            Mode::Full => self.claim_next(is_closing),
            Mode::Ring => self.claim_free(evict),
        }
    }

    fn claim_next(&self, is_closing: impl FnOnce() -> bool) -> Result<Claimed, Loss> {
        let live = self.live().ok_or(Loss::Mapping)?;
        // Relaxed: the number alone is the entitlement; a block in full mode is used once.
        let cursor = live.cursor.fetch_add(1, Relaxed);
        let (sequence, given_back) = (cursor & !CURSOR_CLOSED, cursor & CURSOR_CLOSED != 0);
        let max = self.max_blocks.load(Relaxed);
        if max != 0 && sequence >= max {
            return Err(Loss::Limit);
        }
        if given_back && is_closing() {
            return Err(Loss::Waiting);
        }
        let block = self.windows.block(&self.descriptor, sequence, max, given_back)?;
        let state = block.take(sequence).map_err(|_| Loss::Mapping)?;
        Ok(Claimed { block, state })
    }

    fn claim_free(&self, evict: impl Fn(u64) -> bool) -> Result<Claimed, Loss> {
        let live = self.live().ok_or(Loss::Mapping)?;
        let blocks = self.ring_blocks.load(Relaxed);
        if blocks == 0 {
            return Err(Loss::Mapping);
        }
        let block = |sequence: u64| {
            let position = (sequence % blocks) as usize + 1;
            let address = self.base.load(Relaxed) + position * BLOCK_SIZE;
            // SAFETY: all blocks of a ring are mapped with the header, for the life of the process.
            unsafe { &*(address as *const BlockCell) }
        };
        let tries = blocks.saturating_mul(2);
        let (block, state) =
            ring::take_next(&live.cursor, tries, block, evict).ok_or(Loss::Busy)?;
        Ok(Claimed { block, state })
    }

    /// Notes that the block of this claim was closed: nobody writes there again.
    pub fn note_closed(&self, sequence: u64) {
        if self.mode() == Mode::Full {
            self.windows.note_closed(sequence);
        }
    }
}
