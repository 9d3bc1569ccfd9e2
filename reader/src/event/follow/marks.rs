//! The marks of a trace that is followed: they stand in its header, and come among its events by time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use mallook_format::Kind;

use crate::event::call::{Event, EventKind};
use crate::trace::{Mark, Trace};

/// Time between two looks at the header, while a place is taken and not written.
const AGAIN: Duration = Duration::from_millis(50);
/// Events from before a mark may come so much later than it.
const LATE: Duration = Duration::from_millis(100);

/// The marks of a trace.
#[derive(Default)]
pub struct Marks {
    /// By their places.
    known: BTreeMap<u32, Mark>,
    /// Those that have no event yet, by time, and when they were seen.
    coming: VecDeque<(u64, u32, Instant)>,
    /// Places of those whose event was not told yet.
    untold: BTreeSet<u32>,
    /// The header was looked at.
    looked: Option<Instant>,
}

impl Marks {
    /// Looks for those that were made since. A place that is taken may never be written.
    pub fn look(&mut self, trace: &Trace) {
        let is_due = self.looked.is_none_or(|looked| looked.elapsed() >= AGAIN);
        if trace.marks_taken() == self.known.len() || !is_due {
            return;
        }
        let now = Instant::now();
        self.looked = Some(now);
        for mark in trace.marks_now() {
            if !self.known.contains_key(&mark.place) {
                self.coming.push_back((mark.time_ns, mark.place, now));
                self.known.insert(mark.place, mark);
            }
        }
        self.coming.make_contiguous().sort_by_key(|&(time_ns, place, _)| (time_ns, place));
    }

    /// The mark that an event at this place stands for, once: damaged traces have such events that nobody
    /// has made.
    pub fn tell(&mut self, place: u32) -> Option<&Mark> {
        if self.untold.remove(&place) { self.known.get(&place) } else { None }
    }

    /// The event of the next mark, if that comes before an event of this time.
    pub fn before(&mut self, next: &Event) -> Option<Event> {
        let is_before = |mark: &(u64, u32, Instant)| mark.0 < next.time_ns;
        self.event(is_before, |time_ns, kind| Event {
            time_ns,
            kind,
            tid: next.pid,
            stack: None,
            ..*next
        })
    }

    /// The event of the next mark, where no other event is there: once none can come before it, which
    /// is at once if the process has ended.
    pub fn alone(&mut self, trace: &Trace, position: usize, has_ended: bool) -> Option<Event> {
        let (pid, trace) = (trace.pid(), position as u32);
        let is_due = |mark: &(u64, u32, Instant)| has_ended || mark.2.elapsed() >= LATE;
        let event = |time_ns, kind| Event { time_ns, pid, tid: pid, trace, stack: None, kind };
        self.event(is_due, event)
    }

    fn event(
        &mut self,
        is_next: impl Fn(&(u64, u32, Instant)) -> bool,
        event: impl Fn(u64, EventKind) -> Event,
    ) -> Option<Event> {
        let &(time_ns, place, _) = self.coming.front().filter(|mark| is_next(mark))?;
        self.coming.pop_front();
        self.untold.insert(place);
        Some(event(time_ns, EventKind::Marker(Kind::Mark, place)))
    }
}
