//! A trace that is written: blocks of events, call sites, header.

use std::collections::BTreeSet;
use std::io::{self, Seek, SeekFrom, Write};

use mallook_format::ring::BlockCopy;
use mallook_format::{
    BLOCK_SIZE, BlockHeader, BlockKind, CONTROL_OFFSET, CURSOR_CLOSED, CURSOR_OFFSET, Clock,
    Control, FLAG_CUT, FLAG_OF_DAMAGED, FileHeader, Kind, LOSS_OFFSET, Loss, MARK_OFFSET,
    MARK_SIZE, MARKS_OFFSET, Mark, Mode, OPENED_OFFSET, PARITY_SHIFT, PAUSED_OFFSET, PAUSES_OFFSET,
    Phase, Site, Slot, State, VERSION, WRITERS_OFFSET,
};
use rustc_hash::FxHashMap;

use super::block::{Block, Entry, TICKS};
use crate::stack::{StackId, Stacks};
use crate::trace::{SiteBlocks, Trace};

/// Blocks that are open at once: further threads go on in the blocks of others.
const MOST_OPEN: usize = 256;
/// The largest number of threads that are counted: one tells a trace that needs no order.
const MOST_THREADS: usize = 1 << 16;

/// Names of threads.
pub type Names = FxHashMap<u32, [u64; 2]>;

/// A trace that is written, from another one.
pub struct Writer<'a, W> {
    output: W,
    trace: &'a Trace<'a>,
    stacks: &'a Stacks<'a>,
    names: Names,
    /// Blocks so far, the header included.
    blocks: u64,
    open: Vec<Block>,
    /// The open block of each thread.
    current: FxHashMap<u32, usize>,
    /// The open block that the next thread without one takes over.
    hand: usize,
    threads: BTreeSet<u32>,
    /// The first block of events.
    first: Option<u64>,
    /// The time and the thread of the last moment, and its place among those of that nanosecond.
    last: (u64, u32, u64),
    /// Call moments that a ring has overwritten.
    overwritten: u64,
    /// Pauses that have begun.
    pauses: u64,
}

impl<'a, W: Write + Seek> Writer<'a, W> {
    /// Writes the call sites of the trace.
    pub fn new(
        output: W,
        trace: &'a Trace<'a>,
        stacks: &'a Stacks<'a>,
        names: Names,
    ) -> io::Result<Self> {
        let mut writer = Writer {
            output,
            trace,
            stacks,
            names,
            blocks: 1,
            open: Vec::new(),
            current: FxHashMap::default(),
            hand: 0,
            threads: BTreeSet::new(),
            first: None,
            last: (0, 0, 0),
            overwritten: 0,
            pauses: 0,
        };
        writer.sites()?;
        Ok(writer)
    }

    /// Copies the slots of call sites and modules.
    fn sites(&mut self) -> io::Result<()> {
        let mut copy = Box::new(BlockCopy::EMPTY);
        for block in SiteBlocks::of(self.trace) {
            if !self.trace.copy(&block, &mut copy) {
                continue;
            }
            let state = State { sequence: self.blocks - 1, parity: 1, phase: Phase::Closed };
            copy.header = BlockHeader {
                state: state.word(),
                ident: BlockHeader::ident(BlockKind::Sites),
                ..copy.header
            };
            let of_use = Slot { word0: block.parity << PARITY_SHIFT, word1: 0 }.flags();
            for slot in &mut copy.slots {
                let is_sound = slot.kind().is_some() && slot.flags() == of_use;
                *slot = match is_sound {
                    true => Slot {
                        word0: slot.word0 & !(1 << PARITY_SHIFT) | 1 << PARITY_SHIFT,
                        ..*slot
                    },
                    false => Slot::default(),
                };
            }
            let index = self.blocks;
            self.blocks += 1;
            let bytes = [bytemuck::bytes_of(&copy.header), bytemuck::cast_slice(&copy.slots)];
            self.put(index * BLOCK_SIZE as u64, &bytes.concat())?;
        }
        Ok(())
    }

