//! The header of a trace, and access to its blocks.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use bytemuck::Zeroable;
use mallook_format::ring::BlockCopy;
use mallook_format::{
    BLOCK_SIZE, Clock, FLAG_CUT, FLAG_OF_DAMAGED, FLAG_RESTART, FileHeader, HeaderError,
    LiveSnapshot, Loss, MAGIC, Mode, Slot, State,
};

use super::block::Block;
use super::clock_line::ClockLine;
use super::clock_sync::ClockSync;
use super::damage::{Damage, DamageKind, DamageList};
use super::range::Range;
use crate::error::Error;
use crate::source::Source;

/// Blocks that are searched for a magic where the header is damaged.
const SEARCHED: usize = 64;

/// An opened trace. Opening reads the header alone; blocks are read when they are asked for.
pub struct Trace<'a> {
    path: PathBuf,
    source: Source<'a>,
    /// The header without the zeros at its end: thousands of traces may be open.
    header: Box<[u8]>,
    pid: u32,
    /// Number of blocks of a ring, 0 for a growing file.
    ring_blocks: u64,
    live: LiveSnapshot,
    /// The header is undamaged.
    sound_header: bool,
    damage: Mutex<DamageList>,
    /// The damage is known.
    known: AtomicBool,
}

impl Trace<'static> {
    /// Opens a file.
    ///
    /// # Errors
    /// The file cannot be read, or is no trace.
    pub fn open(path: &Path) -> Result<Trace<'static>, Error> {
        Trace::new(path, Source::open(path)?)
    }

    /// Opens all traces of a file: [`merge`](crate::merge) puts several into one.
    ///
    /// # Errors
    /// The file cannot be read, or does not start with a trace.
    pub fn open_all(path: &Path) -> Result<Vec<Trace<'static>>, Error> {
        Trace::all(path, Source::open(path)?)
    }

    /// Opens the file again, which has grown. What is known of its damage stays. `false`: it is not there any
    /// more, or cannot be read.
    pub(crate) fn open_again(&mut self) -> bool {
        let Ok(source) = Source::open(&self.path) else { return false };
        let is_same = source.identity() == self.source.identity();
        if is_same {
            self.live = source.live();
            self.source = source;
        }
        is_same
    }
}

