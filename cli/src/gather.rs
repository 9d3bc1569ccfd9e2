//! Traces to figures: the frame of the commands that analyse.

use std::path::PathBuf;
use std::thread;

use anyhow::Result;
use clap::Args;
use mallook_analysis::{Cells, Figures, PlaceId, Replay, Wanted};
use mallook_reader::{MergedEvents, Stacks, Summary, Trace};

use crate::messages::Messages;
use crate::progress;
use crate::stacks::{self, Names};

/// Events after which the bar moves.
const STEP: u64 = 1 << 14;

/// Where the names of functions come from.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct Symbols {
    /// Take names of functions from this file, which mallook symbolize has written; those beside the
    /// traces are used without asking (may be repeated)
    #[arg(long = "names", value_name = "PATH")]
    pub names_files: Vec<PathBuf>,

    /// Print modules and offsets, and no names of functions
    #[arg(long, conflicts_with_all = ["names_files", "debug_dirs", "sysroot", "debuginfod"])]
    pub no_symbols: bool,

    /// Where to look.
    #[command(flatten)]
    pub names: Names,
}

/// What traces have in them.
pub struct Gathered<'a> {
    /// The traces.
    pub traces: &'a [Trace<'a>],
    /// What each of them says of its process.
    pub summaries: Vec<Summary>,
    /// The call stacks of each; empty if none has any.
    pub stacks: Vec<Stacks<'a>>,
    /// The figures.
    pub figures: Figures,
}

impl<'a> Gathered<'a> {
    /// Reads all events of the traces. Frames of stacks are named; a progress bar is drawn if
    /// `with_bar`.
    pub fn of(
        traces: &'a [Trace<'a>],
        wanted: Wanted,
        symbols: &Symbols,
        with_bar: bool,
        messages: Messages,
    ) -> Result<Gathered<'a>> {
        let has_stacks = |trace: &Trace| trace.stacks() != Ok(mallook_format::Stacks::Off);
        let stacks: Vec<_> = match traces.iter().any(has_stacks) && wanted.sites {
            true => traces.iter().map(Stacks::of).collect(),
            false => Vec::new(),
        };
        let figures = read(traces, &stacks, wanted, with_bar);
        if !symbols.no_symbols && !stacks.is_empty() {
            stacks::name(&stacks, &symbols.names, &symbols.names_files, messages)?;
        }
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let summaries = traces.iter().map(|trace| Summary::counted(trace, threads)).collect();
        Ok(Gathered { traces, summaries, stacks, figures })
    }

    /// Reads all events once more, and tells only these places apart over time.
    pub fn read_cells(&mut self, places: Vec<PlaceId>) {
        let starts: Vec<_> = self.traces.iter().map(|it| it.header().realtime_ns).collect();
        let threshold = self.figures.totals.threshold();
        let mut figures = Figures::new(&starts, Wanted { threshold, ..Wanted::default() });
        figures.cells = Some(Cells::of(starts.iter().copied().min().unwrap_or(0), places));
        thread::scope(|scope| {
            let mut events =
                MergedEvents::prefetching_with_stacks(self.traces, &self.stacks, scope);
            Replay::new(self.traces.len()).run(&mut events, &mut figures);
        });
        self.figures.cells = figures.cells;
    }

    /// Call moments that are missing from all traces.
    pub fn missing(&self) -> u64 {
        let missing = self.summaries.iter().filter_map(Summary::missing);
        missing.map(|missing| missing.count()).fold(0, u64::saturating_add)
    }

    /// Places of the traces that are damaged.
    pub fn damaged(&self) -> u64 {
        let damage = self.traces.iter().map(Trace::damage);
        damage.map(|(some, more)| some.len() as u64 + more).sum()
    }
}

/// One pass over the events, decoded on other threads.
fn read(traces: &[Trace], stacks: &[Stacks], wanted: Wanted, with_bar: bool) -> Figures {
    let progress = progress::bar(traces, with_bar);
    let figures = thread::scope(|scope| {
        let mut events = MergedEvents::prefetching_with_stacks(traces, stacks, scope);
        let mut seen = 0;
        Figures::until(traces, &mut events, wanted, |_| {
            seen += 1;
            if seen == STEP {
                progress.inc(std::mem::take(&mut seen));
            }
            true
        })
    });
    progress.finish_and_clear();
    figures
}
