//! Reads what was added to one growing trace.

use std::path::Path;
use std::sync::Arc;

use mallook_format::ring::BlockCopy;
use mallook_format::{BLOCK_SIZE, Phase, State};
use rustc_hash::FxHashMap;

use super::queue::Queue;
use crate::decode::{Decoded, Decoder, Moment, thread_name};
use crate::error::Error;
use crate::event::pairing::Pairing;
use crate::order::{Causality, EARLY, LiveSet};
use crate::stack::{SlotStacks, Trie};
use crate::trace::{
    Block, Blocks, ClockLine, ClockMap, ClockSync, Converter, DamageKind, FIRST_BLOCKS, Trace,
    syncs_within,
};

/// Blocks that are read at a time.
const PIECE: u64 = 64;
/// Threads whose names are kept: a damaged trace may invent any number.
const MOST_NAMES: usize = 1 << 16;
/// Claims that were not opened yet and are looked at again, at the most.
const MOST_CLAIMED: usize = 4096;

/// The events of one trace, as they are added.
pub struct Tail {
    pub trace: Trace<'static>,
    pub events: Pairing<Causality<Queue>>,
    /// The call stacks, where they are wanted.
    pub trie: Option<Arc<Trie>>,
    /// The next claim to look at.
    next: u64,
    /// Claims that were not open when they were looked at.
    claimed: Vec<u64>,
    open: Vec<Open>,
    /// Blocks of events that were found.
    found: u64,
    /// The last uses of a ring's places, by index.
    uses: FxHashMap<u64, RingUse>,
    /// The start of the last block of each owner.
    starts: FxHashMap<u64, u64>,
    /// No unread block starts earlier.
    watermark: u64,
    /// The newest moment.
    newest: u64,
    /// The newest moment when nothing was unread the last time: everything up to it has been written.
    complete_to: u64,
    /// The trace has few blocks so far.
    is_small: bool,
    /// The process has ended: nothing is added any more.
    is_final: bool,
    /// It is known where the file has holes at its end.
    knows_holes: bool,
    /// Blocks were claimed that were never seen: the file was removed or replaced before it was opened again.
    pub is_gone: bool,
    line: ClockLine,
    copy: Box<BlockCopy>,
    seen: Vec<Moment>,
    clock_syncs: Vec<ClockSync>,
    /// The names of threads, as the newest of their blocks has them.
    names: FxHashMap<u32, [u64; 2]>,
}

/// A block that is being written.
struct Open {
    block: Block,
    /// Moments that were read.
    taken: usize,
    /// The slot that is written next.
    next_slot: usize,
}

/// The use of a ring's place that was read last.
#[derive(Default)]
struct RingUse {
    /// Its claim, plus one; 0 for none.
    claim: u64,
    /// Call moments that were read from the place, or known to be overwritten.
    accounted: u64,
}

impl Tail {
    pub fn open(path: &Path, position: usize) -> Result<Tail, Error> {
        let trace = Trace::open(path)?;
        let live = LiveSet::of(&trace);
        let clock = Converter::new(ClockMap::first(&trace));
        let queue = Causality::new(Queue::default(), Some(live));
        let mut events = Pairing::new(queue, trace.pid(), Some(clock));
        events.set_position(position);
        Ok(Tail {
            events,
            trie: None,
            next: 0,
            claimed: Vec::new(),
            open: Vec::new(),
            found: 0,
            uses: FxHashMap::default(),
            starts: FxHashMap::default(),
            watermark: 0,
            newest: 0,
            complete_to: 0,
            is_small: false,
            is_final: false,
            knows_holes: false,
            is_gone: false,
            line: trace.clock_line(),
            copy: Box::new(BlockCopy::EMPTY),
            seen: Vec::new(),
            clock_syncs: Vec::new(),
            names: FxHashMap::default(),
            trace,
        })
    }

