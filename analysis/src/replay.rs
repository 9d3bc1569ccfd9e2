//! Replays events: who lives, who is born, who dies.

use mallook_reader::{Call, Event, EventKind, MergedEvents, StackId};
use rustc_hash::FxHashMap;

use crate::change::{Analysis, Birth, Cause, Death, Moment, Origin};
use crate::live::{Block, LiveSet};
use crate::place::Places;
use crate::thread::{ThreadId, Threads};

/// How many moments before its own one the block of an address is fetched: about as long as memory takes.
const AHEAD: usize = 6;
/// Blocks whose reallocation may still end, though their address was given out again: a damaged trace
/// may invent any number.
const MOST_DISPLACED: usize = 1 << 16;

/// The memory that is alive in the processes of several traces, from event to event.
///
/// The sizes of the blocks that are never freed:
///
/// ```
/// use mallook_analysis::{Analysis, Block, Moment, Replay};
/// use mallook_reader::{MergedEvents, Trace};
///
/// struct Sizes(Vec<u64>);
///
/// impl Analysis for Sizes {
///     fn left(&mut self, _: &Moment, block: &Block) {
///         self.0.push(block.size);
///     }
/// }
///
/// # fn main() -> Result<(), mallook_reader::Error> {
/// let traces = [Trace::open("../tests/golden/v1.trace".as_ref())?];
/// let mut sizes = Sizes(Vec::new());
/// Replay::new(traces.len()).run(&mut MergedEvents::of(&traces), &mut sizes);
/// assert_eq!(sizes.0, [288]);
/// # Ok(()) }
/// ```
///
/// A block that is born where another one is alive has replaced it: the release of that is missing. Or
/// it was reallocated by a call that began before and ends afterwards, which is then known.
#[derive(Clone, Debug)]
pub struct Replay {
    processes: Vec<Process>,
    threads: Threads,
    places: Places,
}

/// The process of a trace.
#[derive(Clone, Debug)]
struct Process {
    live: LiveSet,
    births: u64,
    /// The last thread that was asked for.
    last: (u32, ThreadId),
    /// The last block that was replaced at an address, and when.
    displaced: FxHashMap<u64, (u64, Block)>,
    time_ns: u64,
    ended: bool,
}

impl Process {
    fn new() -> Process {
        Process {
            live: LiveSet::new(),
            births: 0,
            last: (0, ThreadId::OTHERS),
            displaced: FxHashMap::default(),
            time_ns: 0,
            ended: false,
        }
    }
}

impl Replay {
    /// Nothing is alive in the processes of `traces` traces.
    pub fn new(traces: usize) -> Replay {
        Replay {
            processes: vec![Process::new(); traces],
            threads: Threads::default(),
            places: Places::new(traces),
        }
    }

    /// Nothing is alive in the processes of the same traces. The threads and places have the numbers that they
    /// have here, whichever event comes first; others are not told apart: a ring may have lost events since.
    pub fn again(&self) -> Replay {
        Replay {
            processes: vec![Process::new(); self.processes.len()],
            threads: self.threads.again(),
            places: self.places.again(),
        }
    }

    /// One more trace comes; its position is that after the others.
    pub fn add_trace(&mut self) {
        self.processes.push(Process::new());
        self.places.add_trace();
    }

    /// The memory of a process that is alive now. It is empty when its trace has ended.
    pub fn live(&self, trace: u32) -> Option<&LiveSet> {
        self.processes.get(trace as usize).map(|process| &process.live)
    }

    /// The threads so far.
    pub fn threads(&self) -> &Threads {
        &self.threads
    }

    /// The places so far.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Replays all events; processes end where their traces do.
    pub fn run(&mut self, events: &mut MergedEvents, to: &mut impl Analysis) {
        self.run_while(events, to, |_| true);
    }

