//! Lines over time, of all processes and of each.

use mallook_analysis::{Figures, Interval, Peak, Timeline};
use mallook_reader::Trace;

use crate::escape::base_name;
use crate::mark::Mark;
use crate::paused::Paused;
use crate::plot::Range;

/// The live memory over time, in all processes or in one.
pub struct Line {
    /// The position of the trace; `None` for all.
    pub trace: Option<usize>,
    /// The process.
    pub pid: u32,
    /// The program.
    pub program: String,
    /// The first interval starts at this Unix time in nanoseconds.
    pub start_ns: u64,
    /// The width of an interval.
    pub width_ns: u64,
    /// The intervals.
    pub intervals: Vec<Interval>,
    /// The peak.
    pub peak: Peak,
}

/// The marks, the pauses and the length of the run.
pub struct Said {
    /// The moments that have a name.
    pub marks: Vec<Mark>,
    /// When recording paused.
    pub paused: Vec<Paused>,
    /// The time from the start to the last event, in nanoseconds.
    pub span_ns: u64,
}

/// The lines of all figures: that of all processes first.
pub fn of(traces: &[Trace], figures: &Figures) -> Vec<Line> {
    let line = |trace: Option<usize>, timeline: &Timeline, peak: Peak| Line {
        trace,
        pid: trace.and_then(|trace| traces.get(trace)).map_or(0, Trace::pid),
        program: trace
            .or(Some(0))
            .and_then(|trace| traces.get(trace))
            .map_or(String::new(), program),
        start_ns: timeline.start_ns(),
        width_ns: timeline.width_ns(),
        intervals: timeline.intervals().copied().collect(),
        peak,
    };
    let all = figures.timeline.iter().map(|it| line(None, it, *figures.totals.peak()));
    let each = figures.timelines.iter().enumerate();
    let each = each.map(|(trace, it)| line(Some(trace), it, figures.totals.of(trace as u32).peak));
    all.chain(each).collect()
}

fn program(trace: &Trace) -> String {
    let header = trace.header();
    let path = String::from_utf8_lossy(header.executable()).into_owned();
    base_name(&path).into_owned()
}

impl Line {
    /// Time from the start to the end of the last interval, in nanoseconds.
    pub fn span_ns(&self) -> u64 {
        self.width_ns.saturating_mul(self.intervals.len() as u64)
    }

    /// Ranges of a figure.
    pub fn ranges(&self, range: impl Fn(&Interval) -> Range) -> Vec<Range> {
        self.intervals.iter().map(range).collect()
    }

    /// A number of each interval, as a rate a second, in `columns` columns: the mean of each.
    pub fn rates(&self, columns: usize, number: impl Fn(&Interval) -> u64) -> Vec<Range> {
        let used = self.intervals.len().max(1);
        let rate = |column: usize| {
            let first = (column * used / columns).min(used - 1);
            let end = ((column + 1) * used / columns).max(first + 1);
            let part = self.intervals.get(first..end).unwrap_or(&[]);
            let count: u128 = part.iter().map(|interval| u128::from(number(interval))).sum();
            let ns = u128::from(self.width_ns) * part.len().max(1) as u128;
            let rate = u64::try_from(count * 1_000_000_000 / ns).unwrap_or(u64::MAX);
            (rate, rate)
        };
        (0..columns).map(rate).collect()
    }
}
