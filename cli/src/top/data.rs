//! The state of now as data: what `--json` prints, and what both screens show.

use mallook_analysis::Sums;
use mallook_reader::{Follow, Liveness, Trace};
use serde::Serialize;

use super::model::{Counts, Model};
use super::names::Names;
use super::rows::{Rates, Row, Since, places, processes, program, sizes, threads};
use crate::mark::Mark;
use crate::units::others;

/// The version of the schema: fields are added without a new one.
const SCHEMA: u32 = 1;

/// The state of now.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Now {
    pub schema: u32,
    /// All that was written when this was printed was read, but for the last 50 ms.
    pub caught_up: bool,
    /// Every event so far was recorded and read, and nothing is damaged.
    pub complete: bool,
    /// Those that are missing: `overwritten_events` and `lost_events`.
    pub missing_events: u64,
    /// Calls that a ring overwrote before they were read.
    pub overwritten_events: u64,
    /// Calls that could not be recorded.
    pub lost_events: u64,
    pub damaged_places: u64,
    /// Pauses of the recording: blocks that died in one seem to live.
    pub pauses: u64,
    pub start_unix_ns: u64,
    /// From there to now; to the last event, where no process runs any more.
    pub duration_ns: u64,
    /// Processes that still run.
    pub running: u64,
    /// The time that rates are counted over.
    pub interval_ns: u64,
    #[serde(flatten)]
    pub numbers: Numbers,
    #[serde(flatten)]
    pub rates: Rates,
    pub history: History,
    /// Moments that somebody has named, in the order in which they were read.
    pub marks: Vec<Mark>,
    pub processes: Vec<Row>,
    pub has_stacks: bool,
    pub places: Vec<Row>,
    /// Places that are not in the list.
    pub more_places: u64,
    pub sizes: Vec<Row>,
    pub threads: Vec<Row>,
    /// The source, in a word: the program, or the number of processes.
    #[serde(skip)]
    pub title: String,
    /// Blocks of the files that were read, and that were claimed.
    #[serde(skip)]
    pub progress: (u64, u64),
}

/// Figures, as those of the summary.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Numbers {
    pub allocations: u64,
    pub allocated_bytes: u64,
    pub frees: u64,
    pub failed: u64,
    pub live_bytes: u64,
    pub live_blocks: u64,
    pub peak_bytes: u64,
    pub peak_blocks: u64,
    /// Nanoseconds since `start_unix_ns`.
    pub peak_time_ns: u64,
    pub temporary: u64,
    pub grown: u64,
    pub crossed: u64,
    pub unknown_frees: u64,
    pub replaced: u64,
}

/// Live bytes over the last minutes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct History {
    pub interval_ns: u64,
    /// The most that lived in each interval; the last one ends now.
    pub max_bytes: Vec<u64>,
}

impl Now {
    /// The state of now, which is this Unix time.
    pub fn of(model: &Model, follow: &Follow, names: &Names, now_ns: u64) -> Now {
        let all = model.figures.totals.all();
        let start_ns = model.start_ns();
        let checkpoint = model.before();
        let interval_ns = now_ns.saturating_sub(checkpoint.time_ns);
        let since = Since { checkpoint, seconds: interval_ns as f64 / 1e9 };
        let states = (0..model.starts.len()).map(|position| follow.liveness(position));
        let lost_events = follow.lost();
        let missing_events = lost_events.saturating_add(model.overwritten);
        let damage = follow.traces().map(Trace::damage);
        let damaged_places: u64 = damage.map(|(some, more)| some.len() as u64 + more).sum();
        let pauses = follow.pauses();
        let (places, more_places) = places(model, follow, names, &since);
        let (max_bytes, column_ns) = model.history.columns();
        Now {
            schema: SCHEMA,
            caught_up: false,
            complete: missing_events == 0 && damaged_places == 0 && pauses == 0,
            missing_events,
            overwritten_events: model.overwritten,
            lost_events,
            damaged_places,
            pauses,
            start_unix_ns: start_ns,
            duration_ns: now_ns.saturating_sub(start_ns),
            running: states.filter(|state| *state != Liveness::Gone).count() as u64,
            interval_ns,
            numbers: numbers(all, start_ns),
            rates: since.rates(Counts::of_sums(all), Some(&checkpoint.all)),
            history: History { interval_ns: column_ns, max_bytes },
            marks: marks(model, start_ns),
            processes: processes(model, follow, &since),
            has_stacks: (0..model.starts.len()).any(|position| follow.trie(position).is_some()),
            places,
            more_places,
            sizes: sizes(model, &since),
            threads: threads(model, follow, &since),
            title: title(follow),
            progress: follow.progress(),
        }
    }
}

fn marks(model: &Model, start_ns: u64) -> Vec<Mark> {
    let mark = |(unix_ns, pid, text): &(u64, u32, String)| Mark {
        time_ns: unix_ns.saturating_sub(start_ns),
        pid: *pid,
        text: text.clone(),
    };
    model.marks.iter().map(mark).collect()
}

fn title(follow: &Follow) -> String {
    let mut traces = follow.traces();
    match (traces.next(), traces.count()) {
        (Some(only), 0) => format!("{} {}", program(only), only.pid()),
        (Some(first), more) => {
            format!("{} and {}", program(first), others(more as u64))
        }
        (None, _) => "no process yet".to_owned(),
    }
}

fn numbers(sums: &Sums, start_ns: u64) -> Numbers {
    Numbers {
        allocations: sums.born.blocks,
        allocated_bytes: sums.born.bytes,
        frees: sums.freed,
        failed: sums.failed,
        live_bytes: sums.peak.live.bytes,
        live_blocks: sums.peak.live.blocks,
        peak_bytes: sums.peak.most.bytes,
        peak_blocks: sums.peak.most.blocks,
        peak_time_ns: sums.peak.time_ns.saturating_sub(start_ns),
        temporary: sums.temporary,
        grown: sums.grown,
        crossed: sums.crossed,
        unknown_frees: sums.unknown_deaths,
        replaced: sums.replaced,
    }
}