    /// Reads a piece of what was added, and lets go of the events that no further ones can precede.
    /// `false`: nothing was added. While the process is `running`, a missing slot may still be filled,
    /// and the slots after it wait.
    pub fn read(&mut self, running: bool) -> Read {
        if !running && !std::mem::replace(&mut self.is_final, true) {
            // Holes are where they will be.
            self.knows_holes = self.trace.open_again();
        }
        let claimed = self.trace.live_now().claimed();
        let claimed = if self.trace.has_sound_header() { claimed } else { u64::MAX };
        let end = self.reachable(claimed);
        self.is_small = end <= FIRST_BLOCKS;
        let first = self.seen.len();
        let mut open = std::mem::take(&mut self.open);
        open.retain_mut(|open| self.is_unchanged(open) && running || self.take(open, running));
        self.open.append(&mut open);
        for claim in std::mem::take(&mut self.claimed) {
            self.look(claim, running);
        }
        if let Some(turn) = self.trace.ring_blocks() {
            self.next = self.next.max(end.saturating_sub(turn));
        }
        let until = end.min(self.next.saturating_add(PIECE));
        while self.next < until {
            let claim = self.next;
            self.next += 1;
            if self.knows_holes && self.trace.ring_blocks().is_none() {
                let data = self.trace.next_data(claim + 1) - 1;
                self.next = self.next.max(data.min(end));
                if data != claim {
                    continue;
                }
            }
            self.look(claim, running);
        }
        let any = self.seen.len() != first;
        let goes_on = self.next < end;
        self.release(running, goes_on);
        Read { any, goes_on }
    }

    /// The claims that the mapping of the file shows; it is mapped again if it has grown. Of a file that is not
    /// there any more it shows what it did.
    fn reachable(&mut self, claimed: u64) -> u64 {
        if let Some(turn) = self.trace.ring_blocks() {
            // What is left of a cut ring, or of one whose header is damaged, is read once.
            let is_whole = self.trace.has_sound_header() && turn <= self.trace.blocks_there();
            return if is_whole { claimed } else { turn.min(self.trace.blocks_there()) };
        }
        let has_grown = claimed > self.trace.blocks_there() && self.trace.has_sound_header();
        if has_grown && !self.is_gone && !self.trace.open_again() {
            self.is_gone = true;
            self.trace.report(DamageKind::Replaced, 0);
        }
        claimed.min(self.trace.blocks_there())
    }

    /// Looks at the block of a claim for the first time, or since it was not open.
    fn look(&mut self, claim: u64, running: bool) {
        let index = 1 + self.trace.ring_blocks().map_or(claim, |turn| claim % turn);
        let Some(mut block) = Blocks::find(&self.trace, index, &mut self.line) else {
            if running && self.claimed.len() < MOST_CLAIMED {
                self.claimed.push(claim);
            }
            return;
        };
        if self.trace.ring_blocks().is_some() {
            let last = self.uses.entry(index).or_default();
            if last.claim == block.sequence + 1 {
                return;
            }
            last.claim = block.sequence + 1;
            let missing = block.overwritten.saturating_sub(last.accounted);
            last.accounted = block.overwritten;
            if missing != 0 {
                self.seen.push(Moment::gap(block.start_ticks, self.trace.pid(), missing));
            }
            // What was read of an earlier use is all that will ever be.
            self.open.retain(|open| open.block.index != index);
        }
        self.found += 1;
        if let Some(&before) = self.starts.get(&block.owner) {
            block.start_ticks = block.start_ticks.max(before);
            self.watermark = self.watermark.max(before.saturating_sub(EARLY));
        }
        self.starts.insert(block.owner, block.start_ticks);
        self.clock_syncs.push(block.clock_sync());
        let mut open = Open { block, taken: 0, next_slot: 0 };
        if self.take(&mut open, running) {
            self.open.push(open);
        }
    }

    /// Nothing was written to the block since it was read.
    fn is_unchanged(&self, open: &Open) -> bool {
        let (state, slot) = self.trace.peek(open.block.index, open.next_slot);
        let is_written = slot.raw_kind() != 0 && slot.parity() == open.block.parity;
        let same =
            |state: State| state.phase == Phase::Open && state.sequence == open.block.sequence;
        state.is_some_and(same) && !is_written
    }

