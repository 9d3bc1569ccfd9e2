//! One trace: its header, which blocks it has, and what is wrong with it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use mallook_format::ring::BlockCopy;
use mallook_format::{
    BLOCK_SIZE, BlockHeader, BlockKind, CURSOR_CLOSED, FLAG_RESTART, FileHeader, Loss, Mode, Phase,
    State,
};
use rustc_hash::FxHashSet;

use crate::decode::Decoder;
use crate::source::LiveCopy;
use crate::{ClockMap, Damage, Error, Source};

/// What a block is used for.
enum Use {
    Events(Block),
    /// It was taken again and not opened yet; so many moments were in it before.
    Preparing {
        overwritten: u64,
    },
    Other,
}

/// Traces of up to so many blocks are searched for ties within blocks as well.
const SHORT: usize = 64;
/// Damage that is described one by one.
const MOST_DAMAGE: usize = 100;

/// A trace that has been opened: its header was read, its blocks were found.
pub struct Trace<'a> {
    path: PathBuf,
    source: Source<'a>,
    header: FileHeader,
    live: LiveCopy,
    blocks: Vec<Block>,
    clock: ClockMap,
    threads: usize,
    /// Moments overwritten in blocks that hold no events now.
    overwritten: u64,
    damage: Mutex<DamageList>,
}

