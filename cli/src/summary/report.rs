//! The summary as data: what `--json` prints, described by `docs/summary.schema.json`.

use std::collections::HashSet;

use mallook_analysis::{Account, Figures, Sums};
use mallook_reader::{Ending, Summary};
use serde::Serialize;

use super::leaked::Leaked;
use super::places::{Cost, PlaceRow, places};
use super::sentence::Sentence;
use crate::coverage::Coverage;
use crate::gather::Gathered;
use crate::mark::{self, Mark};
use crate::paused::{self, Paused};
use crate::suppress::Suppressed;

/// The version of the schema: fields are added without a new one.
const SCHEMA: u32 = 1;
/// Places of a report at the most.
const MOST_PLACES: usize = 2000;

/// The summary of one trace or several.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The version of the schema.
    pub schema: u32,
    /// The coverage of the traces. Blocks that died in a pause seem to live.
    #[serde(flatten)]
    pub coverage: Coverage,
    /// Of a cut: allocations before its range, of the blocks that live at its start.
    pub inherited: u64,
    /// Start of the first trace, in Unix nanoseconds.
    pub start_unix_ns: u64,
    /// From there to the last event, in nanoseconds.
    pub duration_ns: u64,
    /// Births of a thread during the life of a temporary block, at the most.
    pub temporary_threshold: u64,
    /// The figures of all processes together.
    #[serde(flatten)]
    pub numbers: Numbers,
    /// How long blocks live.
    pub lifetimes: Lifetimes,
    /// A row a process, the one with the largest share of the peak first.
    pub processes: Vec<Process>,
    /// Allocations by size, in powers of two.
    pub sizes: Vec<Size>,
    /// Each process but the oldest is a child of another one.
    #[serde(skip)]
    pub is_tree: bool,
    /// Where memory comes from is known by call stacks.
    pub has_stacks: bool,
    /// Where memory comes from, the largest share of the peak first.
    pub places: Vec<PlaceRow>,
    /// Places that are not in the list.
    pub more_places: u64,
    /// Their cost.
    #[serde(skip)]
    pub more_cost: Cost,
    /// Live memory over time.
    pub timeline: Timeline,
    /// Moments that somebody has named, in order of time.
    pub marks: Vec<Mark>,
    /// When recording paused: the first thousand pauses.
    pub paused: Vec<Paused>,
    /// What lives at the end and is no leak: what the built-in suppressions have taken out.
    pub suppressed: Vec<Suppressed>,
    /// Sentences that stand out.
    pub notes: Vec<Note>,
}

/// Figures of a process, or of all.
#[derive(Clone, Debug, Serialize)]
pub struct Numbers {
    /// Calls that gave birth.
    pub allocations: u64,
    /// The bytes that they asked for.
    pub allocated_bytes: u64,
    /// Blocks that were freed.
    pub frees: u64,
    /// Allocations that failed.
    pub failed: u64,
    /// The most bytes that lived after any event.
    pub peak_bytes: u64,
    /// The blocks that lived then.
    pub peak_blocks: u64,
    /// When that was first so: nanoseconds since `start_unix_ns`.
    pub peak_time_ns: u64,
    /// Bytes that lived when the process ended.
    pub live_at_end_bytes: u64,
    /// The blocks of those.
    pub live_at_end_blocks: u64,
    /// Bytes of those without what the built-in suppressions of `mallook leaks` take out.
    pub leaked_bytes: u64,
    /// Blocks that were freed at once.
    pub temporary: u64,
    /// Blocks that were reallocated.
    pub grown: u64,
    /// Blocks that another thread has released.
    pub crossed: u64,
    /// Releases of blocks that were born before the trace began.
    pub unknown_frees: u64,
    /// Blocks whose release is missing from the trace.
    pub replaced: u64,
}

/// How long blocks live, in nanoseconds; quantiles are right to 3 %.
#[derive(Clone, Debug, Serialize)]
pub struct Lifetimes {
    /// Half of the blocks that died lived no longer.
    pub median_ns: u64,
    /// Nine of ten lived no longer.
    pub p90_ns: u64,
    /// The longest.
    pub longest_ns: u64,
}

/// A process.
#[derive(Clone, Debug, Serialize)]
pub struct Process {
    /// The trace file.
    pub file: String,
    /// The path of the executable.
    pub program: String,
    /// The process.
    pub pid: u32,
    /// The host.
    pub host: String,
    /// Start of the recording, in nanoseconds since `start_unix_ns`.
    pub start_ns: u64,
    /// From there to the last event.
    pub duration_ns: u64,
    /// How it ended.
    pub ended: Ending,
    /// Its exit code, if that is known.
    pub exit_code: Option<u8>,
    /// Nothing is missing from its trace.
    pub complete: bool,
    /// Number of threads.
    pub threads: u64,
    /// Its figures.
    #[serde(flatten)]
    pub numbers: Numbers,
}

/// Allocations of a size, up to a power of two.
#[derive(Clone, Debug, Serialize)]
pub struct Size {
    /// The largest size, in bytes.
    pub up_to: u64,
    /// Their cost.
    #[serde(flatten)]
    pub cost: Cost,
}

/// Live memory in intervals of equal width.
#[derive(Clone, Debug, Serialize)]
pub struct Timeline {
    /// The width of an interval.
    pub interval_ns: u64,
    /// The least bytes that lived in each.
    pub min_bytes: Vec<u64>,
    /// The most.
    pub max_bytes: Vec<u64>,
    /// Births in each.
    pub births: Vec<u64>,
}