    /// Takes the new moments of a block; whether it may get more.
    fn take(&mut self, open: &mut Open, running: bool) -> bool {
        let block = &open.block;
        if !self.trace.copy(block, &mut self.copy) {
            return false;
        }
        let state = State::from_word(self.copy.header.state);
        let is_open = running && state.is_some_and(|state| state.phase == Phase::Open);
        let trie = self.trie.clone();
        let taken = match &trie {
            Some(trie) => {
                let decoder = Decoder::with_stacks(&self.copy, block, trie.of_block());
                Taken::of(decoder, is_open, open.taken, &mut self.seen, &mut self.names)
            }
            None => {
                let decoder = Decoder::new(&self.copy, block);
                Taken::of(decoder, is_open, open.taken, &mut self.seen, &mut self.names)
            }
        };
        self.newest = self.newest.max(taken.newest);
        let calls = taken.calls;
        open.taken = taken.moments.max(open.taken);
        open.next_slot = taken.next_slot;
        // A dump takes those within blocks of small traces alone.
        if calls != 0 && self.is_small {
            self.clock_syncs.extend(syncs_within(&self.copy, block.parity, block.shift));
        }
        if let Some(last) = self.uses.get_mut(&block.index) {
            last.accounted += calls;
        }
        is_open
    }

    /// Hands on what was read. Of a file that was read to its end, everything up to the newest moment of
    /// the last reading has been written by now.
    fn release(&mut self, running: bool, goes_on: bool) {
        let is_all = !running && !goes_on;
        if is_all && !self.is_gone && self.may_lack_blocks() {
            Blocks::check_extent(&self.trace);
        }
        let until = if is_all { u64::MAX } else { self.watermark.max(self.complete_to) };
        let queue = self.events.source_mut().source_mut();
        queue.add(std::mem::take(&mut self.seen), &mut self.clock_syncs);
        queue.release(until, goes_on);
        if !goes_on {
            self.complete_to = self.newest;
        }
    }

    /// Blocks that were opened may be missing from the file. Only then all headers are read again.
    fn may_lack_blocks(&self) -> bool {
        let is_cut = !self.trace.size().is_multiple_of(BLOCK_SIZE as u64);
        is_cut || self.trace.ring_blocks().is_some() || self.found < self.trace.live().opened
    }

    /// The name of a thread, if an event of it was read.
    pub fn thread_name(&self, tid: u32) -> Option<String> {
        self.names.get(&tid).map(thread_name)
    }

    /// Blocks that were looked at, and those that were claimed.
    pub fn progress(&self) -> (u64, u64) {
        let claimed = self.trace.live_now().claimed();
        (self.next.min(claimed), claimed)
    }

    /// A clock sync of now, made by the reader itself.
    pub fn sync(&mut self, mut now: ClockSync) {
        now.ticks = now.ticks.wrapping_add(self.line.shift(now));
        self.clock_syncs.push(now);
    }
}

/// The result of decoding a block.
struct Taken {
    /// Moments so far, those that were taken before included.
    moments: usize,
    /// Call moments that are new.
    calls: u64,
    /// The time of the newest moment that is new, or 0.
    newest: u64,
    next_slot: usize,
}

impl Taken {
    /// Adds the moments behind the first ones, which were taken before, with their stacks.
    fn of<S: SlotStacks>(
        decoder: Decoder<S>,
        is_open: bool,
        before: usize,
        seen: &mut Vec<Moment>,
        names: &mut FxHashMap<u32, [u64; 2]>,
    ) -> Taken {
        let mut decoder = if is_open { decoder.until_gap() } else { decoder };
        let mut taken = Taken { moments: 0, calls: 0, newest: 0, next_slot: 0 };
        let mut last = None;
        while let Some(decoded) = decoder.next() {
            let Decoded::Moment(moment) = decoded else { continue };
            if taken.moments >= before {
                taken.newest = taken.newest.max(moment.ticks);
                taken.calls += u64::from(moment.kind.is_moment());
                if last.replace(moment.tid) != Some(moment.tid)
                    && (names.len() < MOST_NAMES || names.contains_key(&moment.tid))
                {
                    names.insert(moment.tid, decoder.thread_name());
                }
                if decoder.stack() != 0 {
                    seen.push(Moment::stack(decoder.stack(), &moment));
                }
                seen.push(moment);
            }
            taken.moments += 1;
        }
        taken.next_slot = decoder.position();
        taken
    }
}

/// The result of a reading.
#[derive(Clone, Copy)]
pub struct Read {
    /// There was something new.
    pub any: bool,
    /// There is more.
    pub goes_on: bool,
}