/// Where a block of events is, and when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Position in the file, in blocks.
    pub index: u64,
    /// Number of its claim.
    pub sequence: u64,
    /// Parity of the slots that belong to it.
    pub parity: u64,
    /// Base of its ticks; none of its moments is earlier.
    pub base_ticks: u64,
    /// The block was never used before: no slot of another parity stands in it.
    pub first_use: bool,
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
    /// Reads the header and finds the blocks. `path` is only for messages.
    ///
    /// # Errors
    /// The header is not that of a trace, and no block is where one should be.
    pub fn new(path: &Path, source: Source<'a>) -> Result<Trace<'a>, Error> {
        let header = source.header();
        let live = source.live();
        let mut damage = DamageList::default();
        let checked = check_header(&header, source.len());
        if let Err(error) = checked {
            let found = 1..source.len().div_ceil(BLOCK_SIZE as u64);
            if !found.take(SHORT).any(|index| source.peek_block(index).has_magic()) {
                return Err(Error::NoTrace { path: path.to_owned(), source: error });
            }
            damage.add(Damage::new(0, error.to_string(), "the header of a trace"));
        }
        let mut trace = Trace {
            path: path.to_owned(),
            clock: ClockMap::new(&header, Vec::new()),
            source,
            header,
            live,
            blocks: Vec::new(),
            threads: 0,
            overwritten: 0,
            damage: Mutex::new(damage),
        };
        trace.find_blocks(checked.is_ok());
        trace.clock = ClockMap::new(&trace.header, trace.ties());
        Ok(trace)
    }

    fn find_blocks(&mut self, sound_header: bool) {
        let mut threads = FxHashSet::default();
        let mut opened = 0;
        let mut available = self.source.len().div_ceil(BLOCK_SIZE as u64).saturating_sub(1);
        if sound_header && self.ring_blocks().is_none() {
            // What is behind may be cut off by the process at any time.
            available = available.min(self.claimed());
        }
        for index in 1..=available {
            let header = self.source.peek_block(index);
            if header.state == 0 && header.ident == 0 {
                continue;
            }
            match self.identify(index, &header) {
                Ok(Use::Events(block)) => {
                    opened += 1;
                    threads.insert(header.tid());
                    self.blocks.push(block);
                }
                Ok(Use::Preparing { overwritten }) => {
                    self.overwritten = self.overwritten.saturating_add(overwritten);
                }
                Ok(Use::Other) => opened += 1,
                Err(damage) => self.report(damage),
            }
        }
        self.threads = threads.len();
        self.check_extent(opened);
        self.blocks.sort_unstable_by_key(|block| (block.base_ticks, block.sequence));
    }

    /// What a block is used for.
    fn identify(&self, index: u64, header: &BlockHeader) -> Result<Use, Damage> {
        let offset = index * BLOCK_SIZE as u64;
        let state = State::from_word(header.state).filter(|state| match self.ring_blocks() {
            Some(blocks) => state.sequence % blocks == index - 1,
            None => state.sequence == index - 1,
        });
        let state = match (state, header.has_magic()) {
            (Some(State { phase: Phase::Preparing, parity, .. }), _) => {
                let overwritten = header.totals[(parity ^ 1) as usize];
                return Ok(Use::Preparing { overwritten });
            }
            (Some(state), true) => state,
            (Some(state), false) => {
                let found = format!("{:#x}", header.ident as u32);
                self.report(Damage::new(offset + 24, found, "\"BLK1\", the magic of a block"));
                state
            }
            (None, true) => {
                let found = format!("{:#x}", header.state);
                self.report(Damage::new(offset, found, format!("the state of block {index}")));
                self.guess_state(index)
            }
            (None, false) => {
                return Err(Damage::new(offset, "no block", "a block, which is left out"));
            }
        };
        if header.has_magic() && header.raw_kind() != BlockKind::Events as u16 {
            let known = header.raw_kind() == BlockKind::Metadata as u16;
            let found = format!("a block of kind {}", header.raw_kind());
            let damage = Damage::new(offset + 28, found, "a block of events");
            return if known { Ok(Use::Other) } else { Err(damage) };
        }
        let State { sequence, parity, .. } = state;
        let first_use = self.ring_blocks().is_none_or(|blocks| sequence < blocks);
        let base_ticks = header.base_ticks;
        Ok(Use::Events(Block { index, sequence, parity, base_ticks, first_use }))
    }

    /// The state of a block whose first word is damaged, from what its first slot says.
    fn guess_state(&self, index: u64) -> State {
        let mut copy = BlockCopy::EMPTY;
        let _ = self.source.copy_block(index, &mut copy);
        let first = copy.slots.iter().find(|slot| slot.raw_kind() != 0);
        let parity = first.map_or(1, |slot| slot.parity());
        State { sequence: index - 1, parity, phase: Phase::Open }
    }

    /// Whether the file has the blocks that its header speaks of.
    ///
    /// A process that is killed may leave blocks that were claimed and not opened, one a thread, and
    /// a file system that is full a ragged end. What was opened must be there.
    fn check_extent(&self, opened: u64) {
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
        let last = self.source.len() / BLOCK_SIZE as u64;
        if self.blocks.last().is_some_and(|block| block.index == last) {
            let found = "the end of the file";
            self.report(Damage::new(self.source.len(), found, "the rest of a block"));
        }
    }

    fn ties(&self) -> Vec<(u64, u64)> {
        let mut ties = Vec::with_capacity(self.blocks.len());
        let mut copy = BlockCopy::EMPTY;
        for block in &self.blocks {
            let header = self.source.peek_block(block.index);
            ties.push((header.base_ticks, header.base_ns));
            if self.blocks.len() <= SHORT && self.source.copy_block(block.index, &mut copy) {
                ties.extend(Decoder::ties(&copy, block.parity));
            }
        }
        ties
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

    /// The blocks of events, by the time at which they start.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Number of threads that blocks were claimed by.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// Moments overwritten in blocks that hold no events now.
    pub(crate) fn overwritten(&self) -> u64 {
        self.overwritten
    }

    /// Whether all that the process ever allocated is in the trace: it was not forked with a heap,
    /// and nothing was overwritten.
    pub(crate) fn is_complete(&self) -> bool {
        self.ring_blocks().is_none() && self.header.flags & FLAG_RESTART == 0
    }

    /// The conversion of ticks to time.
    pub fn clock(&self) -> &ClockMap {
        &self.clock
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
