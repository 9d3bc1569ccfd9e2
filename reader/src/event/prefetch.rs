//! Prefetches moments: other threads decode, order and time them before they are asked for.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::Scope;

use crate::decode::{Batch, Moments};
use crate::order::{Causality, Merge};
use crate::stack::Stacks;
use crate::trace::{ClockMap, Converter, Trace};

/// Moments that go from one thread to the other at a time: enough that it does not matter what waking up the
/// other one costs.
const MOMENTS: usize = 16384;
/// Batches that wait at the most.
const BATCHES: usize = 2;
/// Prefetching threads at the most.
const MOST_THREADS: usize = 16;

/// A source of the moments of one trace, whose times are Unix time.
pub enum TraceMoments<'a> {
    /// Decodes on the thread that asks.
    Direct(Box<Timed<'a>>),
    /// Another thread decodes.
    Prefetched(Prefetched),
}

/// Moments whose ticks are Unix time in nanoseconds.
pub struct Timed<'a> {
    moments: Causality<Merge<'a>>,
    clock: Converter,
}

impl<'a> Timed<'a> {
    fn of(trace: &'a Trace<'a>, stacks: Option<&'a Stacks<'a>>) -> Timed<'a> {
        Timed {
            moments: Causality::of(trace, stacks),
            clock: Converter::new(ClockMap::first(trace)),
        }
    }
}

impl Moments for Timed<'_> {
    fn more(&mut self, batch: &mut Batch) -> bool {
        let start = batch.moments.len();
        let more = self.moments.more(batch);
        self.clock.extend(batch.clock_syncs.drain(..));
        self.clock.convert(batch.moments[start..].iter_mut().map(|moment| &mut moment.ticks));
        more
    }
}

/// Moments from another thread.
pub struct Prefetched {
    full: Receiver<Batch>,
    empty: Sender<Batch>,
}

impl<'a> TraceMoments<'a> {
    /// Decodes on the thread that asks.
    pub fn direct(trace: &'a Trace<'a>, stacks: Option<&'a Stacks<'a>>) -> TraceMoments<'a> {
        TraceMoments::Direct(Box::new(Timed::of(trace, stacks)))
    }

    /// The moments of the largest traces, which threads of the scope prefetch. `stacks`: none, or those
    /// of each trace.
    pub fn prefetched<'s>(
        traces: &'a [Trace<'a>],
        stacks: &'a [Stacks<'a>],
        scope: &'s Scope<'s, 'a>,
    ) -> Vec<Option<TraceMoments<'a>>> {
        let mut sizes: Vec<_> = traces.iter().map(Trace::places).collect();
        sizes.sort_unstable_by_key(|&size| std::cmp::Reverse(size));
        let least = sizes.get(MOST_THREADS).copied().unwrap_or(0);
        let moments = |(position, trace): (usize, &'a Trace<'a>)| {
            let is_large = trace.places() > least;
            let stacks = stacks.get(position);
            is_large.then(|| TraceMoments::Prefetched(Prefetched::of(trace, stacks, scope)))
        };
        traces.iter().enumerate().map(moments).collect()
    }
}

impl Prefetched {
    fn of<'s, 'a>(
        trace: &'a Trace<'a>,
        stacks: Option<&'a Stacks<'a>>,
        scope: &'s Scope<'s, 'a>,
    ) -> Prefetched {
        let (send_full, full) = mpsc::sync_channel(BATCHES);
        let (empty, receive_empty) = mpsc::channel::<Batch>();
        scope.spawn(move || {
            let mut moments = Timed::of(trace, stacks);
            loop {
                let mut batch = receive_empty.try_recv().unwrap_or_default();
                batch.clear();
                while batch.moments.len() < MOMENTS && moments.more(&mut batch) {}
                // The receiver is dropped when its owner has seen enough.
                if batch.moments.is_empty() || send_full.send(batch).is_err() {
                    return;
                }
            }
        });
        Prefetched { full, empty }
    }
}

impl Moments for TraceMoments<'_> {
    fn more(&mut self, batch: &mut Batch) -> bool {
        match self {
            TraceMoments::Direct(moments) => moments.more(batch),
            TraceMoments::Prefetched(Prefetched { full, empty }) => {
                let Ok(mut next) = full.recv() else { return false };
                match batch.moments.is_empty() {
                    true => std::mem::swap(batch, &mut next),
                    false => batch.append(&mut next),
                }
                // The thread may be done already.
                let _ = empty.send(next);
                true
            }
        }
    }
}
