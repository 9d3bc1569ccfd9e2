//! The header of a trace, and access to its blocks.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use mallook_format::ring::BlockCopy;
use mallook_format::{
    BLOCK_SIZE, Clock, FLAG_RESTART, FileHeader, HeaderError, LiveSnapshot, Loss, Mode, State,
};

use super::block::Block;
use super::damage::{Damage, DamageKind, DamageList};
use super::process;
use crate::error::Error;
use crate::source::Source;

/// Blocks that are searched for a magic where the header is damaged.
const SEARCHED: usize = 64;

/// An opened trace. Opening reads the header alone; blocks are read when they are asked for.
pub struct Trace<'a> {
    path: PathBuf,
    source: Source<'a>,
    header: FileHeader,
    live: LiveSnapshot,
    /// The header is undamaged.
    sound_header: bool,
    damage: Mutex<DamageList>,
}

impl Trace<'static> {
    /// Opens a file.
    ///
    /// # Errors
    /// The file cannot be read, or is no trace.
    pub fn open(path: &Path) -> Result<Trace<'static>, Error> {
        Trace::new(path, Source::open(path)?)
    }
}

impl<'a> Trace<'a> {
    /// Reads the header. `path` is only for messages.
    ///
    /// # Errors
    /// The header is not that of a trace, and no block is where one should be.
    pub fn new(path: &Path, source: Source<'a>) -> Result<Trace<'a>, Error> {
        let header = source.header();
        let mut damage = DamageList::default();
        let checked = check_header(&header, source.len());
        if let Err(error) = checked {
            let found = 1..source.len().div_ceil(BLOCK_SIZE as u64);
            if !found.take(SEARCHED).any(|index| source.peek_block(index).has_magic()) {
                return Err(Error::NoTrace { path: path.to_owned(), source: error });
            }
            damage.add(Damage::new(DamageKind::Header(error), 0));
        }
        Ok(Trace {
            path: path.to_owned(),
            live: source.live(),
            source,
            header,
            sound_header: checked.is_ok(),
            damage: Mutex::new(damage),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The part of the header that does not change.
    pub fn header(&self) -> &FileHeader {
        &self.header
    }

    /// Size of the file in bytes.
    pub fn size(&self) -> u64 {
        self.source.len()
    }

    /// The number of places after the header where a block may be.
    pub fn places(&self) -> u64 {
        let there = self.source.len().div_ceil(BLOCK_SIZE as u64).saturating_sub(1);
        match self.ring_blocks() {
            _ if !self.sound_header => there,
            // The file is longer than a ring that found no space for all of it.
            Some(blocks) => there.min(blocks),
            // The process may cut off the places after the last claimed block at any time.
            None => there.min(self.claimed()),
        }
    }

    /// Number of blocks that were claimed.
    pub fn claimed(&self) -> u64 {
        self.live.claimed()
    }

    /// Number of blocks of a ring; `None` for a growing file.
    pub fn ring_blocks(&self) -> Option<u64> {
        let ring = Mode::from_raw(self.header.mode) == Some(Mode::Ring);
        (ring && self.header.ring_blocks != 0).then_some(self.header.ring_blocks)
    }

    /// Number of call moments that could not be recorded, by cause.
    pub fn lost(&self) -> impl Iterator<Item = (Loss, u64)> {
        Loss::ALL.into_iter().zip(self.live.lost)
    }

    /// Why recording stopped before the process did, if it did.
    pub fn stopped(&self) -> Option<Loss> {
        self.live.control.stopped
    }

    /// The process, or a child in its memory, started a program with an environment that does not
    /// load the recorder.
    pub fn unloaded(&self) -> bool {
        self.live.control.unloaded
    }

    /// The process reached its clean end.
    pub fn ended(&self) -> bool {
        self.live.control.ended
    }

    /// The process still has the file mapped: it has neither ended nor replaced itself by exec.
    /// `false` for a process that we may not look at, or that is in another PID namespace.
    pub fn is_running(&self) -> bool {
        process::has_mapped(self.header.pid, &self.path)
    }

    /// The trace was recorded with [`Clock::Coarse`]: several events in a row can carry one time,
    /// and the order between threads is not always known.
    pub fn is_coarse(&self) -> bool {
        Clock::from_raw(self.header.clock) == Some(Clock::Coarse)
    }

    /// The damage found so far, and the number of further damaged places that are not described.
    /// Slots are checked when they are read.
    pub fn damage(&self) -> (Vec<Damage>, u64) {
        let list = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        (list.described.clone(), list.more)
    }

    pub(crate) fn report(&self, kind: DamageKind, offset: u64) {
        let mut list = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        list.add(Damage::new(kind, offset));
    }

    pub(crate) fn source(&self) -> &Source<'a> {
        &self.source
    }

    /// One thread has made all the events, so they are in order.
    pub(crate) fn has_one_writer(&self) -> bool {
        self.live.writers == 1
    }

    /// The trace has every allocation of the process: it did not inherit a heap by fork, and
    /// nothing was overwritten.
    pub(crate) fn is_complete(&self) -> bool {
        self.ring_blocks().is_none() && self.header.flags & FLAG_RESTART == 0
    }

    /// Reports blocks that the header counts and the file does not have.
    ///
    /// A killed process may leave blocks that were claimed and not opened, one a thread, and a full
    /// file system may leave a truncated last block. Opened blocks must be there.
    ///
    /// `opened` is the number of blocks that were found; `truncated`: the last of them is cut off.
    pub(crate) fn check_extent(&self, opened: u64, truncated: bool) {
        let size = self.source.len();
        if self.ring_blocks().is_some() {
            let blocks = self.header.ring_blocks.saturating_add(1);
            let expected = blocks.saturating_mul(BLOCK_SIZE as u64);
            if size < expected {
                self.report(DamageKind::TruncatedRing { found: size, expected }, size);
            }
            return;
        }
        let count = self.live.opened.saturating_sub(opened);
        if count != 0 {
            self.report(DamageKind::MissingBlocks { count }, size);
        }
        if truncated {
            self.report(DamageKind::TruncatedBlock, size);
        }
    }

    /// Copies a block. `false` if the process has reused it since it was found.
    pub(crate) fn copy(&self, block: &Block, copy: &mut BlockCopy) -> bool {
        let whole = self.source.copy_block(block.index, copy);
        // Only a sound first word says anything; a damaged one has been reported.
        let same = match (self.ring_blocks(), State::from_word(copy.header.state)) {
            (Some(blocks), Some(state)) if state.sequence % blocks == block.index - 1 => {
                state.sequence == block.sequence
            }
            _ => true,
        };
        whole && same
    }
}

impl fmt::Debug for Trace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace")
            .field("path", &self.path)
            .field("pid", &self.header.pid)
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

fn check_header(header: &FileHeader, length: u64) -> Result<(), HeaderError> {
    let expected = BLOCK_SIZE as u64;
    if length < expected {
        return Err(HeaderError::Short { found: length, expected });
    }
    header.verify()
}
