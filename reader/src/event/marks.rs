//! The marks of a trace among its moments.

use std::collections::VecDeque;

use crate::decode::Moment;
use crate::trace::Trace;

/// The marks that are yet to come, by time.
#[derive(Default)]
pub struct Marks {
    pid: u32,
    /// Unix time in nanoseconds, and place.
    coming: VecDeque<(u64, u32)>,
}

impl Marks {
    pub fn of(trace: &Trace) -> Marks {
        let mut coming: Vec<_> =
            trace.marks().into_iter().map(|mark| (mark.time_ns, mark.place)).collect();
        coming.sort_unstable();
        Marks { pid: trace.pid(), coming: coming.into() }
    }

    pub fn is_empty(&self) -> bool {
        self.coming.is_empty()
    }

    /// Puts marks among these moments, whose times `unix_ns` tells from their ticks: those before the
    /// last one, or all of them if these are all moments.
    pub fn put(
        &mut self,
        moments: &mut Vec<Moment>,
        are_all: bool,
        mut unix_ns: impl FnMut(u64) -> u64,
    ) {
        let last = moments.last().map(|last| unix_ns(last.ticks));
        let until = if are_all { Some(u64::MAX) } else { last };
        while let Some(&(time_ns, place)) = self.coming.front()
            && until.is_some_and(|until| time_ns <= until)
        {
            self.coming.pop_front();
            let at = moments.partition_point(|moment| {
                moment.kind == Moment::MARK && moment.size <= time_ns
                    || moment.kind != Moment::MARK && unix_ns(moment.ticks) < time_ns
            });
            let ticks = moments.get(at).or(moments.last()).map_or(0, |near| near.ticks);
            moments.insert(at, Moment::mark(ticks, self.pid, place, time_ns));
        }
    }
}