    /// The same as long as `goes_on` of the next event; what is alive then is said to be left.
    pub fn run_while(
        &mut self,
        events: &mut MergedEvents,
        to: &mut impl Analysis,
        mut goes_on: impl FnMut(&Event) -> bool,
    ) {
        if self.processes.len() == 1 {
            self.run_one_while(events, to, goes_on);
        } else {
            while let Some((event, ended)) = events.advance_with_ended() {
                ended.iter().for_each(|&trace| self.end(trace, to));
                if !goes_on(event) {
                    break;
                }
                self.event(event, to);
            }
        }
        (0..self.processes.len() as u32).for_each(|trace| self.end(trace, to));
    }

    fn run_one_while(
        &mut self,
        events: &mut MergedEvents,
        to: &mut impl Analysis,
        mut goes_on: impl FnMut(&Event) -> bool,
    ) {
        let Some(mut one) = self.in_process(0) else { return };
        loop {
            if let Some(mut run) = events.plain_run() {
                while let Some(event) = run.next() {
                    if let Some(address) = run.address_ahead(AHEAD) {
                        one.process.live.fetch(address);
                    }
                    if !goes_on(&event) {
                        return;
                    }
                    one.inlined(&event, to);
                }
            }
            match events.advance() {
                Some(event) if goes_on(event) => {
                    // Those of further traces, which this replay does not know, are left out.
                    if event.trace == 0 {
                        one.event(event, to);
                    }
                }
                _ => return,
            }
        }
    }

    /// Ends a process, if it has not ended before: all its memory is gone.
    pub fn end(&mut self, trace: u32, to: &mut impl Analysis) {
        let Some(process) = self.processes.get_mut(trace as usize) else { return };
        if std::mem::replace(&mut process.ended, true) {
            return;
        }
        let at = Moment { time_ns: process.time_ns, trace, thread: process.last.1 };
        process.live.iter().for_each(|block| to.left(&at, block));
        to.end(&at);
        process.live = LiveSet::new();
        process.displaced = FxHashMap::default();
    }

    /// Replays an event.
    pub fn event(&mut self, event: &Event, to: &mut impl Analysis) {
        if let Some(mut process) = self.in_process(event.trace) {
            process.event(event, to);
        }
    }

    fn in_process(&mut self, trace: u32) -> Option<InProcess<'_>> {
        let Replay { processes, threads, places } = self;
        Some(InProcess { process: processes.get_mut(trace as usize)?, threads, places })
    }
}

/// A process, with what it shares with the others.
struct InProcess<'a> {
    process: &'a mut Process,
    threads: &'a mut Threads,
    places: &'a mut Places,
}

