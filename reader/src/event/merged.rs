//! The events of several processes by time: a k-way merge.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fmt;
use std::thread::Scope;

use super::call::Event;
use super::pairing::Pairing;
use super::plain::PlainRun;
use super::prefetch::TraceMoments;
use crate::stack::Stacks;
use crate::trace::Trace;

/// The events of several traces by Unix time; at equal times in the order of the traces.
///
/// ```
/// use mallook_reader::{MergedEvents, Trace};
///
/// # fn main() -> Result<(), mallook_reader::Error> {
/// let files = ["../tests/golden/v1.trace", "../tests/golden/v1.trace"];
/// let traces =
///     files.iter().map(|file| Trace::open(file.as_ref())).collect::<Result<Vec<_>, _>>()?;
/// // Threads of the scope decode while this one reads.
/// let times: Vec<u64> = std::thread::scope(|scope| {
///     MergedEvents::prefetching(&traces, scope).map(|event| event.time_ns).collect()
/// });
/// assert!(times.is_sorted());
/// assert_eq!(times.len(), 2 * 35);
/// # Ok(()) }
/// ```
///
/// A trace is read from its start on, and not before the others have come to that time; what it needs
/// is given back when it ends.
pub struct MergedEvents<'a> {
    processes: Vec<Process<'a>>,
    /// The time of the next event of each process, if there are several.
    heap: BinaryHeap<Reverse<(u64, usize)>>,
    /// The first event of the heap was lent out.
    lent: bool,
    /// Repairs of the processes that have ended.
    repairs: u64,
    /// Traces that have ended since the last event.
    ended: Vec<u32>,
}