    fn put(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.output.seek(SeekFrom::Start(offset))?;
        self.output.write_all(bytes)
    }

    /// Counts call moments that are not there.
    pub fn overwritten(&mut self, count: u64) {
        self.overwritten = self.overwritten.saturating_add(count);
    }

    /// Writes a moment. Times, in nanoseconds of `CLOCK_MONOTONIC`, must not go back.
    pub fn add(&mut self, entry: &Entry) -> io::Result<()> {
        let (ns, tid) = (entry.moment.ticks, entry.moment.tid);
        let place = match self.last {
            (before, by, place) if before == ns && by == tid => place,
            // Further threads of this nanosecond come in any order.
            (before, _, place) if before == ns => (place + 1).min(TICKS - 1),
            _ => 0,
        };
        self.last = (ns, tid, place);
        let entry = Entry { place, ..*entry };
        self.pauses += u64::from(entry.moment.kind == Kind::Paused);
        if self.threads.len() < MOST_THREADS {
            self.threads.insert(tid);
        }
        let stacks = self.stacks;
        let sites = |stack| -> Vec<Site> {
            let mut sites: Vec<_> =
                StackId::new(stack).into_iter().flat_map(|it| stacks.sites_of(it)).collect();
            sites.reverse();
            sites
        };
        let place = self.block_of(tid, ns)?;
        if !self.open[place].add(&entry, sites) {
            self.close(place)?;
            self.open[place] = self.new_block(tid, ns);
            // An empty block has room for the largest entry.
            self.open[place].add(&entry, sites);
        }
        Ok(())
    }

    /// The position of the open block of a thread.
    fn block_of(&mut self, tid: u32, ns: u64) -> io::Result<usize> {
        if let Some(&place) = self.current.get(&tid) {
            return Ok(place);
        }
        let place = if self.open.len() < MOST_OPEN {
            let block = self.new_block(tid, ns);
            self.open.push(block);
            self.open.len() - 1
        } else {
            let place = self.hand;
            self.hand = (place + 1) % MOST_OPEN;
            self.current.remove(&self.open[place].tid);
            let name = self.name(tid);
            if !self.open[place].hand_over(tid, name) {
                self.close(place)?;
                self.open[place] = self.new_block(tid, ns);
            }
            place
        };
        self.current.insert(tid, place);
        Ok(place)
    }

    fn name(&self, tid: u32) -> [u64; 2] {
        self.names.get(&tid).copied().unwrap_or_default()
    }

    fn new_block(&mut self, tid: u32, ns: u64) -> Block {
        // Two clock syncs make a rate: the header's and that of any block.
        let header_ns = self.trace.header().monotonic_ns;
        let base_ns = ns.saturating_sub(if ns.saturating_sub(1) == header_ns { 2 } else { 1 });
        let index = self.blocks;
        self.blocks += 1;
        self.first.get_or_insert(index);
        Block::new(index, tid, self.name(tid), base_ns)
    }

    fn close(&mut self, place: usize) -> io::Result<()> {
        let block = &self.open[place];
        let (offset, bytes) = (block.index * BLOCK_SIZE as u64, block.bytes());
        self.put(offset, &bytes)
    }

    /// Writes what is open, and the header. The output must be empty behind what was written.
    pub fn finish(mut self, since_ns: u64, until_ns: u64, control: u64) -> io::Result<W> {
        if self.overwritten != 0 && self.first.is_none() {
            let block = self.new_block(self.trace.pid(), self.trace.header().monotonic_ns);
            self.open.push(block);
        }
        for place in 0..self.open.len() {
            self.close(place)?;
        }
        if let Some(first) = self.first {
            let totals = std::mem::offset_of!(BlockHeader, totals) as u64;
            let overwritten = self.overwritten.to_le_bytes();
            self.put(first * BLOCK_SIZE as u64 + totals, &overwritten)?;
        }
        let header = self.header(since_ns, until_ns, control);
        self.put(0, &header)?;
        let end = self.output.seek(SeekFrom::End(0))?;
        let length = self.blocks * BLOCK_SIZE as u64;
        if end < length {
            self.put(length - 1, &[0])?;
        }
        self.output.flush()?;
        Ok(self.output)
    }