impl InProcess<'_> {
    #[inline(never)]
    fn event(&mut self, event: &Event, to: &mut impl Analysis) {
        self.inlined(event, to);
    }

    /// The same, where the event has just been made: what is not looked at is not made.
    #[inline(always)]
    fn inlined(&mut self, event: &Event, to: &mut impl Analysis) {
        let process = &mut *self.process;
        if process.last.0 != event.tid || process.births == 0 {
            process.last = (event.tid, self.threads.number(event.trace, event.tid));
        }
        let thread = process.last.1;
        process.time_ns = event.time_ns;
        let at = Moment { time_ns: event.time_ns, trace: event.trace, thread };
        let EventKind::Call(call) = &event.kind else { return to.other(&at, &event.kind) };
        to.call(&at, call);
        // The address of a reallocation that never ended is not known; its old block is taken to live.
        let Some(address) = call.address() else { return };
        if call.kind.is_death() {
            if address != 0 {
                self.free(at, call, address, event.stack, to);
            }
        } else if call.old_address().is_some_and(|old| old != 0) {
            self.reallocate(at, call, event.stack, to);
        } else if address == 0 {
            to.failure(&at, call);
        } else {
            self.birth(at, call, event.stack, None, to);
        }
    }

    #[inline(always)]
    fn free(
        &mut self,
        at: Moment,
        call: &Call,
        address: u64,
        stack: Option<StackId>,
        to: &mut impl Analysis,
    ) {
        let process = &mut *self.process;
        match process.live.remove(address) {
            Some(block) => {
                to.death(&Death {
                    at,
                    block,
                    cause: Cause::Freed(call.kind),
                    stack,
                    births_of_thread: self.threads.get(block.thread).births - block.ordinal,
                    births: process.births - block.births,
                });
            }
            None => to.unknown_death(&at, address),
        }
    }

    #[inline(never)]
    fn reallocate(
        &mut self,
        at: Moment,
        call: &Call,
        stack: Option<StackId>,
        to: &mut impl Analysis,
    ) {
        if call.failed() {
            return to.failure(&at, call);
        }
        let (old, new) = (call.old_address().unwrap_or(0), call.address().unwrap_or(0));
        let process = &mut *self.process;
        let start_ns = call.start_ns().unwrap_or(at.time_ns);
        let displaced = match process.displaced.get(&old) {
            Some(&(replaced_ns, block)) if replaced_ns >= start_ns => Some(block),
            _ => None,
        };
        let was_replaced = displaced.is_some();
        if was_replaced {
            process.displaced.remove(&old);
        }
        let Some(block) = displaced.or_else(|| process.live.remove(old).copied()) else {
            to.unknown_death(&at, old);
            if new != 0 {
                self.birth(at, call, stack, None, to);
            }
            return;
        };
        if !was_replaced {
            to.death(&Death {
                at,
                block: &block,
                // `realloc(p, 0)` may free.
                cause: if new == 0 { Cause::Freed(call.kind) } else { Cause::Grown },
                stack,
                births_of_thread: self.threads.get(block.thread).births - block.ordinal,
                births: process.births - block.births,
            });
        }
        if new != 0 {
            let from = Origin { size: block.size, moved: new != old, was_replaced };
            let chain = (block.chain.saturating_add(1), block.first_size);
            self.birth(at, call, stack, Some((from, chain)), to);
        }
    }

    /// `from`: the old block, and what its chain was.
    #[inline(always)]
    fn birth(
        &mut self,
        at: Moment,
        call: &Call,
        stack: Option<StackId>,
        from: Option<(Origin, (u32, u64))>,
        to: &mut impl Analysis,
    ) {
        let process = &mut *self.process;
        let of_thread = self.threads.get_mut(at.thread);
        let size = call.size().unwrap_or(0);
        let (chain, first_size) = from.map_or((0, size), |(_, chain)| chain);
        process.births += 1;
        of_thread.births += 1;
        let (births, ordinal) = (process.births, of_thread.births);
        let place = self.places.number(at.trace, stack, at.thread, size);
        let address = call.address().unwrap_or(0);
        let block = process.live.insert(address);
        if block.is_alive {
            let of_thread = self.threads.get(block.thread).births - block.ordinal;
            let since = (of_thread, births - block.births);
            replace(at, block, since, &mut process.displaced, to);
        }
        *block = Block {
            address,
            size,
            birth_ns: at.time_ns,
            births,
            ordinal,
            first_size,
            thread: at.thread,
            place,
            chain,
            function: call.kind,
            is_alive: true,
        };
        let from = from.map(|(from, _)| from);
        to.birth(&Birth { at, block, from, call, stack });
    }
}

/// A block has been born at the address of another one.
#[cold]
#[inline(never)]
fn replace(
    at: Moment,
    old: &Block,
    (births_of_thread, births): (u64, u64),
    displaced: &mut FxHashMap<u64, (u64, Block)>,
    to: &mut impl Analysis,
) {
    to.death(&Death {
        at,
        block: old,
        cause: Cause::Replaced,
        stack: None,
        births_of_thread,
        births,
    });
    if displaced.len() >= MOST_DISPLACED {
        displaced.clear();
    }
    displaced.insert(old.address, (at.time_ns, *old));
}

#[cfg(test)]
mod tests;
