//! A trace that is being written.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use mallook_format::ring::BlockCopy;
use mallook_format::{Phase, State};
use rustc_hash::FxHashMap;

use crate::clock::Converter;
use crate::decode::{Batch, Decoder, Moment, Moments, Step};
use crate::heap::Heap;
use crate::settle::Settle;
use crate::summary::is_running;
use crate::{ClockMap, Error, Event, Events, Trace};

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_millis(50);

/// Moments that have been seen and not been emitted yet, in order of time.
#[derive(Default)]
struct Queue {
    moments: VecDeque<Moment>,
    /// Moments later than this wait: earlier ones may still turn up.
    until: u64,
}

impl Moments for Queue {
    fn more(&mut self, batch: &mut Batch) -> bool {
        let ready = self.moments.partition_point(|moment| moment.ticks <= self.until);
        batch.moments.extend(self.moments.drain(..ready));
        ready != 0
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
pub fn follow(path: &Path, mut emit: impl FnMut(&Event) -> bool) -> Result<(), Error> {
    let first = Trace::open(path)?;
    // The first clock is kept: a better one would make earlier times jump.
    let clock: ClockMap = first.clock().clone();
    let heap = Heap::new(first.is_complete(), first.is_coarse());
    let queue = Settle::new(Queue::default(), Some(heap));
    let mut events = Events::new(queue, first.header().pid, Converter::new(clock));
    let mut progress = Progress::default();
    let mut newest = 0;
    loop {
        // Asked before the file is read, so that all that the process wrote is in it.
        let running = is_running(&first);
        let trace = Trace::open(path)?;
        let mut seen = collect(&trace, running, &mut progress);
        seen.sort_by_key(|moment| moment.ticks);
        let queue = events.source_mut().source_mut();
        // What was the newest at the last look: everything up to there has been written by now.
        queue.until = if running { newest } else { u64::MAX };
        newest = seen.last().map_or(newest, |last| newest.max(last.ticks));
        merge(&mut queue.moments, seen);
        while events.advance_finished() {
            if !emit(events.current()) {
                return Ok(());
            }
        }
        if !running {
            return Ok(());
        }
        std::thread::sleep(INTERVAL);
    }
}

/// Merges new moments into the waiting ones; at equal times the waiting ones come first.
fn merge(waiting: &mut VecDeque<Moment>, seen: Vec<Moment>) {
    let in_order = match (waiting.back(), seen.first()) {
        (Some(last), Some(first)) => last.ticks <= first.ticks,
        _ => true,
    };
    waiting.extend(seen);
    if !in_order {
        waiting.make_contiguous().sort_by_key(|moment| moment.ticks);
    }
}

/// The moments that were written since the last look. While the process runs, a slot that is missing
/// may still be filled, and what follows it waits.
fn collect(trace: &Trace, running: bool, progress: &mut Progress) -> Vec<Moment> {
    let mut seen = Vec::new();
    let mut copy = BlockCopy::EMPTY;
    for block in &trace.blocks().collect::<Vec<_>>() {
        let taken = progress.entry(block.index).or_insert((block.sequence, 0));
        if taken.0 != block.sequence {
            *taken = (block.sequence, 0);
        }
        if taken.1 == usize::MAX || !trace.copy(block, &mut copy) {
            continue;
        }
        let state = State::from_word(copy.header.state);
        let open = running && state.is_some_and(|state| state.phase == Phase::Open);
        let decoder = match open {
            true => Decoder::until_gap(&copy, block),
            false => Decoder::new(&copy, block),
        };
        let moments = decoder.filter_map(|step| match step {
            Step::Moment(moment) => Some(moment),
            Step::Damaged(_) => None,
        });
        let before = seen.len();
        seen.extend(moments.skip(taken.1));
        // A closed block has nothing more to say.
        taken.1 = if open { taken.1 + seen.len() - before } else { usize::MAX };
    }
    seen
}
