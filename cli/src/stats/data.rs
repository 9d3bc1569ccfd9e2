//! All figures as data: what `--json` prints, beside the fields of the summary.

use mallook_analysis::{Account, Amount, Figures, ThreadId};
use mallook_reader::Summary;
use serde::Serialize;

use crate::gather::Gathered;
use crate::summary::{Cost, Report};

/// Exact sizes of a report at the most.
const MOST_SIZES: usize = 1000;
/// Pairs of threads of a report at the most.
const MOST_PAIRS: usize = 1000;

/// All figures.
#[derive(Clone, Debug, Serialize)]
pub struct Stats {
    /// The figures of the summary.
    #[serde(flatten)]
    pub report: Report,
    /// Calls by function.
    pub functions: Vec<FunctionRow>,
    /// The sizes that are allocated most often.
    pub exact_sizes: Vec<SizeCount>,
    /// Number of different sizes, if that is known.
    pub different_sizes: Option<u64>,
    /// Deaths by lifetime: below these powers of ten nanoseconds, each.
    pub lifetimes_by_time: Vec<Below>,
    /// Deaths by the births of the process in between: up to these powers of two.
    pub lifetimes_by_births: Vec<UpTo>,
    /// Reallocations.
    pub chains: Chains,
    /// By thread that allocates.
    pub threads: Vec<ThreadRow>,
    /// Blocks that another thread has released, by pair of threads.
    pub crossings: Vec<Crossing>,
    /// Alignments that were asked for.
    pub alignments: Vec<Alignment>,
    /// Allocations that asked for an alignment that is no power of two.
    pub odd_alignments: u64,
    /// How often the program allocates.
    pub rates: Rates,
}

/// The calls of a function.
#[derive(Clone, Debug, Serialize)]
pub struct FunctionRow {
    /// Its name.
    pub function: &'static str,
    /// All calls.
    pub calls: u64,
    /// Blocks that it made.
    pub allocations: u64,
    /// Their bytes.
    pub allocated_bytes: u64,
    /// Calls that failed.
    pub failed: u64,
    /// The largest size that failed.
    pub largest_failed_bytes: u64,
}

/// How often a size was allocated.
#[derive(Clone, Debug, Serialize)]
pub struct SizeCount {
    /// The size in bytes.
    pub size: u64,
    /// Allocations.
    pub allocations: u64,
}

/// A number of values below a limit, and not below the one before.
#[derive(Clone, Debug, Serialize)]
pub struct Below {
    /// The limit in nanoseconds.
    pub below_ns: u64,
    /// Deaths.
    pub deaths: u64,
}

/// A number of values up to a limit, and above the one before.
#[derive(Clone, Debug, Serialize)]
pub struct UpTo {
    /// The limit.
    pub up_to: u64,
    /// Deaths, or chains.
    pub count: u64,
}

/// Reallocations.
#[derive(Clone, Debug, Serialize)]
pub struct Chains {
    /// Those that gave another address.
    pub moved: u64,
    /// Those that gave the same one.
    pub in_place: u64,
    /// Those to a smaller size.
    pub shrunk: u64,
    /// Bytes that had to be copied.
    pub copied_bytes: u64,
    /// Chains by their number of reallocations.
    pub lengths: Vec<UpTo>,
    /// Reallocations of the longest chain.
    pub longest: u64,
    /// Its first size.
    pub longest_first_bytes: u64,
    /// Its last size.
    pub longest_last_bytes: u64,
}

/// A thread.
#[derive(Clone, Debug, Serialize)]
pub struct ThreadRow {
    /// Its process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// Its name.
    pub name: String,
    /// The cost of its allocations.
    #[serde(flatten)]
    pub cost: Cost,
}

/// Blocks that one thread made and another one released.
#[derive(Clone, Debug, Serialize)]
pub struct Crossing {
    /// The thread that made them.
    pub from_tid: u32,
    /// Its name.
    pub from: String,
    /// The thread that released them.
    pub to_tid: u32,
    /// Its name.
    pub to: String,
    /// Blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// An alignment that was asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Alignment {
    /// In bytes.
    pub alignment: u64,
    /// Blocks.
    pub allocations: u64,
    /// Their bytes.
    pub allocated_bytes: u64,
}

/// How often the program allocates.
#[derive(Clone, Debug, Serialize)]
pub struct Rates {
    /// Allocations a second, in the mean.
    pub mean: f64,
    /// Bytes a second, in the mean.
    pub mean_bytes: f64,
    /// Allocations a second in the interval of the timeline that has most.
    pub busiest: f64,
    /// The start of that, in nanoseconds since the start.
    pub busiest_ns: u64,
    /// The width of that.
    pub interval_ns: u64,
}

