//! Figures of all events, for formats that sum up.

use mallook_analysis::{Analysis, Birth, Block, Death, Figures, Moment, Replay, Wanted};
use mallook_reader::{Call, Event, EventKind};

use super::export::Source;
use super::heap::Omitted;

/// Figures as they grow, with something more that looks on.
#[derive(Debug)]
pub struct Pass<A> {
    replay: Replay,
    seen: Seen<A>,
    traces: u32,
}

#[derive(Debug)]
struct Seen<A> {
    figures: Figures,
    more: A,
}

/// Something that looks on while figures are made, after these have seen a change.
pub trait Onlooker {
    /// A block is born.
    fn birth(&mut self, _birth: &Birth, _figures: &Figures) {}
    /// A block dies.
    fn death(&mut self, _death: &Death) {}
    /// A block lives when its process ends.
    fn left(&mut self, _at: &Moment, _block: &Block) {}
}

impl Onlooker for () {}

impl<A: Onlooker> Pass<A> {
    /// No events so far.
    pub fn new(source: Source, wanted: Wanted, more: A) -> Pass<A> {
        let starts: Vec<_> = source.traces.iter().map(|trace| trace.header().realtime_ns).collect();
        let seen = Seen { figures: Figures::new(&starts, wanted), more };
        Pass { replay: Replay::new(starts.len()), seen, traces: starts.len() as u32 }
    }

    /// Takes the next event.
    pub fn event(&mut self, event: &Event) {
        self.replay.event(event, &mut self.seen);
    }

    /// The trace has ended.
    pub fn ended(&mut self, trace: u32) {
        self.replay.end(trace, &mut self.seen);
    }

    /// All traces have ended.
    pub fn finish(&mut self) {
        (0..self.traces).for_each(|trace| self.replay.end(trace, &mut self.seen));
    }

    /// The figures.
    pub fn figures(&self) -> &Figures {
        &self.seen.figures
    }

    /// Threads and places.
    pub fn replay(&self) -> &Replay {
        &self.replay
    }

    /// The onlooker.
    pub fn more(&self) -> &A {
        &self.seen.more
    }

    /// The calls that are not in the figures.
    pub fn omitted(&self) -> Omitted {
        let all = self.seen.figures.totals.all();
        Omitted {
            failed: all.failed,
            unknown: all.unknown_deaths,
            unseen: all.replaced,
            thinned: 0,
        }
    }
}

impl<A: Onlooker> Analysis for Seen<A> {
    fn call(&mut self, at: &Moment, call: &Call) {
        self.figures.call(at, call);
    }

    fn birth(&mut self, birth: &Birth) {
        self.figures.birth(birth);
        self.more.birth(birth, &self.figures);
    }

    fn death(&mut self, death: &Death) {
        self.figures.death(death);
        self.more.death(death);
    }

    fn failure(&mut self, at: &Moment, call: &Call) {
        self.figures.failure(at, call);
    }

    fn unknown_death(&mut self, at: &Moment, address: u64) {
        self.figures.unknown_death(at, address);
    }

    fn other(&mut self, at: &Moment, kind: &EventKind) {
        self.figures.other(at, kind);
    }

    fn left(&mut self, at: &Moment, block: &Block) {
        self.figures.left(at, block);
        self.more.left(at, block);
    }

    fn end(&mut self, at: &Moment) {
        self.figures.end(at);
    }
}
