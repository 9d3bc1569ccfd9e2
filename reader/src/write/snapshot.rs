//! A copy of a trace that is being written.
//!
//! Blocks are copied one after the other, while the process goes on. A copy of them as they are would
//! have events without their causes: a block of memory is freed by a thread whose block of events was
//! copied already, and given out to another one whose block is yet to come. So the copy ends at a
//! moment: the time of the newest event before the first block is copied. Every event up to then whose
//! hook has ended is in the file by now, since hooks record before the program goes on; later ones are
//! left out.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use mallook_format::ring::BlockCopy;
use mallook_format::{
    BLOCK_SIZE, BlockHeader, BlockKind, CONTROL_OFFSET, CURSOR_CLOSED, CURSOR_OFFSET, FileHeader,
    HEADER_WORDS, LOSS_OFFSET, LOSS_STRIPES, OPENED_OFFSET, Phase, Slot, State,
};

use super::said::{Pauses, leave_out_later_marks};
use super::writer::damage_flag;
use crate::decode::{Decoded, Decoder};
use crate::trace::{Block, Blocks, ClockMap, Liveness, SiteBlocks, Trace};

/// A clock may have been read so much too early: 65 536 ticks, 27 µs at 2.4 GHz.
const EARLY: Duration = Duration::from_micros(50);
/// Where nothing is overwritten meanwhile, threads that are held up in a hook have this long to end it.
const HELD_UP: Duration = Duration::from_millis(1);
/// Copies of a ring that overwrites most of itself meanwhile.
const TRIES: u32 = 8;
/// Holes are as large.
const PAGE: usize = 4096;
/// Of the words of the header block, those that count losses: sixteen a stripe.
const LOSSES: std::ops::Range<usize> = LOSS_OFFSET / 8..LOSS_OFFSET / 8 + LOSS_STRIPES * 16;

/// The contents of a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The moment of the copy, in Unix nanoseconds: no event in it is later. `None` if the process has
    /// ended, so that nothing is left out.
    pub until_ns: Option<u64>,
    /// Calls and markers that are in it.
    pub moments: u64,
    /// Blocks of a ring that were overwritten while they were copied.
    pub overwritten: u64,
}

/// Copies a trace as it is now; a process that is writing it is neither stopped nor touched.
///
/// Of a process that runs, the copy has the events up to one moment, [`Snapshot::until_ns`], which is
/// that of its newest event when the copying begins: all of them, but for a call that has not returned
/// yet. Of a ring it has those of them that were not overwritten before they were copied. With
/// [`Clock::Coarse`](mallook_format::Clock::Coarse), whose times are those of an earlier call of the
/// thread, the moment is known to 16 calls of each thread. The output must be empty.
///
/// ```
/// use mallook_reader::{Events, Trace, snapshot};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let trace = Trace::open("../tests/golden/v1.trace".as_ref())?;
/// let mut file = tempfile::NamedTempFile::new()?;
/// let taken = snapshot(&trace, file.as_file_mut())?;
/// assert_eq!((taken.moments, taken.until_ns), (38, None));
/// let copy = Trace::open(file.path())?;
/// assert!(Events::of(&copy).eq(Events::of(&trace)));
/// # Ok(()) }
/// ```
///
/// # Errors
/// The trace cannot be read any more, or the output cannot be written.
pub fn snapshot(trace: &Trace, output: &mut File) -> io::Result<Snapshot> {
    let mut tries = 1;
    loop {
        output.set_len(0)?;
        // Whether it still runs is asked before it is read: then one that does not is complete.
        let runs = trace.liveness() != Liveness::Gone;
        let early = trace.source().header_block();
        let until = if runs { Some(moment(trace)?) } else { None };
        // Blocks that were claimed since may have events of the moment.
        let now = again(trace)?;
        let mut copying = Copying::of(now.as_ref().unwrap_or(trace), until, output);
        copying.events()?;
        if copying.taken.overwritten * 2 > copying.places && tries < TRIES {
            tries += 1;
            continue;
        }
        copying.sites()?;
        let taken = copying.finish(&early)?;
        for damage in now.iter().flat_map(|now| now.damage().0) {
            trace.report(damage.kind, damage.offset);
        }
        return Ok(taken);
    }
}

/// The time of the newest event, when every event of that time is in the file.
fn moment(trace: &Trace) -> io::Result<u64> {
    let now = again(trace)?;
    let trace = now.as_ref().unwrap_or(trace);
    let mut copy = Box::new(BlockCopy::EMPTY);
    let newest = Blocks::between(trace, 1, trace.places() + 1)
        .map(|block| block.base_ticks.max(newest_of(trace, &block, &mut copy)))
        .max();
    if trace.ring_blocks().is_none() {
        std::thread::sleep(HELD_UP);
    } else {
        // A sleep takes longer than a small ring needs to overwrite itself.
        let start = Instant::now();
        while start.elapsed() < EARLY {
            std::hint::spin_loop();
        }
    }
    Ok(newest.unwrap_or(0))
}

