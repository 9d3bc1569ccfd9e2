//! The events of several processes in one order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::thread::Scope;

use crate::ahead::Feed;
use crate::{Event, Events, Trace};

/// The events of several traces by Unix time; at equal times in the order of the traces.
pub struct Tree<'a> {
    processes: Vec<Events<Feed<'a>>>,
    /// The times of the next event of each process, if there are several.
    heap: BinaryHeap<Reverse<(u64, usize)>>,
    /// The event of the first one in the heap was shown.
    shown: bool,
}

impl<'a> Tree<'a> {
    /// Merges the events of these traces.
    pub fn of(traces: &'a [Trace<'a>]) -> Tree<'a> {
        Tree::new(traces, traces.iter().map(Feed::here).collect())
    }

    /// As [`Tree::of`]; threads of the scope decode ahead, if there are processors for them.
    pub fn ahead<'s>(traces: &'a [Trace<'a>], scope: &'s Scope<'s, 'a>) -> Tree<'a> {
        Tree::new(traces, Feed::of(traces, scope))
    }

    fn new(traces: &'a [Trace<'a>], feeds: Vec<Feed<'a>>) -> Tree<'a> {
        let of_trace = |(trace, feed)| Events::with_source(trace, feed);
        let mut processes: Vec<_> = traces.iter().zip(feeds).map(of_trace).collect();
        // One process needs no merging.
        let several = processes.len() > 1;
        let first = |(i, events): (usize, &mut Events<_>)| {
            events.advance().map(|event| Reverse((event.time_ns, i)))
        };
        let heap = processes.iter_mut().enumerate().filter(|_| several).filter_map(first).collect();
        Tree { processes, heap, shown: false }
    }

    /// Moments that were put off so far, since they cannot have happened before another one.
    pub fn repairs(&self) -> u64 {
        self.processes.iter().map(|events| events.repairs()).sum()
    }

    /// As [`Events::advance`].
    #[inline]
    pub fn advance(&mut self) -> Option<&Event> {
        match self.processes.len() {
            1 => self.processes[0].advance(),
            _ => self.advance_several(),
        }
    }

    fn advance_several(&mut self) -> Option<&Event> {
        if std::mem::replace(&mut self.shown, true) {
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

impl Iterator for Tree<'_> {
    type Item = Event;

    #[inline]
    fn next(&mut self) -> Option<Event> {
        self.advance().copied()
    }
}
