//! A trace that is being written.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use mallook_format::ring::BlockCopy;
use mallook_format::{Phase, State};
use rustc_hash::FxHashMap;

use super::call::Event;
use super::pairing::Pairing;
use crate::decode::{Batch, Decoded, Decoder, Moment, Moments};
use crate::error::Error;
use crate::order::{Causality, LiveSet};
use crate::trace::{Blocks, ClockMap, Converter, Trace};

/// Time between two readings of the file.
const INTERVAL: Duration = Duration::from_millis(50);

/// Moments that were read and not emitted yet, by time.
#[derive(Default)]
struct Queue {
    moments: VecDeque<Moment>,
    /// Moments later than this wait: earlier ones may still be written.
    until: u64,
}

impl Moments for Queue {
    fn more(&mut self, batch: &mut Batch) -> bool {
        let ready = self.moments.partition_point(|moment| moment.ticks <= self.until);
        batch.moments.extend(self.moments.drain(..ready));
        ready != 0
    }
}

/// The claim of each block by index, and the number of its moments that were read.
type Progress = FxHashMap<u64, (u64, usize)>;

/// Calls `emit` with every event of a file, and of the process that goes on writing it, until the
/// process has ended or replaced itself, or `emit` returns `false`.
///
/// ```
/// use mallook_reader::{EventKind, follow};
///
/// # fn main() -> Result<(), mallook_reader::Error> {
/// let mut failed = 0;
/// follow("../tests/golden/v1.trace".as_ref(), |event| {
///     if let EventKind::Call(call) = event.kind
///         && call.failed()
///     {
///         eprintln!("thread {}: {}({:?}) failed", event.tid, call.name(), call.size());
///         failed += 1;
///     }
///     failed < 10
/// })?;
/// assert_eq!(failed, 1);
/// # Ok(()) }
/// ```
///
/// Events of several threads are in order of time as long as no thread is held up for more than
/// 50 ms between reading the clock and writing its record. Calls that never ended are left out.
///
/// # Errors
/// The file cannot be read, or is no trace.
pub fn follow(path: &Path, mut emit: impl FnMut(&Event) -> bool) -> Result<(), Error> {
    let first = Trace::open(path)?;
    // The first clock is kept: a better one would make earlier times jump.
    let clock = Converter::new(ClockMap::of(&first));
    let live = LiveSet::new(first.is_complete(), first.is_coarse());
    let queue = Causality::new(Queue::default(), Some(live));
    let mut events = Pairing::new(queue, first.header().pid, clock);
    let mut progress = Progress::default();
    let mut newest = 0;
    loop {
        // Asked before the file is read: a file whose process has ended is complete.
        let running = first.is_running();
        let trace = Trace::open(path)?;
        let mut seen = collect(&trace, running, &mut progress);
        seen.sort_by_key(|moment| moment.ticks);
        let queue = events.source_mut().source_mut();
        // Everything up to the newest moment of the last reading has been written by now.
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

/// The moments that were written since the last reading. While the process runs, a missing slot may
/// still be filled, and the slots after it wait.
fn collect(trace: &Trace, running: bool, progress: &mut Progress) -> Vec<Moment> {
    let mut seen = Vec::new();
    let mut copy = BlockCopy::EMPTY;
    for block in &Blocks::of(trace).collect::<Vec<_>>() {
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
        let moments = decoder.filter_map(|decoded| match decoded {
            Decoded::Moment(moment) => Some(moment),
            Decoded::Damaged(_) => None,
        });
        let before = seen.len();
        seen.extend(moments.skip(taken.1));
        // A closed block is complete.
        taken.1 = if open { taken.1 + seen.len() - before } else { usize::MAX };
    }
    seen
}