    fn header(&self, cut_since_ns: u64, cut_until_ns: u64, control: u64) -> Vec<u8> {
        let old = self.trace.header();
        // The order of a coarse clock is not that of the events, whoever has written it.
        let clock = match Clock::from_raw(old.clock) {
            Some(Clock::Coarse) => Clock::Coarse,
            _ => Clock::Tsc,
        };
        let header = FileHeader {
            magic: mallook_format::MAGIC,
            version: VERSION,
            header_size: BLOCK_SIZE as u32,
            block_size: BLOCK_SIZE as u32,
            slot_size: mallook_format::SLOT_SIZE as u32,
            mode: Mode::Full as u32,
            clock: clock as u32,
            ring_blocks: 0,
            max_blocks: 0,
            ticks: old.monotonic_ns.saturating_mul(TICKS),
            flags: old.flags | FLAG_CUT | damage_flag(self.trace),
            site_start: 0,
            site_blocks: 0,
            next_trace: 0,
            cut_since_ns,
            cut_until_ns,
            ..old
        };
        let mut bytes = bytemuck::bytes_of(&header).to_vec();
        bytes.resize(BLOCK_SIZE, 0);
        let claims = self.blocks - 1;
        let mut words = vec![
            (CURSOR_OFFSET, claims | CURSOR_CLOSED),
            (OPENED_OFFSET, claims),
            (WRITERS_OFFSET, self.threads.len() as u64),
            (CONTROL_OFFSET, control),
        ];
        words.extend(
            self.trace.lost().map(|(cause, count)| (LOSS_OFFSET + cause as usize * 8, count)),
        );
        // A ring may have overwritten the markers of some.
        let is_whole = self.trace.ring_blocks().is_none() && self.trace.cut().is_none();
        let pauses = if is_whole { self.pauses } else { self.trace.pauses() };
        words.push((PAUSES_OFFSET, pauses));
        if control & Control::PAUSE != 0 {
            words.push((PAUSED_OFFSET, self.trace.live().paused_ns));
        }
        let marks: Vec<_> = (self.trace.marks().into_iter())
            .filter(|mark| (cut_since_ns..=cut_until_ns).contains(&mark.time_ns))
            .collect();
        words.push((MARKS_OFFSET, marks.len() as u64));
        for (mark, place) in marks.iter().zip(bytes[MARK_OFFSET..].chunks_exact_mut(MARK_SIZE)) {
            let monotonic_ns =
                mark.time_ns.wrapping_sub(old.realtime_ns).wrapping_add(old.monotonic_ns);
            place.copy_from_slice(bytemuck::bytes_of(&Mark::new(monotonic_ns, &mark.text)));
        }
        for (offset, word) in words {
            bytes[offset..offset + 8].copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

/// The control word of a process that ended in the range, or not.
pub fn control(trace: &Trace, to_the_end: bool) -> u64 {
    let bit = |is_set: bool, bits: u64| if is_set { bits } else { 0 };
    let unloaded = bit(trace.unloaded(), Control::UNLOADED);
    if !to_the_end {
        return unloaded;
    }
    unloaded
        | bit(trace.ended(), Control::ENDED)
        | bit(trace.execed(), Control::EXECED)
        | bit(trace.paused_since().is_some(), Control::PAUSE)
        | trace.exited().map_or(0, Control::exited_bits)
        | trace.stopped().map_or(0, Control::stopped_bits)
}

const _: () = assert!(LOSS_OFFSET + Loss::ALL.len() * 8 <= BLOCK_SIZE, "losses are in the header");

/// The flag of what is made from this trace, of which all damage is known.
pub fn damage_flag(trace: &Trace) -> u32 {
    if trace.damage().0.is_empty() { 0 } else { FLAG_OF_DAMAGED }
}
