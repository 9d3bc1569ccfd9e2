//! The coverage of traces: gaps of the recording, and the range of a cut.

use mallook_reader::{Missing, Trace};
use serde::Serialize;

use crate::fit::words;
use crate::paint::Paint;
use crate::paused;
use crate::units::{count, counted, span};

/// The time range that traces were cut to, in nanoseconds since the start of the first trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CutRange {
    /// Number of traces that were cut.
    pub traces: u64,
    /// Its start.
    pub since_ns: u64,
    /// Its end; `None` for that of the trace.
    pub until_ns: Option<u64>,
}

/// The coverage of traces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Every event of every process is in the traces, and nothing is damaged.
    pub complete: bool,
    /// Calls that were overwritten or lost, as call moments.
    pub missing_events: u64,
    /// Damaged places of the traces.
    pub damaged_places: u64,
    /// Pauses of the recording, of all processes.
    pub pauses: u64,
    /// Number of traces.
    #[serde(skip)]
    pub traces: u64,
    /// The range of a cut: what came before, but for the blocks that live at its start, is not there.
    pub cut: Option<CutRange>,
}

impl Coverage {
    /// That of these traces, which have been read.
    pub fn of(traces: &[Trace]) -> Coverage {
        let sum =
            |number: fn(&Trace) -> u64| traces.iter().map(number).fold(0, u64::saturating_add);
        let missing = sum(|trace| Missing::of(trace).map_or(0, |missing| missing.count()));
        let pauses = sum(|trace| trace.pauses());
        Coverage::new(traces, missing, pauses)
    }

    /// The same where the number of missing call moments, and of pauses, is known.
    pub fn new(traces: &[Trace], missing_events: u64, pauses: u64) -> Coverage {
        let damage = traces.iter().map(Trace::damage);
        let damaged_places = damage.map(|(some, more)| some.len() as u64 + more).sum();
        Coverage {
            complete: missing_events == 0 && damaged_places == 0 && pauses == 0,
            missing_events,
            damaged_places,
            pauses,
            traces: traces.len() as u64,
            cut: cut(traces),
        }
    }

    /// The same of repetitions of a run, each with a start of its own.
    pub fn joined(runs: impl IntoIterator<Item = Coverage>) -> Coverage {
        let join = |one: Coverage, other: Coverage| Coverage {
            complete: one.complete && other.complete,
            missing_events: one.missing_events.saturating_add(other.missing_events),
            damaged_places: one.damaged_places.saturating_add(other.damaged_places),
            pauses: one.pauses.saturating_add(other.pauses),
            traces: one.traces + other.traces,
            cut: match (one.cut, other.cut) {
                (Some(one), Some(other)) => Some(CutRange {
                    traces: one.traces + other.traces,
                    since_ns: one.since_ns.min(other.since_ns),
                    until_ns: one.until_ns.zip(other.until_ns).map(|(one, other)| one.max(other)),
                }),
                (one, other) => one.or(other),
            },
        };
        runs.into_iter().reduce(join).unwrap_or_default()
    }

    /// The gaps, in words; `None` if there are none.
    pub fn gaps(&self) -> Option<String> {
        let mut parts = Vec::new();
        if self.missing_events != 0 {
            parts.push(format!("{} missing", counted(self.missing_events, "event")));
        }
        if self.damaged_places != 0 {
            parts.push(format!("{} damaged", counted(self.damaged_places, "place")));
        }
        if self.pauses != 0 {
            parts.push(format!("recording paused {}", paused::times(self.pauses)));
        }
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// The range of a cut, in words.
    pub fn range(&self) -> Option<String> {
        let CutRange { traces, since_ns, until_ns } = self.cut?;
        let until = until_ns.map_or("the end".to_owned(), span);
        let of = match traces == self.traces {
            true => String::new(),
            false => format!("{} of {} ", count(traces), counted(self.traces, "trace")),
        };
        Some(format!("{of}cut from {} to {until}", span(since_ns)))
    }

    /// Lines for a screen of this width, none for whole traces. `effect`: what gaps make of its figures.
    pub fn lines(&self, effect: &str, width: usize, paint: Paint) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(range) = self.range() {
            let text = format!(
                "{range}: of what was before, only blocks that live at its start are known"
            );
            lines.extend(words(&text, 2, width));
        }
        if let Some(gaps) = self.gaps() {
            let said = words(&format!("NOT COMPLETE: {gaps}; {effect}"), 2, width);
            lines.extend(said.iter().map(|line| paint.bad(line)));
        }
        lines
    }
}

/// The range of the traces that were cut, and their number.
fn cut(traces: &[Trace]) -> Option<CutRange> {
    let start_ns = traces.iter().map(|trace| trace.header().realtime_ns).min()?;
    let ranges: Vec<_> = traces.iter().filter_map(Trace::cut).collect();
    let since_ns = ranges.iter().map(|range| range.since_ns.unwrap_or(0)).min()?;
    let until_ns = ranges.iter().map(|range| range.until_ns.unwrap_or(u64::MAX)).max()?;
    let since = |ns: u64| ns.saturating_sub(start_ns);
    Some(CutRange {
        traces: ranges.len() as u64,
        since_ns: since(since_ns),
        until_ns: (until_ns != u64::MAX).then_some(since(until_ns)),
    })
}
