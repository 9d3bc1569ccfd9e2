//! A pass up to a moment.

use std::cell::Cell;

use mallook_reader::MergedEvents;

use crate::change::{Analysis, Birth, Death, Moment};
use crate::live::Block;
use crate::replay::Replay;

/// The moment at which a pass stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The end of each trace.
    End,
    /// This Unix time in nanoseconds: events at it are replayed.
    Time(u64),
    /// After this number of events.
    Events(u64),
}

/// A pass that stops, and how far it is.
#[derive(Debug)]
pub struct Stop {
    when: When,
    seen: Cell<u64>,
    time_ns: Cell<u64>,
    is_over: Cell<bool>,
    /// There is an event after the moment.
    has_later: Cell<bool>,
}

impl Stop {
    /// A pass that has not begun.
    pub fn at(when: When) -> Stop {
        let (seen, time_ns) = (Cell::new(0), Cell::new(0));
        let (is_over, has_later) = (Cell::new(false), Cell::new(false));
        Stop { when, seen, time_ns, is_over, has_later }
    }

    /// Number of events that were replayed, the present one included.
    pub fn seen(&self) -> u64 {
        self.seen.get()
    }

    /// The Unix time in nanoseconds of the last event, or of the moment that was asked for.
    pub fn time_ns(&self) -> u64 {
        self.time_ns.get()
    }

    /// The traces go on after the moment.
    pub fn has_later(&self) -> bool {
        self.has_later.get()
    }

    /// A block that is left now is alive at the moment that was asked for.
    pub fn is_wanted(&self) -> bool {
        self.when == When::End || self.is_over.get()
    }

    /// The moment at which the age of a block counts that was left by a process at this time.
    pub fn moment_ns(&self, left_ns: u64) -> u64 {
        if self.when == When::End { left_ns } else { self.time_ns.get() }
    }

    /// Replays the events of `traces` traces. Then what is alive is left. `each` is called after every
    /// event, for those who wait.
    pub fn run(
        &self,
        traces: usize,
        events: &mut MergedEvents,
        to: &mut impl Analysis,
        mut each: impl FnMut(),
    ) -> Replay {
        let mut replay = Replay::new(traces);
        loop {
            let next = match traces {
                1 => events.advance().map(|event| (event, &[][..])),
                _ => events.advance_with_ended(),
            };
            let Some((event, ended)) = next else { break };
            ended.iter().for_each(|&trace| replay.end(trace, to));
            let goes_on = match self.when {
                When::End => true,
                When::Time(time_ns) => event.time_ns <= time_ns,
                When::Events(count) => self.seen.get() < count,
            };
            if !goes_on {
                self.has_later.set(true);
                break;
            }
            self.seen.set(self.seen.get() + 1);
            self.time_ns.set(self.time_ns.get().max(event.time_ns));
            replay.event(event, to);
            each();
        }
        if let When::Time(time_ns) = self.when {
            self.time_ns.set(time_ns);
        }
        self.is_over.set(true);
        (0..traces as u32).for_each(|trace| replay.end(trace, to));
        replay
    }
}

/// Finds the event after which the most bytes are alive.
#[derive(Debug)]
pub struct PeakEvent<'a> {
    stop: &'a Stop,
    live: u64,
    most: u64,
    event: u64,
}

impl<'a> PeakEvent<'a> {
    /// Nothing is alive.
    pub fn of(stop: &'a Stop) -> PeakEvent<'a> {
        PeakEvent { stop, live: 0, most: 0, event: 0 }
    }

    /// The moment after that event.
    pub fn when(&self) -> When {
        When::Events(self.event)
    }
}

impl Analysis for PeakEvent<'_> {
    fn birth(&mut self, birth: &Birth) {
        self.live = self.live.saturating_add(birth.block.size);
        if self.live > self.most {
            (self.most, self.event) = (self.live, self.stop.seen());
        }
    }

    fn death(&mut self, death: &Death) {
        self.live = self.live.saturating_sub(death.block.size);
    }

    fn left(&mut self, _: &Moment, block: &Block) {
        self.live = self.live.saturating_sub(block.size);
    }
}