/// The process, the ID and the name of a thread.
fn names(gathered: &Gathered, thread: ThreadId) -> (u32, u32, String) {
    if thread == ThreadId::OTHERS {
        return (0, 0, "[others]".to_owned());
    }
    let thread = gathered.figures.replay.threads().get(thread);
    let summary: Option<&Summary> = gathered.summaries.get(thread.trace as usize);
    let known = summary.and_then(|it| it.threads.iter().find(|known| known.tid == thread.tid));
    let name = known.map_or(String::new(), |known| known.name.clone());
    (summary.map_or(0, |summary| summary.pid), thread.tid, name)
}

impl Stats {
    /// All figures of what was gathered, with this summary.
    pub fn of(gathered: &Gathered, report: Report) -> Stats {
        let figures = &gathered.figures;
        let lifetimes = figures.lifetimes.as_ref();
        let functions = figures.functions.as_ref();
        let up_to = |(up_to, count)| UpTo { up_to, count };
        let chains = figures.chains.clone().unwrap_or_default();
        Stats {
            functions: functions.map_or(Vec::new(), |it| it.called().map(function).collect()),
            exact_sizes: figures.exact_sizes.as_ref().map_or(Vec::new(), |sizes| {
                let row = |(size, allocations)| SizeCount { size, allocations };
                sizes.top(MOST_SIZES).into_iter().map(row).collect()
            }),
            different_sizes: figures.exact_sizes.as_ref().and_then(|it| it.different()),
            lifetimes_by_time: lifetimes.map_or(Vec::new(), |it| {
                it.time.decades().map(|(below_ns, deaths)| Below { below_ns, deaths }).collect()
            }),
            lifetimes_by_births: lifetimes
                .map_or(Vec::new(), |it| it.births.classes().map(up_to).collect()),
            chains: Chains {
                moved: chains.moved,
                in_place: chains.in_place,
                shrunk: chains.shrunk,
                copied_bytes: chains.copied_bytes,
                lengths: chains.lengths.classes().map(up_to).collect(),
                longest: chains.longest,
                longest_first_bytes: chains.longest_sizes.0,
                longest_last_bytes: chains.longest_sizes.1,
            },
            threads: threads(gathered),
            crossings: crossings(gathered),
            alignments: functions.map_or(Vec::new(), |it| it.alignments().map(alignment).collect()),
            odd_alignments: functions.map_or(0, |it| it.odd_alignments().blocks),
            rates: rates(figures, &report),
            report,
        }
    }
}

fn function((kind, calls): (mallook_reader::Kind, &mallook_analysis::Calls)) -> FunctionRow {
    FunctionRow {
        function: kind.name(),
        calls: calls.calls,
        allocations: calls.born.blocks,
        allocated_bytes: calls.born.bytes,
        failed: calls.failed,
        largest_failed_bytes: calls.largest_failed,
    }
}

fn alignment((alignment, amount): (u64, Amount)) -> Alignment {
    Alignment { alignment, allocations: amount.blocks, allocated_bytes: amount.bytes }
}

fn threads(gathered: &Gathered) -> Vec<ThreadRow> {
    let figures = &gathered.figures;
    let row = |(number, account): (ThreadId, Account)| {
        let (pid, tid, name) = names(gathered, number);
        ThreadRow { pid, tid, name, cost: Cost::of(&account, figures) }
    };
    let mut rows: Vec<_> = figures.thread_accounts().into_iter().map(row).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.cost.allocations));
    rows
}

fn crossings(gathered: &Gathered) -> Vec<Crossing> {
    let Some(crossings) = &gathered.figures.crossings else { return Vec::new() };
    let row = |((from, to), amount): ((ThreadId, ThreadId), Amount)| {
        let ((_, from_tid, from), (_, to_tid, to)) = (names(gathered, from), names(gathered, to));
        Crossing { from_tid, from, to_tid, to, blocks: amount.blocks, bytes: amount.bytes }
    };
    crossings.pairs().into_iter().take(MOST_PAIRS).map(row).collect()
}

fn rates(figures: &Figures, report: &Report) -> Rates {
    let seconds = report.duration_ns as f64 / 1e9;
    let a_second = |number: u64| if seconds > 0.0 { number as f64 / seconds } else { 0.0 };
    let interval_ns = report.timeline.interval_ns;
    let busiest = (0..).zip(&report.timeline.births).max_by_key(|(_, births)| **births);
    let (place, births) = busiest.map_or((0u64, 0), |(place, &births)| (place, births));
    let all = figures.totals.all();
    Rates {
        mean: a_second(all.born.blocks),
        mean_bytes: a_second(all.born.bytes),
        busiest: births as f64 * 1e9 / interval_ns as f64,
        busiest_ns: place * interval_ns,
        interval_ns,
    }
}