/// A sentence that stands out.
#[derive(Clone, Debug, Serialize)]
pub struct Note {
    /// Its subject, in one word.
    pub about: &'static str,
    /// The sentence, with its evidence.
    pub text: Sentence,
    /// The command that shows more.
    pub command: String,
}

impl Numbers {
    fn of(sums: &Sums, leaked_bytes: u64, start_ns: u64) -> Numbers {
        Numbers {
            allocations: sums.born.blocks,
            allocated_bytes: sums.born.bytes,
            frees: sums.freed,
            failed: sums.failed,
            peak_bytes: sums.peak.most.bytes,
            peak_blocks: sums.peak.most.blocks,
            peak_time_ns: sums.peak.time_ns.saturating_sub(start_ns),
            live_at_end_bytes: sums.at_end.bytes,
            live_at_end_blocks: sums.at_end.blocks,
            leaked_bytes,
            temporary: sums.temporary,
            grown: sums.grown,
            crossed: sums.crossed,
            unknown_frees: sums.unknown_deaths,
            replaced: sums.replaced,
        }
    }
}

impl Report {
    /// The summary of what was gathered, without its notes.
    pub fn of(gathered: &Gathered) -> Report {
        Report::by(gathered, |cost| cost.at_peak_bytes)
    }

    /// The same with the places of the largest cost of this kind first.
    pub fn by(gathered: &Gathered, cost: impl Fn(&Cost) -> u64) -> Report {
        let figures = &gathered.figures;
        let starts = gathered.summaries.iter().map(|summary| summary.start_ns);
        let start_ns = starts.min().unwrap_or(0);
        let pauses = gathered.summaries.iter().map(|summary| summary.pauses);
        let pauses = pauses.fold(0, u64::saturating_add);
        let time = figures.lifetimes.as_ref().map(|lifetimes| &lifetimes.time);
        let quantile = |share| time.map_or(0, |time| time.quantile(share));
        let sizes = sizes(figures);
        let leaked = Leaked::of(gathered);
        let mut places = places(gathered, &leaked, cost);
        let more = places.split_off(MOST_PLACES.min(places.len()));
        Report {
            schema: SCHEMA,
            coverage: Coverage::new(gathered.traces, gathered.missing(), pauses),
            inherited: gathered.inherited,
            start_unix_ns: start_ns,
            duration_ns: figures.end_ns.saturating_sub(start_ns),
            temporary_threshold: figures.totals.threshold(),
            numbers: Numbers::of(figures.totals.all(), leaked.all(), start_ns),
            lifetimes: Lifetimes {
                median_ns: quantile(0.5),
                p90_ns: quantile(0.9),
                longest_ns: time.map_or(0, |time| time.most()),
            },
            processes: processes(gathered, &leaked, start_ns),
            sizes,
            is_tree: is_tree(&gathered.summaries),
            has_stacks: !gathered.stacks.is_empty(),
            places,
            more_places: more.len() as u64,
            more_cost: more.iter().map(|row| row.cost).collect(),
            timeline: timeline(figures),
            marks: mark::of(gathered.traces, start_ns),
            paused: paused::of(gathered.traces, &figures.pauses, start_ns),
            suppressed: leaked.suppressed,
            notes: Vec::new(),
        }
    }
}

/// Allocations by size.
fn sizes(figures: &Figures) -> Vec<Size> {
    let row = |(up_to, account): (u64, Account)| Size { up_to, cost: Cost::of(&account, figures) };
    figures.classes().into_iter().map(row).collect()
}

fn timeline(figures: &Figures) -> Timeline {
    let Some(timeline) = &figures.timeline else {
        return Timeline { interval_ns: 1, min_bytes: vec![], max_bytes: vec![], births: vec![] };
    };
    Timeline {
        interval_ns: timeline.width_ns(),
        min_bytes: timeline.intervals().map(|it| it.least.bytes).collect(),
        max_bytes: timeline.intervals().map(|it| it.most.bytes).collect(),
        births: timeline.intervals().map(|it| it.births).collect(),
    }
}

fn is_tree(summaries: &[Summary]) -> bool {
    let pids: HashSet<u32> = summaries.iter().map(|summary| summary.pid).collect();
    let is_child = |summary: &&Summary| pids.contains(&summary.parent_pid);
    // A process that calls exec has a trace for each program.
    let oldest = summaries.iter().min_by_key(|summary| summary.start_ns).map(|oldest| oldest.pid);
    summaries.iter().filter(|summary| Some(summary.pid) != oldest).all(|it| is_child(&it))
}

fn processes(gathered: &Gathered, leaked: &Leaked, start_ns: u64) -> Vec<Process> {
    let row = |(position, summary): (u32, &Summary)| Process {
        file: summary.file.to_string_lossy().into_owned(),
        program: summary.executable.clone(),
        pid: summary.pid,
        host: summary.hostname.clone(),
        start_ns: summary.start_ns.saturating_sub(start_ns),
        duration_ns: summary.duration_ns(),
        ended: summary.ending,
        exit_code: summary.exit_code,
        complete: summary.is_complete() && gathered.traces[position as usize].damage().0.is_empty(),
        threads: summary.threads.len() as u64 + summary.further_threads,
        numbers: Numbers::of(
            gathered.figures.totals.of(position),
            leaked.of_trace(position),
            start_ns,
        ),
    };
    let mut rows: Vec<_> = (0..).zip(&gathered.summaries).map(row).collect();
    rows.sort_by_key(|row| std::cmp::Reverse((row.numbers.peak_bytes, row.numbers.allocations)));
    rows
}
