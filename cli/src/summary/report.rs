//! The summary as data: what `--json` prints, described by `docs/summary.schema.json`.

use std::collections::BTreeMap;

use mallook_analysis::{Account, Figures, Function, Place, Sums};
use mallook_reader::{Ending, Summary, escape};
use serde::Serialize;

use crate::gather::Gathered;

/// The version of the schema: fields are added without a new one.
const SCHEMA: u32 = 1;
/// Places of a report at the most.
const MOST_PLACES: usize = 2000;

/// The summary of one trace or several.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The version of the schema.
    pub schema: u32,
    /// Every event of every process is in the traces, and nothing is damaged.
    pub complete: bool,
    /// Calls that were overwritten or lost, as call moments.
    pub missing_events: u64,
    /// Damaged places of the traces.
    pub damaged_places: u64,
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
    /// Where memory comes from is known by call stacks.
    pub has_stacks: bool,
    /// Where memory comes from, the largest share of the peak first.
    pub places: Vec<PlaceRow>,
    /// Places that are not in the list.
    pub more_places: u64,
    /// Live memory over time.
    pub timeline: Timeline,
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
    /// Bytes of those without what looks like libstdc++'s emergency pool.
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
    /// What they cost.
    #[serde(flatten)]
    pub cost: Cost,
}

/// What a part of all allocations has cost.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Cost {
    /// Allocations.
    pub allocations: u64,
    /// Their bytes.
    pub allocated_bytes: u64,
    /// Their share of the peak.
    pub at_peak_bytes: u64,
    /// The blocks of that.
    pub at_peak_blocks: u64,
    /// Never freed.
    pub live_at_end_bytes: u64,
    /// The blocks of that.
    pub live_at_end_blocks: u64,
    /// Freed at once.
    pub temporary: u64,
    /// The most bytes that lived at once, whenever that was; none where it was not counted, as of several
    /// call stacks in one.
    pub own_maximum_bytes: Option<u64>,
    /// The mean lifetime of the blocks that died; none if none did.
    pub mean_lifetime_ns: Option<u64>,
    #[serde(skip)]
    deaths: u64,
}

/// Where memory comes from: a function that asks for it, or a size of a thread.
#[derive(Clone, Debug, Serialize)]
pub struct PlaceRow {
    /// The function; frames of allocators and standard libraries are folded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// File and line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The size of the blocks, where there are no call stacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// They have this size or smaller ones, down to half of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_class: bool,
    /// The thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tid: Option<u32>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// What it costs.
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
    /// What it is about, in one word.
    pub about: &'static str,
    /// The sentence, with its evidence.
    pub text: String,
    /// The command that shows more.
    pub command: String,
}

impl Numbers {
    fn of(sums: &Sums, start_ns: u64) -> Numbers {
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
            leaked_bytes: sums.at_end.bytes.saturating_sub(sums.pools.bytes),
            temporary: sums.temporary,
            grown: sums.grown,
            crossed: sums.crossed,
            unknown_frees: sums.unknown_deaths,
            replaced: sums.replaced,
        }
    }
}

impl Cost {
    /// What an account has cost.
    pub fn of(account: &Account, figures: &Figures) -> Cost {
        let at_peak = account.at_peak(figures.totals.peak());
        Cost {
            allocations: account.born.blocks,
            allocated_bytes: account.born.bytes,
            at_peak_bytes: at_peak.bytes,
            at_peak_blocks: at_peak.blocks,
            live_at_end_bytes: account.at_end.bytes,
            live_at_end_blocks: account.at_end.blocks,
            temporary: account.temporary,
            own_maximum_bytes: Some(account.own_maximum).filter(|&most| most >= at_peak.bytes),
            mean_lifetime_ns: account.mean_age_ns(),
            deaths: account.deaths,
        }
    }

    /// Takes another one into it.
    pub fn add(&mut self, other: &Cost) {
        let is_first = self.allocations == 0;
        let age =
            |cost: &Cost| u128::from(cost.mean_lifetime_ns.unwrap_or(0)) * u128::from(cost.deaths);
        let ages = age(self) + age(other);
        self.deaths += other.deaths;
        self.mean_lifetime_ns = ages.checked_div(self.deaths.into()).map(|mean| mean as u64);
        for (sum, more) in [
            (&mut self.allocations, other.allocations),
            (&mut self.allocated_bytes, other.allocated_bytes),
            (&mut self.at_peak_bytes, other.at_peak_bytes),
            (&mut self.at_peak_blocks, other.at_peak_blocks),
            (&mut self.live_at_end_bytes, other.live_at_end_bytes),
            (&mut self.live_at_end_blocks, other.live_at_end_blocks),
            (&mut self.temporary, other.temporary),
        ] {
            *sum = sum.saturating_add(more);
        }
        self.own_maximum_bytes = other.own_maximum_bytes.filter(|_| is_first);
    }
}

