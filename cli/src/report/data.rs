//! All that the page knows.

use mallook_analysis::{Cell, Peak, SizesOfLives, ThreadId, Wanted};
use serde::Serialize;

use super::ranks::Ranks;
use super::rows::{self, CellRow, LivesRow};
use super::texts::{Texts, shown};
use crate::escape::last_part;
use crate::gather::{Gathered, OverTime};
use crate::summary::Report;

/// The figures that every page needs.
pub const WANTED: Wanted = Wanted {
    threshold: 0,
    sizes: true,
    exact_sizes: false,
    maxima: false,
    crossings: false,
    lifetimes: true,
    chains: true,
    threads: false,
    functions: false,
    sites: true,
    timeline: true,
    timelines: false,
    cells: true,
};

/// Processes of a page at the most.
const MOST_PROCESSES: usize = 300;

/// Named moments of a page at the most.
const MOST_MARKS: usize = 500;

/// The data of the page, before it is cut to a size.
pub struct Data<'a> {
    gathered: &'a Gathered<'a>,
    report: Report,
    files: &'a str,
    width_ns: u64,
    tops: Vec<(u64, u64)>,
    /// The first one is for cells that were not told apart.
    cells: Vec<Cell>,
    /// The peak, as the pass has found it that has found these.
    peak: Peak,
    /// The number of each cell but the first one in the order of costs; several may have the same.
    ranks: Vec<usize>,
    /// Some cells were not told apart.
    has_others: bool,
    lives: Vec<LivesRow>,
    more_processes: usize,
}

/// The content that the page reads.
#[derive(Debug, Serialize)]
pub struct Content<'a> {
    report: &'a Report,
    files: &'a str,
    more_processes: usize,
    width_ns: u64,
    /// The most bytes of each slice, and when in nanoseconds since the start.
    tops: &'a [(u64, u64)],
    #[serde(flatten)]
    texts: Texts,
    /// The texts of program and process of each, by number of the trace.
    processes: Vec<(u32, u32)>,
    threads: Vec<ThreadRow>,
    cells: Vec<CellRow>,
    others: CellRow,
    /// Cells that are together in `others`.
    more_cells: usize,
    lives: &'a [LivesRow],
}

/// A thread.
#[derive(Debug, Serialize)]
struct ThreadRow {
    tid: u32,
    /// The number of its name.
    name: u32,
    /// The position of its process.
    process: Option<u32>,
}

impl<'a> Data<'a> {
    /// The data of the traces.
    pub fn of(gathered: &'a mut Gathered<'a>, report: Report, files: &'a str) -> Data<'a> {
        let whole = gathered.over_time.take();
        let lives = gathered.figures.lives.take();
        let mut data = Data::of_time(gathered, report, files, whole, |_| true);
        data.add_lives(lives);
        data
    }

    /// Adds sizes and lifetimes of all.
    pub fn add_lives(&mut self, lives: Option<SizesOfLives>) {
        let lives = lives.map(|mut it| rows::lives(&mut it, self.width_ns, self.gathered));
        self.lives = lives.unwrap_or_default();
    }

    /// The same with what another pass has found, of which only some are wanted, and without lifetimes of all.
    pub fn of_time(
        gathered: &'a Gathered<'a>,
        mut report: Report,
        files: &'a str,
        found: Option<OverTime>,
        wants: impl Fn(&Cell) -> bool,
    ) -> Data<'a> {
        let (mut all, mut tops, mut width_ns) = (Vec::new(), Vec::new(), 1);
        let mut wanted = 0;
        report.places.clear();
        report.marks.truncate(MOST_MARKS);
        report.marks.iter_mut().for_each(|mark| mark.text = shown(&mark.text));
        let has_others = found.as_ref().is_some_and(|found| found.cells.beyond() != 0);
        let mut peak = Peak::default();
        if let Some(OverTime { cells, peak: found }) = found {
            peak = found;
            let (time, mut cells) = cells.into_cells();
            let start_ns = time.start_ns();
            let top = |top: &mallook_analysis::Top| {
                (top.most.bytes, top.time_ns.saturating_sub(start_ns))
            };
            tops = time.tops().iter().map(top).collect();
            width_ns = time.width_ns();
            let highest = (0..tops.len()).rev().max_by_key(|&slice| tops[slice].0).unwrap_or(0);
            rows::order(&mut cells[1..], highest);
            cells[1..].sort_by_key(|cell| !wants(cell));
            wanted = cells.iter().skip(1).take_while(|cell| wants(cell)).count();
            all = cells;
        }
        let rank = |place: usize| if place < wanted { place } else { usize::MAX };
        let more_processes = report.processes.len().saturating_sub(MOST_PROCESSES);
        report.processes.truncate(MOST_PROCESSES);
        Data {
            gathered,
            report,
            files,
            width_ns,
            tops,
            ranks: (0..all.len().saturating_sub(1)).map(rank).collect(),
            cells: all,
            peak,
            has_others,
            lives: Vec::new(),
            more_processes,
        }
    }