/// The time of the newest event of a block, if that is open.
fn newest_of(trace: &Trace, block: &Block, copy: &mut BlockCopy) -> u64 {
    let (state, _) = trace.peek(block.index, 0);
    let is_open = state.is_some_and(|state| state.phase == Phase::Open);
    if !is_open || !trace.copy(block, copy) {
        return 0;
    }
    let moments = Decoder::new(copy, block).filter_map(|decoded| match decoded {
        Decoded::Moment(moment) => Some(moment.ticks),
        Decoded::Damaged(_) => None,
    });
    moments.last().unwrap_or(0)
}

/// The trace as it is now, if it can be opened again.
fn again(trace: &Trace) -> io::Result<Option<Trace<'static>>> {
    let Some(identity) = trace.source().identity() else { return Ok(None) };
    let now = Trace::open(trace.path()).map_err(io::Error::other)?;
    match now.source().identity() == Some(identity) {
        true => Ok(Some(now)),
        false => Err(io::Error::new(io::ErrorKind::NotFound, "the trace was replaced")),
    }
}

struct Copying<'a> {
    trace: &'a Trace<'a>,
    output: &'a mut File,
    /// The process runs.
    runs: bool,
    /// The words of the header block before anything was copied.
    before: [u64; HEADER_WORDS],
    /// Later events are left out.
    until: u64,
    taken: Snapshot,
    /// Places that were used.
    places: u64,
    /// Blocks of events of a ring that were written, and their moments.
    kept: Vec<(u64, u64)>,
    /// Pauses in the blocks of events that were written.
    pauses: Pauses,
    /// Blocks that were written, and the place of the last one.
    opened: u64,
    last: u64,
    copy: Box<BlockCopy>,
}