impl Report {
    /// The summary of what was gathered, without its notes.
    pub fn of(gathered: &Gathered) -> Report {
        let figures = &gathered.figures;
        let starts = gathered.summaries.iter().map(|summary| summary.start_ns);
        let start_ns = starts.min().unwrap_or(0);
        let (missing_events, damaged_places) = (gathered.missing(), gathered.damaged());
        let time = figures.lifetimes.as_ref().map(|lifetimes| &lifetimes.time);
        let quantile = |share| time.map_or(0, |time| time.quantile(share));
        let sizes = sizes(figures);
        let mut places = places(gathered);
        let more_places = places.len().saturating_sub(MOST_PLACES) as u64;
        places.truncate(MOST_PLACES);
        Report {
            schema: SCHEMA,
            complete: missing_events == 0 && damaged_places == 0,
            missing_events,
            damaged_places,
            start_unix_ns: start_ns,
            duration_ns: figures.end_ns.saturating_sub(start_ns),
            temporary_threshold: figures.totals.threshold(),
            numbers: Numbers::of(figures.totals.all(), start_ns),
            lifetimes: Lifetimes {
                median_ns: quantile(0.5),
                p90_ns: quantile(0.9),
                longest_ns: time.map_or(0, |time| time.most()),
            },
            processes: processes(gathered, start_ns),
            sizes,
            has_stacks: !gathered.stacks.is_empty(),
            places,
            more_places,
            timeline: timeline(figures),
            notes: Vec::new(),
        }
    }
}

/// Allocations by size, from their own accounts or, where those were not asked for, from places.
fn sizes(figures: &Figures) -> Vec<Size> {
    let row = |(up_to, account): (u64, &Account)| Size { up_to, cost: Cost::of(account, figures) };
    if let Some(sizes) = &figures.sizes {
        return sizes.classes().map(row).collect();
    }
    let (places, peak) = (figures.replay.places(), figures.totals.peak());
    let classes = figures.sites.as_ref().and_then(|sites| sites.sizes(places, peak));
    classes.iter().flatten().map(|(up_to, account)| row((*up_to, account))).collect()
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

fn processes(gathered: &Gathered, start_ns: u64) -> Vec<Process> {
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
        numbers: Numbers::of(gathered.figures.totals.of(position), start_ns),
    };
    let mut rows: Vec<_> = (0..).zip(&gathered.summaries).map(row).collect();
    rows.sort_by_key(|row| std::cmp::Reverse((row.numbers.peak_bytes, row.numbers.allocations)));
    rows
}

/// Places, the largest share of the peak first. Call stacks that one function and line asks for memory
/// through are one place.
fn places(gathered: &Gathered) -> Vec<PlaceRow> {
    let Some(sites) = &gathered.figures.sites else { return Vec::new() };
    let figures = &gathered.figures;
    let mut functions = BTreeMap::<(String, Option<String>), Cost>::new();
    let mut rows = Vec::new();
    for (number, place) in figures.replay.places().iter() {
        let account = sites.of(number);
        if account.born.blocks == 0 {
            continue;
        }
        let cost = Cost::of(&account, figures);
        match place {
            Place::Stack(trace, stack) => {
                let Some(stacks) = gathered.stacks.get(trace as usize) else { continue };
                let all = Function::of_stack(stacks, stack);
                let blamed = all.get(Function::blamed(&all));
                let key = blamed
                    .map_or((String::from("?"), None), |it| (it.name.clone(), it.source.clone()));
                functions.entry(key).or_default().add(&cost);
            }
            Place::Size(thread, size) | Place::Sizes(thread, size) => {
                let thread = figures.replay.threads().get(thread);
                let summary = gathered.summaries.get(thread.trace as usize);
                let names = summary.map_or(&[][..], |summary| &summary.threads);
                let name = names.iter().find(|known| known.tid == thread.tid);
                rows.push(PlaceRow {
                    function: None,
                    source: None,
                    size: Some(size),
                    is_class: matches!(place, Place::Sizes(..)),
                    tid: Some(thread.tid),
                    thread: name.map(|known| known.name.clone()),
                    cost,
                });
            }
            Place::Others => rows.push(PlaceRow {
                function: Some("[others]".to_owned()),
                source: None,
                size: None,
                is_class: false,
                tid: None,
                thread: None,
                cost,
            }),
        }
    }
    rows.extend(functions.into_iter().map(|((function, source), cost)| PlaceRow {
        function: Some(function),
        source,
        size: None,
        is_class: false,
        tid: None,
        thread: None,
        cost,
    }));
    let key = |row: &PlaceRow| (row.cost.at_peak_bytes, row.cost.allocated_bytes);
    rows.sort_by_key(|row| std::cmp::Reverse(key(row)));
    rows
}

impl PlaceRow {
    /// The place in words, with the last part of its source, harmless for a terminal.
    pub fn whole(&self) -> String {
        let source = self.source.as_deref().and_then(|source| source.rsplit('/').next());
        match source {
            Some(source) => format!("{} {}", self.words(), escape(source)),
            None => self.words(),
        }
    }

    /// The place in words, harmless for a terminal.
    pub fn words(&self) -> String {
        match (&self.function, self.size) {
            (Some(function), _) => escape(function).into_owned(),
            (None, Some(size)) => {
                let thread = self.thread.as_deref().unwrap_or_default();
                format!(
                    "{} B in {} {}",
                    crate::units::count(size),
                    escape(thread),
                    self.tid.unwrap_or(0)
                )
            }
            (None, None) => "?".to_owned(),
        }
    }
}