impl<'a> Trace<'a> {
    /// Reads the headers of all traces of a file. `path` is only for messages.
    ///
    /// # Errors
    /// The first header is not that of a trace, and no block is where one should be.
    pub fn all(path: &Path, mut source: Source<'a>) -> Result<Vec<Trace<'a>>, Error> {
        let mut traces: Vec<Trace> = Vec::new();
        loop {
            // A trace ends where the next one starts.
            let next = source.header();
            let next = if next.magic == MAGIC { u64::from(next.next_trace) } else { 0 };
            let (front, rest) = match next {
                0 => (source, None),
                _ => {
                    let (front, rest) = source.split_at(next);
                    (front, Some(rest))
                }
            };
            match (Trace::new(path, front), traces.last()) {
                (Ok(trace), _) => traces.push(trace),
                (Err(error), None) => return Err(error),
                (Err(_), Some(before)) => {
                    before.report(DamageKind::NoTrace, before.size());
                    return Ok(traces);
                }
            }
            match rest {
                None => return Ok(traces),
                Some(rest) => source = rest,
            }
        }
    }

    /// Reads the header, that of the first trace where there are several. `path` is only for messages.
    ///
    /// # Errors
    /// The header is not that of a trace, and no block is where one should be.
    pub fn new(path: &Path, source: Source<'a>) -> Result<Trace<'a>, Error> {
        let header = source.header();
        let source = match header.next_trace {
            next if next != 0 && header.magic == MAGIC => source.split_at(next.into()).0,
            _ => source,
        };
        let mut damage = DamageList::default();
        let checked = check_header(&header, source.len());
        if let Err(error) = checked {
            let found = 1..source.len().div_ceil(BLOCK_SIZE as u64);
            if !found.take(SEARCHED).any(|index| source.peek_block(index).has_magic()) {
                return Err(Error::NoTrace { path: path.to_owned(), source: error });
            }
            damage.add(Damage::new(DamageKind::Header(error), 0));
        }
        if header.flags & FLAG_OF_DAMAGED != 0 {
            damage.add(Damage::new(DamageKind::Original, 0));
        }
        let is_ring = Mode::from_raw(header.mode) == Some(Mode::Ring);
        let bytes = bytemuck::bytes_of(&header);
        let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        Ok(Trace {
            path: path.to_owned(),
            live: source.live(),
            source,
            header: bytes[..end].into(),
            pid: header.pid,
            ring_blocks: if is_ring { header.ring_blocks } else { 0 },
            sound_header: checked.is_ok(),
            damage: Mutex::new(damage),
            known: AtomicBool::new(false),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The part of the header that does not change.
    pub fn header(&self) -> FileHeader {
        let mut header = FileHeader::zeroed();
        bytemuck::bytes_of_mut(&mut header)[..self.header.len()].copy_from_slice(&self.header);
        header
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Size of the file in bytes.
    pub fn size(&self) -> u64 {
        self.source.len()
    }

    /// The number of places after the header where a block may be.
    pub fn places(&self) -> u64 {
        let there = self.source.len().div_ceil(BLOCK_SIZE as u64).saturating_sub(1);
        match (self.sound_header, self.ring_blocks()) {
            // The process may cut off the places after the last claimed block at any time.
            (true, None) => there.min(self.claimed()),
            // The disk may have been full before the ring had its size.
            (true, Some(blocks)) => there.min(blocks),
            _ => there,
        }
    }

    /// The index of a block by its age: the first place of a ring is the one to be used next.
    pub(crate) fn place(&self, age: u64) -> u64 {
        match self.ring_blocks() {
            Some(blocks) if self.sound_header && self.places() == blocks => {
                1 + (age - 1 + self.claimed() % blocks) % blocks
            }
            _ => age,
        }
    }

    /// Number of blocks that were claimed.
    pub fn claimed(&self) -> u64 {
        self.live.claimed()
    }

    /// Number of blocks of a ring; `None` for a growing file.
    pub fn ring_blocks(&self) -> Option<u64> {
        (self.ring_blocks != 0).then_some(self.ring_blocks)
    }

    /// Number of call moments that could not be recorded, by cause.
    pub fn lost(&self) -> impl Iterator<Item = (Loss, u64)> {
        Loss::ALL.into_iter().zip(self.live.lost)
    }

    /// The range that the trace was cut to, if it was: before that it has the births of the memory that
    /// lives at the start of the range, and nothing else.
    pub fn cut(&self) -> Option<Range> {
        let header = self.header();
        let range = Range::of_words(header.cut_since_ns, header.cut_until_ns);
        (header.flags & FLAG_CUT != 0).then_some(range)
    }

    /// The trace was recorded with [`Clock::Coarse`]: several events in a row can carry one time,
    /// and the order between threads is not always known.
    pub fn is_coarse(&self) -> bool {
        Clock::from_raw(self.header().clock) == Some(Clock::Coarse)
    }

    /// The damage found so far, and the number of further damaged places that are not described.
    /// Slots are checked when they are read.
    pub fn damage(&self) -> (Vec<Damage>, u64) {
        let list = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        (list.described.clone(), list.more)
    }

    /// Reads what was read before, whose damage is known.
    pub(crate) fn again<T>(&self, read: impl FnOnce() -> T) -> T {
        self.known.store(true, Relaxed);
        let result = read();
        self.known.store(false, Relaxed);
        result
    }

    pub(crate) fn report(&self, kind: DamageKind, offset: u64) {
        if self.known.load(Relaxed) {
            return;
        }
        let mut list = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        list.add(Damage::new(kind, offset));
    }

    /// The line of the clock, before any block.
    pub(crate) fn clock_line(&self) -> ClockLine {
        let header = self.header();
        ClockLine::new(ClockSync { ticks: header.ticks, ns: header.monotonic_ns })
    }

    /// The words of the header that change, as they were when it was opened.
    pub(crate) fn live(&self) -> &LiveSnapshot {
        &self.live
    }

    /// The words of the header that change, as they are now.
    pub(crate) fn live_now(&self) -> LiveSnapshot {
        self.source.live()
    }

    /// The header is undamaged.
    pub(crate) fn has_sound_header(&self) -> bool {
        self.sound_header
    }

    /// Number of whole blocks behind the header that were in the file when it was opened.
    pub(crate) fn blocks_there(&self) -> u64 {
        (self.source.len() / BLOCK_SIZE as u64).saturating_sub(1)
    }

    /// The first block from this one on that was not in a hole when the file was opened.
    pub(crate) fn next_data(&self, index: u64) -> u64 {
        self.source.next_data(index)
    }

    /// The state of a block, and one of its slots, which may be changing.
    pub(crate) fn peek(&self, index: u64, slot: usize) -> (Option<State>, Slot) {
        let (header, slot) = self.source.peek_slot(index, slot);
        (State::from_word(header.state), slot)
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
        self.ring_blocks().is_none() && self.header().flags & (FLAG_RESTART | FLAG_CUT) == 0
    }

    /// Reports blocks that the header counts and the file does not have.
    ///
    /// A killed process may leave blocks that were claimed and not opened, one a thread, and a full
    /// file system may leave a truncated last block. Opened blocks must be there.
    ///
    /// `opened` is the number of blocks that were found; `truncated`: the last of them is cut off.
    pub(crate) fn check_extent(&self, opened: u64, truncated: bool) {
        let size = self.source.len();
        if self.source.is_gone() {
            self.report(DamageKind::Replaced, 0);
        }
        if self.ring_blocks().is_some() {
            let blocks = self.ring_blocks.saturating_add(1);
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

    /// The call moments that were overwritten in the block's place since the block was found.
    pub(crate) fn overwritten_since(&self, block: &Block) -> u64 {
        let now = self.source.peek_block(block.index);
        let state = State::from_word(now.state).filter(|now| now.sequence != block.sequence);
        let overwritten = |now_state: State| now.totals[(now_state.parity ^ 1) as usize & 1];
        state.map_or(0, overwritten).saturating_sub(block.overwritten)
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
            .field("pid", &self.pid)
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
