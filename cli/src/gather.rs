//! Traces to figures: the frame of the commands that analyse.

use std::collections::BTreeMap;
use std::thread;

use anyhow::Result;
use mallook_analysis::{Cells, Figures, Peak, PlaceId, Wanted};
use mallook_reader::{
    Ending, Event, EventKind, Kind, Liveness, MergedEvents, Missing, Stacks, Summary, Trace,
};

use crate::messages::Messages;
use crate::progress::Bar;
use crate::stacks::Naming;

/// Events after which a pass asks whether it goes on.
const STEP: u64 = 1 << 14;

/// The contents of traces.
pub struct Gathered<'a> {
    /// The traces.
    pub traces: &'a [Trace<'a>],
    /// The summary of each; of a process that may still write, as it was before the events were read: the
    /// figures have all that it counts. Events that are missing by now are counted, too.
    pub summaries: Vec<Summary>,
    /// How far they were before the events were read.
    pub state: Vec<State>,
    /// The call stacks of each; empty if none has any.
    pub stacks: Vec<Stacks<'a>>,
    /// The figures, without the costs of places over time.
    pub figures: Figures,
    /// The costs of places over time, if they are wanted.
    pub over_time: Option<OverTime>,
    /// Of cuts: allocations before their ranges, of blocks that live at their starts.
    pub inherited: u64,
    until_ns: u64,
}

/// How far a trace is: what tells it from the same one later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    kinds: BTreeMap<Kind, u64>,
    overwritten: u64,
    lost: u64,
    pauses: u64,
    marks: usize,
    ending: Ending,
}

impl State {
    /// How far these are now.
    pub fn of(traces: &[Trace]) -> Vec<State> {
        count(traces, parallelism()).iter().map(State::by).collect()
    }

    fn by(summary: &Summary) -> State {
        State {
            kinds: summary.kinds.clone(),
            overwritten: summary.overwritten,
            lost: summary.all_lost(),
            pauses: summary.pauses,
            marks: summary.marks.len(),
            ending: summary.ending,
        }
    }
}

fn parallelism() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The summaries of traces, counted on this number of threads.
fn count(traces: &[Trace], threads: usize) -> Vec<Summary> {
    traces.iter().map(|trace| Summary::counted(trace, threads)).collect()
}

/// The costs of places over time, and the peak, both from one pass.
#[derive(Clone, Debug)]
pub struct OverTime {
    /// Their costs.
    pub cells: Cells,
    /// The peak.
    pub peak: Peak,
}

impl OverTime {
    fn of(figures: &mut Figures) -> Option<OverTime> {
        let peak = *figures.totals.peak();
        figures.cells.take().map(|cells| OverTime { cells, peak })
    }
}

/// The part of traces that is read.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// The Unix time in nanoseconds of the last event.
    pub until_ns: u64,
    /// Call stacks are wanted, if there are any.
    pub with_stacks: bool,
}

impl Default for Part {
    fn default() -> Part {
        Part { until_ns: u64::MAX, with_stacks: true }
    }
}

