//! The events of several processes in one order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::thread::Scope;

use crate::ahead::Feed;
use crate::{Event, Events, Trace};

/// The events of several traces by Unix time; at equal times in the order of the traces.
pub struct Tree<'a> {
    processes: Vec<Events<Feed<'a>>>,
    heads: Vec<Option<Event>>,
    heap: BinaryHeap<Reverse<(u64, usize)>>,
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
        let of_trace = |(trace, feed): (&Trace, _)| Events::new(feed, trace.header().pid);
        let mut processes: Vec<_> = traces.iter().zip(feeds).map(of_trace).collect();
        // One process needs no merging.
        let several = processes.len() > 1;
        let heads: Vec<_> = processes.iter_mut().filter(|_| several).map(Iterator::next).collect();
        let keys = heads.iter().enumerate();
        let heap =
            keys.filter_map(|(i, head)| Some(Reverse((head.as_ref()?.time_ns, i)))).collect();
        Tree { processes, heads, heap }
    }

    /// Births that were put off behind the release of their address, so far.
    pub fn repairs(&self) -> u64 {
        self.processes.iter().map(|events| events.repairs()).sum()
    }
}

impl Iterator for Tree<'_> {
    type Item = Event;

    #[inline]
    fn next(&mut self) -> Option<Event> {
        match &mut self.processes[..] {
            [only] => only.next(),
            _ => self.next_of_several(),
        }
    }
}

impl Tree<'_> {
    fn next_of_several(&mut self) -> Option<Event> {
        let Reverse((_, first)) = *self.heap.peek()?;
        let next = self.processes[first].next();
        let event = std::mem::replace(&mut self.heads[first], next);
        match next {
            // One sift instead of a pop and a push; none if the process stays the first.
            Some(next) => {
                if let Some(mut top) = self.heap.peek_mut() {
                    *top = Reverse((next.time_ns, first));
                }
            }
            None => drop(self.heap.pop()),
        }
        event
    }
}
