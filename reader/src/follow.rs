//! A trace that is being written.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use mallook_format::Kind;
use mallook_format::ring::BlockCopy;
use rustc_hash::FxHashMap;

use crate::decode::{Decoder, Moment, Step};
use crate::merge::Moments;
use crate::summary::is_running;
use crate::{ClockMap, Error, Event, Events, Trace};

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_millis(50);
/// Looks without a new event after an exec marker, until the exec is believed.
const QUIET_LOOKS: u32 = 4;

/// Moments that have been seen and not been emitted yet, in order of time.
#[derive(Default)]
struct Queue {
    moments: VecDeque<Moment>,
    /// Moments later than this wait: earlier ones may still turn up.
    until: u64,
}

impl Moments for Queue {
    fn peek(&mut self) -> Option<Moment> {
        self.moments.front().copied().filter(|moment| moment.ticks <= self.until)
    }

    fn advance(&mut self) {
        self.moments.pop_front();
    }

    fn put_off(&mut self, address: u64) -> bool {
        let Some(head) = self.moments.front().copied() else { return false };
        let death = self.moments.iter().position(|moment| {
            moment.kind.is_death() && moment.address == address && moment.tid != head.tid
        });
        let Some(death) = death else { return false };
        let ticks = self.moments[death].ticks;
        self.moments.pop_front();
        // Behind the death, which has moved one place to the front.
        self.moments.insert(death, Moment { ticks, ..head });
        true
    }
}

/// How much of each block has been taken, by index: the claim and the number of moments.
type Progress = FxHashMap<u64, (u64, usize)>;

/// Calls `emit` with every event of the process that writes the file, from the first one that is
/// there on, until the process has ended or replaced itself, or `emit` returns `false`.
///
/// Events of several threads are in order of time as long as none of them is held up for more than
/// 50 ms between reading the clock and writing its record. Calls that never ended are left out.
///
/// # Errors
/// The file cannot be read, or is no trace.
pub fn follow(path: &Path, mut emit: impl FnMut(&Trace, &Event) -> bool) -> Result<(), Error> {
    let mut progress = Progress::default();
    let mut seen = Vec::new();
    let mut quiet = 0;
    let mut exec_pending = false;
    let mut newest = 0;
    // The first clock is kept: a better one would make earlier times jump.
    let clock: ClockMap = Trace::open(path)?.clock().clone();
    let mut events: Option<Events<Queue>> = None;
    loop {
        // Asked before the file is read, so that what a dying process wrote is in it.
        let trace = Trace::open(path)?;
        let running = is_running(&trace) && !trace.ended();
        let trace = if running { trace } else { Trace::open(path)? };
        let events = events
            .get_or_insert_with(|| Events::new(Queue::default(), &clock, trace.header().pid, true));
        collect(&trace, &mut progress, &mut seen);
        seen.sort_by_key(|moment| moment.ticks);
        quiet = if seen.is_empty() { quiet + 1 } else { 0 };
        if let Some(last) = seen.last() {
            exec_pending = last.kind == Kind::Exec && last.address == u64::from(trace.header().pid);
        }
        let over = !running || (exec_pending && quiet >= QUIET_LOOKS);
        let queue = events.source_mut();
        // What was the newest at the last look: everything up to there has been written by now.
        queue.until = if over { u64::MAX } else { newest };
        newest = seen.last().map_or(newest, |last| newest.max(last.ticks));
        if seen.is_empty() && !over {
            queue.until = newest;
        }
        merge(&mut queue.moments, &mut seen);
        while let Some(event) = events.next_finished() {
            if !emit(&trace, &event) {
                return Ok(());
            }
        }
        if over {
            return Ok(());
        }
        std::thread::sleep(INTERVAL);
    }
}

/// Merges new moments into the waiting ones; at equal times the waiting ones come first.
fn merge(waiting: &mut VecDeque<Moment>, seen: &mut Vec<Moment>) {
    let in_order = match (waiting.back(), seen.first()) {
        (Some(last), Some(first)) => last.ticks <= first.ticks,
        _ => true,
    };
    waiting.extend(seen.drain(..));
    if !in_order {
        waiting.make_contiguous().sort_by_key(|moment| moment.ticks);
    }
}

/// Appends the moments that were written since the last look.
fn collect(trace: &Trace, progress: &mut Progress, seen: &mut Vec<Moment>) {
    let mut copy = BlockCopy::EMPTY;
    for block in trace.blocks() {
        let taken = progress.entry(block.index).or_insert((block.sequence, 0));
        if taken.0 != block.sequence {
            *taken = (block.sequence, 0);
        }
        if taken.1 == usize::MAX || !trace.copy(block, &mut copy) {
            continue;
        }
        let steps = Decoder::until_gap(&copy, block);
        let moments = steps.filter_map(|step| match step {
            Step::Moment(moment) => Some(moment),
            Step::Damaged(_) => None,
        });
        let before = seen.len();
        seen.extend(moments.skip(taken.1));
        taken.1 += seen.len() - before;
        let last = copy.slots.last().is_some_and(|slot| slot.parity() == block.parity);
        if last && copy.slots.last().is_some_and(|slot| slot.raw_kind() != 0) {
            taken.1 = usize::MAX;
        }
    }
}
