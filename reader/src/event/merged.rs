//! The events of several processes by time: a k-way merge.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fmt;
use std::thread::Scope;

use super::call::Event;
use super::pairing::Pairing;
use super::prefetch::TraceMoments;
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
pub struct MergedEvents<'a> {
    processes: Vec<Pairing<TraceMoments<'a>>>,
    /// The time of the next event of each process, if there are several.
    heap: BinaryHeap<Reverse<(u64, usize)>>,
    /// The first event of the heap was lent out.
    lent: bool,
}

impl<'a> MergedEvents<'a> {
    /// Merges the events of these traces.
    pub fn of(traces: &'a [Trace<'a>]) -> MergedEvents<'a> {
        MergedEvents::new(traces, traces.iter().map(TraceMoments::direct).collect())
    }

    /// As [`MergedEvents::of`], with the largest traces decoded on threads of the scope.
    pub fn prefetching<'s>(traces: &'a [Trace<'a>], scope: &'s Scope<'s, 'a>) -> MergedEvents<'a> {
        MergedEvents::new(traces, TraceMoments::prefetched(traces, scope))
    }

    fn new(traces: &'a [Trace<'a>], moments: Vec<TraceMoments<'a>>) -> MergedEvents<'a> {
        let of_trace = |(trace, moments)| Pairing::of(trace, moments);
        let mut processes: Vec<_> = traces.iter().zip(moments).map(of_trace).collect();
        // One process needs no merging.
        let several = processes.len() > 1;
        let first = |(i, events): (usize, &mut Pairing<_>)| {
            events.advance().map(|event| Reverse((event.time_ns, i)))
        };
        let heap = processes.iter_mut().enumerate().filter(|_| several).filter_map(first).collect();
        MergedEvents { processes, heap, lent: false }
    }

    /// Number of moments so far whose order was repaired by causality.
    pub fn repairs(&self) -> u64 {
        self.processes.iter().map(|events| events.repairs()).sum()
    }

    /// Goes on to the next event and lends it, as
    /// [`Events::advance`](crate::event::Events::advance) does.
    #[inline]
    pub fn advance(&mut self) -> Option<&Event> {
        match self.processes.len() {
            1 => self.processes[0].advance(),
            _ => self.advance_several(),
        }
    }

    fn advance_several(&mut self) -> Option<&Event> {
        if std::mem::replace(&mut self.lent, true) {
            // One sift instead of a pop and a push; none if the process stays the first.
            let mut first = self.heap.peek_mut()?;
            let Reverse((time_ns, process)) = &mut *first;
            match self.processes[*process].advance() {
                Some(event) => *time_ns = event.time_ns,
                None => drop(PeekMut::pop(first)),
            }
        }
        let Reverse((_, process)) = *self.heap.peek()?;
        Some(self.processes[process].current())
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