impl<'a> Gathered<'a> {
    /// Reads all events of the traces. Frames of stacks are named; a progress bar is drawn if
    /// `with_bar`.
    pub fn of(
        traces: &'a [Trace<'a>],
        wanted: Wanted,
        naming: &Naming,
        with_bar: bool,
        messages: Messages,
    ) -> Result<Gathered<'a>> {
        Gathered::of_part(traces, wanted, Part::default(), naming, with_bar, messages)
    }

    /// The same for a part of the traces.
    pub fn of_part(
        traces: &'a [Trace<'a>],
        wanted: Wanted,
        part: Part,
        naming: &Naming,
        with_bar: bool,
        messages: Messages,
    ) -> Result<Gathered<'a>> {
        let stacks: Vec<_> = match has_stacks(traces) && wanted.sites && part.with_stacks {
            true => traces.iter().map(Stacks::of).collect(),
            false => Vec::new(),
        };
        let read = || read(traces, &stacks, wanted, part.until_ns, with_bar);
        let is_over = traces.iter().all(|trace| trace.liveness() == Liveness::Gone);
        let (mut summaries, (mut figures, inherited)) = match is_over {
            true => thread::scope(|scope| {
                // Nobody writes any more: whatever comes first, both find the same.
                let summaries = scope.spawn(|| count(traces, 1));
                let read = read();
                (summaries.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), read)
            }),
            false => (count(traces, parallelism()), read()),
        };
        let state = summaries.iter().map(State::by).collect();
        if !stacks.is_empty() {
            naming.name(&stacks, messages)?;
        }
        for (trace, summary) in traces.iter().zip(&mut summaries) {
            // Meanwhile, its process may have written over what was to be read.
            if trace.ring_blocks().is_some() && !has_ended(summary.ending) {
                summary.overwritten = Missing::of(trace).map_or(0, |missing| missing.overwritten);
            }
        }
        let over_time = OverTime::of(&mut figures);
        let until_ns = part.until_ns;
        Ok(Gathered { traces, summaries, state, stacks, figures, over_time, inherited, until_ns })
    }

    /// There are more places than were told apart over time.
    pub fn is_beyond(&self) -> bool {
        self.over_time.as_ref().is_some_and(|it| it.cells.beyond() != 0)
    }

    /// Reads all events once more, and tells only these places apart over time.
    pub fn read_cells(&mut self, places: Vec<PlaceId>) {
        self.over_time = self.over_time(None, Some(places), &|| true);
    }

    /// Reads all events once more: what places have cost over time, or over the slices of a range, of which
    /// both ends are Unix times in nanoseconds and belong to it. All places are told apart, or only these;
    /// `None` if the pass was not to go on.
    pub fn over_time(
        &self,
        range: Option<(u64, u64)>,
        places: Option<Vec<PlaceId>>,
        goes_on: &(dyn Fn() -> bool + Sync),
    ) -> Option<OverTime> {
        let starts: Vec<_> = self.traces.iter().map(|it| it.header().realtime_ns).collect();
        let threshold = self.figures.totals.threshold();
        let mut figures = Figures::new(&starts, Wanted { threshold, ..Wanted::default() });
        let start_ns = starts.iter().copied().min().unwrap_or(0);
        let cells = places.map_or_else(|| Cells::new(start_ns), |all| Cells::of(start_ns, all));
        figures.cells = Some(match range {
            Some((since_ns, until_ns)) => cells.in_range(since_ns, until_ns),
            None => cells,
        });
        // Of a process that is still running, there may be more events by now.
        let until_ns = self.until_ns.min(self.figures.end_ns);
        let (mut seen, mut is_over) = (0, false);
        thread::scope(|scope| {
            let mut events =
                MergedEvents::prefetching_with_stacks(self.traces, &self.stacks, scope);
            // What is asked for, and who asks, is known by the numbers of the first pass.
            let mut replay = self.figures.replay.again();
            replay.run_while(&mut events, &mut figures, |event| {
                seen += 1;
                if seen % STEP == 0 && !goes_on() {
                    is_over = true;
                }
                !is_over && event.time_ns <= until_ns
            });
        });
        OverTime::of(&mut figures).filter(|_| !is_over)
    }

    /// Call moments that are missing from all traces.
    pub fn missing(&self) -> u64 {
        let missing = self.summaries.iter().filter_map(Summary::missing);
        missing.map(|missing| missing.count()).fold(0, u64::saturating_add)
    }
}

fn has_ended(ending: Ending) -> bool {
    matches!(ending, Ending::Clean | Ending::Exec | Ending::Abrupt)
}

/// One of the traces has call stacks.
pub fn has_stacks(traces: &[Trace]) -> bool {
    traces.iter().any(|trace| trace.stacks() != Ok(mallook_format::Stacks::Off))
}

/// One pass over the events up to a time, decoded on other threads.
fn read(
    traces: &[Trace],
    stacks: &[Stacks],
    wanted: Wanted,
    until_ns: u64,
    with_bar: bool,
) -> (Figures, u64) {
    let mut progress = Bar::new(traces, with_bar);
    let since_ns: Vec<_> =
        traces.iter().map(|it| it.cut().and_then(|cut| cut.since_ns).unwrap_or(0)).collect();
    let latest_since_ns = since_ns.iter().copied().max().unwrap_or(0);
    let mut inherited = 0;
    let figures = thread::scope(|scope| {
        let mut events = MergedEvents::prefetching_with_stacks(traces, stacks, scope);
        Figures::until(traces, &mut events, wanted, |event| {
            progress.step();
            if event.time_ns < latest_since_ns {
                inherited += u64::from(is_inherited(event, &since_ns));
            }
            event.time_ns <= until_ns
        })
    });
    progress.finish();
    (figures, inherited)
}

/// The allocation of a block that lives at the start of its range: of each trace, this Unix time in
/// nanoseconds.
#[cold]
fn is_inherited(event: &Event, since_ns: &[u64]) -> bool {
    let is_before = since_ns.get(event.trace as usize).is_some_and(|&since| event.time_ns < since);
    is_before
        && matches!(&event.kind, EventKind::Call(call) if call.kind.is_birth() && !call.failed())
}