/// The events of one process.
enum Process<'a> {
    Coming(&'a Trace<'a>, Option<&'a Stacks<'a>>),
    /// Another thread decodes already.
    Prefetched(Box<Pairing<TraceMoments<'a>>>),
    Open(Box<Pairing<TraceMoments<'a>>>),
    Ended,
}

/// How much earlier than its header says an event of a trace may be, in nanoseconds: the clocks are
/// read when the file is made, which the first event has to wait for.
const EARLIER: u64 = 1_000_000_000;

impl<'a> MergedEvents<'a> {
    /// Merges the events of these traces.
    pub fn of(traces: &'a [Trace<'a>]) -> MergedEvents<'a> {
        MergedEvents::with_stacks(traces, &[])
    }

    /// The same with call stacks: those of each trace.
    pub fn with_stacks(traces: &'a [Trace<'a>], stacks: &'a [Stacks<'a>]) -> MergedEvents<'a> {
        let process = |(place, trace)| Process::Coming(trace, stacks.get(place));
        MergedEvents::new(traces.iter().enumerate().map(process).collect(), traces)
    }

    /// As [`MergedEvents::of`], with the largest traces decoded on threads of the scope.
    pub fn prefetching<'s>(traces: &'a [Trace<'a>], scope: &'s Scope<'s, 'a>) -> MergedEvents<'a> {
        MergedEvents::prefetching_with_stacks(traces, &[], scope)
    }

    /// As [`MergedEvents::with_stacks`], with the largest traces decoded on threads of the scope.
    pub fn prefetching_with_stacks<'s>(
        traces: &'a [Trace<'a>],
        stacks: &'a [Stacks<'a>],
        scope: &'s Scope<'s, 'a>,
    ) -> MergedEvents<'a> {
        let moments = TraceMoments::prefetched(traces, stacks, scope);
        let process = |(place, moments): (usize, Option<TraceMoments<'a>>)| match moments {
            Some(moments) => Process::Prefetched(Box::new(Pairing::timed(&traces[place], moments))),
            None => Process::Coming(&traces[place], stacks.get(place)),
        };
        MergedEvents::new(moments.into_iter().enumerate().map(process).collect(), traces)
    }

    fn new(mut processes: Vec<Process<'a>>, traces: &'a [Trace<'a>]) -> MergedEvents<'a> {
        let mut heap = BinaryHeap::new();
        match &mut processes[..] {
            // One process needs no merging.
            [only] => _ = only.open(0),
            _ => heap.extend((0..).zip(traces).map(|(place, trace)| {
                Reverse((trace.header().realtime_ns.saturating_sub(EARLIER), place))
            })),
        }
        MergedEvents { processes, heap, lent: false, repairs: 0, ended: Vec::new() }
    }

    /// Number of moments so far whose order was repaired by causality.
    pub fn repairs(&self) -> u64 {
        self.processes.iter().map(Process::repairs).fold(self.repairs, u64::saturating_add)
    }

    /// Goes on to the next event and lends it, as
    /// [`Events::advance`](crate::event::Events::advance) does.
    #[inline]
    pub fn advance(&mut self) -> Option<&Event> {
        if self.processes.len() != 1 {
            return self.advance_several();
        }
        if let Some(Process::Open(only)) = self.processes.first_mut() {
            only.advance()
        } else {
            None
        }
    }

    /// The calls of simple functions of the only trace that come next and can be had at once; there may be
    /// none. By value, so that what its reader does not look at is not made: a third of the time of a pass.
    /// When they are over, [`MergedEvents::advance`] goes on.
    #[inline(always)]
    pub fn plain_run(&mut self) -> Option<PlainRun<'_>> {
        match &mut self.processes[..] {
            [Process::Open(only)] => Some(only.plain_run()),
            _ => None,
        }
    }

    /// As [`MergedEvents::advance`], with the positions of the traces whose last event was before this
    /// one: all of them but those that end with the last event of all.
    pub fn advance_with_ended(&mut self) -> Option<(&Event, &[u32])> {
        self.ended.clear();
        let place = self.find_first()?;
        match &self.processes[place] {
            Process::Open(events) => Some((events.current(), &self.ended)),
            _ => None,
        }
    }

    fn advance_several(&mut self) -> Option<&Event> {
        self.ended.clear();
        let place = self.find_first()?;
        match &self.processes[place] {
            Process::Open(events) => Some(events.current()),
            _ => None,
        }
    }

    /// The process whose event is the next one.
    fn find_first(&mut self) -> Option<usize> {
        if std::mem::replace(&mut self.lent, true) {
            self.advance_first();
        }
        // A process that was not open stands in the heap with a time that is none of an event.
        loop {
            let Reverse((_, place)) = *self.heap.peek()?;
            if !self.processes.get_mut(place)?.open(place) {
                break;
            }
            self.advance_first();
        }
        self.heap.peek().map(|&Reverse((_, place))| place)
    }

    /// Goes on to the next event of the process that is the first.
    fn advance_first(&mut self) {
        // One sift instead of a pop and a push; none if the process stays the first.
        let Some(mut first) = self.heap.peek_mut() else { return };
        let Reverse((time_ns, place)) = &mut *first;
        let process = &mut self.processes[*place];
        let next = if let Process::Open(events) = process { events.advance() } else { None };
        match next {
            Some(event) => *time_ns = event.time_ns,
            None => {
                self.ended.push(u32::try_from(*place).unwrap_or(u32::MAX));
                PeekMut::pop(first);
                self.repairs += process.repairs();
                *process = Process::Ended;
            }
        }
    }
}

impl Process<'_> {
    /// Opens a process that is coming, of the trace at this position; `false` if it is not.
    fn open(&mut self, position: usize) -> bool {
        let mut events = match std::mem::replace(self, Process::Ended) {
            Process::Coming(trace, stacks) => {
                Box::new(Pairing::timed(trace, TraceMoments::direct(trace, stacks)))
            }
            Process::Prefetched(events) => events,
            other => {
                *self = other;
                return false;
            }
        };
        events.set_position(position);
        *self = Process::Open(events);
        true
    }

    fn repairs(&self) -> u64 {
        if let Process::Open(events) = self { events.repairs() } else { 0 }
    }
}

impl Iterator for MergedEvents<'_> {
    type Item = Event;

    #[inline]
    fn next(&mut self) -> Option<Event> {
        self.advance().copied()
    }
}

impl fmt::Debug for MergedEvents<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let processes = self.processes.len();
        f.debug_struct("MergedEvents").field("processes", &processes).finish_non_exhaustive()
    }
}