impl<'a> Copying<'a> {
    fn of(trace: &'a Trace<'a>, until: Option<u64>, output: &'a mut File) -> Copying<'a> {
        Copying {
            trace,
            output,
            runs: until.is_some(),
            before: trace.source().header_block(),
            until: until.unwrap_or(u64::MAX),
            taken: Snapshot::default(),
            places: 0,
            kept: Vec::new(),
            pauses: Pauses::default(),
            opened: 0,
            last: 0,
            copy: Box::new(BlockCopy::EMPTY),
        }
    }

    /// Copies the blocks of events, the oldest first: it is the next one to be overwritten.
    fn events(&mut self) -> io::Result<()> {
        let trace = self.trace;
        let mut line = trace.clock_line();
        let mut age = 1;
        while age <= trace.places() {
            let index = trace.place(age);
            let header = trace.source().peek_block(index);
            age += 1;
            if header.state == 0 && header.ident == 0 {
                let data = trace.next_data(index + 1).min(trace.places() + 1);
                age = age.saturating_add(data.saturating_sub(index + 1));
                continue;
            }
            self.places += 1;
            match Blocks::find(trace, index, &mut line) {
                Some(block) => self.block(&block)?,
                None => self.other(index)?,
            }
        }
        Ok(())
    }

    /// Copies a block of events.
    fn block(&mut self, block: &Block) -> io::Result<()> {
        // One that is used again meanwhile has lost what it had.
        let kept =
            if self.trace.copy(block, &mut self.copy) { Some(self.cut(block)) } else { None };
        match kept {
            Some(kept) if kept != 0 || block.base_ticks <= self.until => {
                self.taken.moments += kept;
                if self.trace.ring_blocks().is_some() {
                    self.kept.push((block.index, kept));
                }
                self.put_copy(block.index)
            }
            _ => {
                self.taken.overwritten += u64::from(self.trace.ring_blocks().is_some());
                self.drop_older(block.index)?;
                self.void(block.index)
            }
        }
    }

    /// Takes the events after the moment out of the copy; the number of the others.
    fn cut(&mut self, block: &Block) -> u64 {
        let (mut kept, mut end) = (0, 0);
        let mut is_cut = false;
        let mut decoder = Decoder::new(&self.copy, block);
        while let Some(decoded) = decoder.next() {
            match decoded {
                Decoded::Moment(moment) if moment.ticks > self.until => {
                    is_cut = true;
                    break;
                }
                Decoded::Moment(moment) => {
                    self.pauses.see(&moment);
                    if !moment.kind.is_prefix() {
                        (kept, end) = (kept + 1, decoder.position());
                    }
                }
                Decoded::Damaged(_) => end = decoder.position(),
            }
        }
        if is_cut {
            self.copy.slots[end..].fill(Slot::default());
            let state = State::from_word(self.copy.header.state);
            // A block that has less than it was closed with is one that is not closed.
            let open = state.map(|state| State { phase: Phase::Open, ..state }.word());
            self.copy.header.state = open.unwrap_or(self.copy.header.state);
        }
        kept
    }

    /// If the block at a place was used again since the copying began, what it had came after all that
    /// was copied so far: no thread is to have a gap, so that goes.
    fn drop_older(&mut self, index: u64) -> io::Result<()> {
        let claimed = self.before[CURSOR_OFFSET / 8] & !CURSOR_CLOSED;
        let state = State::from_word(self.trace.source().peek_block(index).state);
        if state.is_none_or(|state| state.sequence < claimed) {
            return Ok(());
        }
        self.pauses = Pauses::default();
        for (index, moments) in std::mem::take(&mut self.kept) {
            self.taken.moments -= moments;
            self.taken.overwritten += 1;
            self.output.seek(SeekFrom::Start(index * BLOCK_SIZE as u64))?;
            self.output.write_all(&[0; BLOCK_SIZE])?;
            self.void(index)?;
        }
        Ok(())
    }

    /// A place whose block has no event of the copy: in a ring it counts what was overwritten there.
    fn void(&mut self, index: u64) -> io::Result<()> {
        if self.trace.ring_blocks().is_none() {
            return Ok(());
        }
        let header = self.trace.source().peek_block(index);
        let Some(state) = State::from_word(header.state) else { return Ok(()) };
        let state = State { phase: Phase::Preparing, ..state };
        *self.copy = BlockCopy::EMPTY;
        self.copy.header = BlockHeader { state: state.word(), ..header };
        self.put_copy(index)
    }

    /// A block that is not one of events: of sites, which follow, being prepared, or damaged.
    fn other(&mut self, index: u64) -> io::Result<()> {
        let header = self.trace.source().peek_block(index);
        let state = State::from_word(header.state);
        if header.has_magic() && header.raw_kind() == BlockKind::Sites as u16 {
            return Ok(());
        }
        if state.is_some_and(|state| state.phase == Phase::Preparing) {
            self.taken.overwritten += u64::from(self.runs);
            self.drop_older(index)?;
            return self.void(index);
        }
        match self.trace.source().copy_block(index, &mut self.copy) {
            true => self.put_copy(index),
            false => self.void(index),
        }
    }

    /// Copies the blocks of call sites, which are written before the stacks that have them: those
    /// that came meanwhile, too.
    fn sites(&mut self) -> io::Result<()> {
        let now = again(self.trace)?;
        let trace = now.as_ref().unwrap_or(self.trace);
        for block in SiteBlocks::of(trace) {
            if trace.copy(&block, &mut self.copy) {
                self.put_copy(block.index)?;
            }
        }
        Ok(())
    }

    fn put_copy(&mut self, index: u64) -> io::Result<()> {
        self.opened += 1;
        self.last = self.last.max(index);
        let bytes = [bytemuck::bytes_of(&self.copy.header), bytemuck::cast_slice(&self.copy.slots)];
        self.put(index, &bytes.concat())
    }

    /// Writes a block, whose empty pages stay holes.
    fn put(&mut self, index: u64, bytes: &[u8]) -> io::Result<()> {
        let start = index * BLOCK_SIZE as u64;
        for (page, offset) in bytes.chunks(PAGE).zip((start..).step_by(PAGE)) {
            if page.iter().any(|&byte| byte != 0) {
                self.output.seek(SeekFrom::Start(offset))?;
                self.output.write_all(page)?;
            }
        }
        Ok(())
    }

    /// Writes the header, and gives the file its length. `early` are its words from before the moment.
    fn finish(mut self, early: &[u64; HEADER_WORDS]) -> io::Result<Snapshot> {
        let mut words = self.trace.source().header_block();
        if self.runs {
            // What was lost, how it ended, and what others have said, is said of the moment.
            words[LOSSES].copy_from_slice(&self.before[LOSSES]);
            words[CONTROL_OFFSET / 8] = self.before[CONTROL_OFFSET / 8];
            let clock = ClockMap::of(self.trace);
            let until_ns = clock.unix_ns(self.until);
            self.pauses.put(self.trace, &clock, early, &mut words);
            leave_out_later_marks(self.trace, until_ns, &mut words);
            self.taken.until_ns = Some(until_ns);
        }
        let blocks = match self.trace.ring_blocks() {
            Some(_) => self.trace.size().div_ceil(BLOCK_SIZE as u64),
            None => {
                if self.runs {
                    words[OPENED_OFFSET / 8] = self.opened;
                    words[CURSOR_OFFSET / 8] = self.last;
                }
                self.last + 1
            }
        };
        if !self.runs {
            // At their end it is known whether blocks are missing.
            Blocks::of(self.trace).for_each(drop);
        }
        let (fixed, _) = bytemuck::bytes_of_mut(&mut words).split_at_mut(size_of::<FileHeader>());
        let mut header: FileHeader = bytemuck::pod_read_unaligned(fixed);
        header.flags |= damage_flag(self.trace);
        fixed.copy_from_slice(bytemuck::bytes_of(&header));
        self.put(0, bytemuck::bytes_of(&words))?;
        self.output.set_len(blocks * BLOCK_SIZE as u64)?;
        self.output.flush()?;
        Ok(self.taken)
    }
}