    /// The title of the page.
    pub fn title(&self) -> &str {
        let oldest = self.report.processes.iter().min_by_key(|process| process.start_ns);
        oldest.map_or("", |it| last_part(&it.program))
    }

    /// Keeps cells by the numbers of their places.
    pub fn rank(&mut self, ranks: &Ranks) {
        let rank = |cell: &Cell| ranks.get(&cell.key.place).copied().unwrap_or(usize::MAX);
        self.ranks = self.cells.iter().skip(1).map(rank).collect();
    }

    /// How many numbers there are.
    pub fn most(&self) -> usize {
        self.ranks.iter().filter(|&&rank| rank != usize::MAX).max().map_or(0, |last| last + 1)
    }

    /// The content for the page, with `most` cells at the most, from the number `first` on.
    pub fn content(&self, first: usize, most: usize) -> Content<'_> {
        let range = first..first.saturating_add(most);
        let (mut texts, mut threads) = (Texts::new(), Vec::new());
        let (mut kept, mut rest) = (Vec::new(), Vec::new());
        for (cell, rank) in self.cells.iter().skip(1).zip(&self.ranks) {
            if *rank != usize::MAX && range.contains(rank) {
                kept.push(cell)
            } else {
                rest.push(cell)
            };
        }
        let rows = kept.iter();
        let cells = rows
            .map(|it| CellRow::of(it, &self.peak, self.gathered, &mut texts, &mut threads))
            .collect();
        let more_cells = match self.has_others {
            // Places are told apart even where cells are not.
            true => self.gathered.figures.replay.places().len().saturating_sub(1 + kept.len()),
            false => rest.len(),
        };
        rest.extend(self.cells.first());
        let others = CellRow::together(&rest, self.tops.len(), &self.peak);
        let threads = threads.iter().map(|&it| self.thread(it, &mut texts)).collect();
        let processes = self.gathered.summaries.iter().take(1 << 12).map(|it| {
            let program = last_part(&it.executable);
            (texts.text(program), it.pid)
        });
        let processes = processes.collect();
        Content {
            report: &self.report,
            files: self.files,
            more_processes: self.more_processes,
            width_ns: self.width_ns,
            tops: &self.tops,
            texts,
            processes,
            threads,
            cells,
            others,
            more_cells,
            lives: &self.lives,
        }
    }

    fn thread(&self, thread: ThreadId, texts: &mut Texts) -> ThreadRow {
        if thread == ThreadId::OTHERS {
            return ThreadRow { tid: 0, name: texts.text("[others]"), process: None };
        }
        let thread = self.gathered.figures.replay.threads().get(thread);
        let summary = self.gathered.summaries.get(thread.trace as usize);
        let known = summary.and_then(|it| it.threads.iter().find(|it| it.tid == thread.tid));
        let name = texts.text(known.map_or("", |known| &known.name));
        ThreadRow { tid: thread.tid, name, process: Some(thread.trace) }
    }
}
