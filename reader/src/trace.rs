//! One trace: its header, how far it reaches, and what is wrong with it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use mallook_format::ring::BlockCopy;
use mallook_format::{
    BLOCK_SIZE, CURSOR_CLOSED, Clock, FLAG_RESTART, FileHeader, Loss, Mode, State,
};

use crate::index::{Block, Blocks};
use crate::source::LiveCopy;
use crate::{ClockMap, Damage, Error, Source};

/// Blocks that are searched for a magic where the header is damaged.
const SEARCHED: usize = 64;
/// Damage that is described one by one.
const MOST_DAMAGE: usize = 100;

/// A trace that has been opened: its header was read. Its blocks are found when they are asked for.
pub struct Trace<'a> {
    path: PathBuf,
    source: Source<'a>,
    header: FileHeader,
    live: LiveCopy,
    /// The header says what it has to.
    sound_header: bool,
    clock: OnceLock<ClockMap>,
    damage: Mutex<DamageList>,
}

#[derive(Default)]
struct DamageList {
    described: Vec<Damage>,
    more: u64,
}

impl Trace<'static> {
    /// Opens a file.
    ///
    /// # Errors
    /// It cannot be read, or is no trace.
    pub fn open(path: &Path) -> Result<Trace<'static>, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let source = Source::open(&file).map_err(io)?;
        Trace::new(path, source)
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
        if let Err(error) = &checked {
            let found = 1..source.len().div_ceil(BLOCK_SIZE as u64);
            if !found.take(SEARCHED).any(|index| source.peek_block(index).has_magic()) {
                return Err(Error::NoTrace { path: path.to_owned(), source: *error });
            }
            damage.add(Damage::new(0, error.to_string(), "the header of a trace"));
        }
        Ok(Trace {
            path: path.to_owned(),
            live: source.live(),
            source,
            header,
            sound_header: checked.is_ok(),
            clock: OnceLock::new(),
            damage: Mutex::new(damage),
        })
    }

    /// The number of places behind the header where a block may be.
    pub fn places(&self) -> u64 {
        let there = self.source.len().div_ceil(BLOCK_SIZE as u64).saturating_sub(1);
        match self.sound_header && self.ring_blocks().is_none() {
            // What is behind may be cut off by the process at any time.
            true => there.min(self.claimed()),
            false => there,
        }
    }

    /// The blocks of events, as they stand in the file.
    pub fn blocks(&self) -> Blocks<'_> {
        Blocks::of(self)
    }

    pub(crate) fn source(&self) -> &Source<'a> {
        &self.source
    }

    /// Whether the file has the blocks that its header speaks of.
    ///
    /// A process that is killed may leave blocks that were claimed and not opened, one a thread, and
    /// a file system that is full a ragged end. What was opened must be there.
    ///
    /// `opened` is the number of blocks that were found, `ragged` that the last of them is cut off.
    pub(crate) fn check_extent(&self, opened: u64, ragged: bool) {
        if self.ring_blocks().is_some() {
            let expected =
                (self.header.ring_blocks.saturating_add(1)).saturating_mul(BLOCK_SIZE as u64);
            if self.source.len() < expected {
                let found = format!("{} bytes", self.source.len());
                self.report(Damage::new(self.source.len(), found, format!("{expected} bytes")));
            }
            return;
        }
        let missing = self.live.opened.saturating_sub(opened);
        if missing != 0 {
            let expected = format!("{missing} more blocks that were opened");
            self.report(Damage::new(self.source.len(), "the end of the file, or holes", expected));
        }
        if ragged {
            let found = "the end of the file";
            self.report(Damage::new(self.source.len(), found, "the rest of a block"));
        }
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

    /// One thread has made all the events, so that they are in order.
    pub(crate) fn has_one_writer(&self) -> bool {
        self.live.writers == 1
    }

    /// Whether all that the process ever allocated is in the trace: it was not forked with a heap,
    /// and nothing was overwritten.
    pub(crate) fn is_complete(&self) -> bool {
        self.ring_blocks().is_none() && self.header.flags & FLAG_RESTART == 0
    }

    /// Times are those of the last few events; order between threads is not always known.
    pub fn is_coarse(&self) -> bool {
        Clock::from_raw(self.header.clock) == Some(Clock::Coarse)
    }

    /// The conversion of ticks to time, from all blocks of the trace.
    pub fn clock(&self) -> &ClockMap {
        self.clock.get_or_init(|| {
            let blocks = Blocks::between(self, 1, self.places() + 1);
            ClockMap::of(self, blocks.map(|block| (block.base_ticks, block.base_ns)).collect())
        })
    }

    /// Blocks that were claimed.
    pub fn claimed(&self) -> u64 {
        self.live.cursor & !CURSOR_CLOSED
    }

    /// Number of blocks of a ring, if it is one.
    pub fn ring_blocks(&self) -> Option<u64> {
        let ring = Mode::from_raw(self.header.mode) == Some(Mode::Ring);
        (ring && self.header.ring_blocks != 0).then_some(self.header.ring_blocks)
    }

    /// Events that could not be recorded, by cause.
    pub fn lost(&self) -> impl Iterator<Item = (Loss, u64)> {
        Loss::ALL.into_iter().zip(self.live.lost)
    }

    /// Recording stopped before the process did.
    pub fn stopped(&self) -> Option<Loss> {
        self.live.control.stopped
    }

    /// The process reached its clean end.
    pub fn ended(&self) -> bool {
        self.live.control.ended
    }

    /// What was found damaged up to now, and how much more than is described. Slots are looked at
    /// when they are read.
    pub fn damage(&self) -> (Vec<Damage>, u64) {
        let list = self.damage.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (list.described.clone(), list.more)
    }

    pub(crate) fn report(&self, damage: Damage) {
        self.damage.lock().unwrap_or_else(std::sync::PoisonError::into_inner).add(damage);
    }

    /// Copies a block. `false` if the process has reused it since it was found.
    pub(crate) fn copy(&self, block: &Block, copy: &mut BlockCopy) -> bool {
        let whole = self.source.copy_block(block.index, copy);
        // Only a first word that is sound says anything; a damaged one has been reported.
        let same = match (self.ring_blocks(), State::from_word(copy.header.state)) {
            (Some(blocks), Some(state)) if state.sequence % blocks == block.index - 1 => {
                state.sequence == block.sequence
            }
            _ => true,
        };
        whole && same
    }

    /// The offset in the file of a slot, in bytes.
    pub(crate) fn slot_offset(block: &Block, slot: usize) -> u64 {
        let header = mallook_format::BLOCK_HEADER_SIZE;
        block.index * BLOCK_SIZE as u64 + (header + slot * mallook_format::SLOT_SIZE) as u64
    }
}

impl DamageList {
    fn add(&mut self, damage: Damage) {
        if self.described.contains(&damage) {
            return;
        }
        if self.described.len() < MOST_DAMAGE {
            self.described.push(damage);
        } else {
            self.more += 1;
        }
    }
}

fn check_header(header: &FileHeader, length: u64) -> Result<(), mallook_format::HeaderError> {
    let expected = BLOCK_SIZE as u64;
    if length < expected {
        return Err(mallook_format::HeaderError::Short { found: length, expected });
    }
    header.verify()
}
