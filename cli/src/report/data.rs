//! All that the page knows.

use mallook_analysis::{Cell, ThreadId};
use serde::Serialize;

use super::rows::{self, CellRow, LivesRow};
use super::texts::Texts;
use crate::gather::Gathered;
use crate::summary::Report;

/// Processes of a page at the most.
const MOST_PROCESSES: usize = 300;

/// What the page is made of, before it is cut to a size.
pub struct Data<'a> {
    gathered: &'a Gathered<'a>,
    report: Report,
    files: &'a str,
    width_ns: u64,
    tops: Vec<(u64, u64)>,
    /// The first one is for cells that were not told apart.
    cells: Vec<Cell>,
    /// Some cells were not told apart.
    has_others: bool,
    lives: Vec<LivesRow>,
    more_processes: usize,
}

/// What the page reads.
#[derive(Debug, Serialize)]
struct Content<'a> {
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
    /// What there is of the traces.
    pub fn of(gathered: &'a mut Gathered<'a>, mut report: Report, files: &'a str) -> Data<'a> {
        let cells = gathered.figures.cells.take();
        let lives = gathered.figures.lives.take();
        let gathered = &*gathered;
        let (mut all, mut tops, mut width_ns) = (Vec::new(), Vec::new(), 1);
        let has_others = cells.as_ref().is_some_and(|cells| cells.beyond() != 0);
        if let Some(cells) = cells {
            let (time, mut cells) = cells.into_cells();
            let start_ns = time.start_ns();
            let top = |top: &mallook_analysis::Top| {
                (top.most.bytes, top.time_ns.saturating_sub(start_ns))
            };
            tops = time.tops().iter().map(top).collect();
            width_ns = time.width_ns();
            let highest = (0..tops.len()).rev().max_by_key(|&slice| tops[slice].0).unwrap_or(0);
            rows::order(&mut cells[1..], highest);
            all = cells;
        }
        let lives = lives.map(|mut it| rows::lives(&mut it, width_ns, gathered));
        let more_processes = report.processes.len().saturating_sub(MOST_PROCESSES);
        report.processes.truncate(MOST_PROCESSES);
        Data {
            gathered,
            report,
            files,
            width_ns,
            tops,
            cells: all,
            has_others,
            lives: lives.unwrap_or_default(),
            more_processes,
        }
    }

    /// The title of the page.
    pub fn title(&self) -> &str {
        let oldest = self.report.processes.iter().min_by_key(|process| process.start_ns);
        oldest.map_or("", |it| it.program.rsplit('/').next().unwrap_or_default())
    }

    /// The data with so many cells at the most, and how many there are; as JSON.
    pub fn json(&self, most: usize) -> serde_json::Result<(Vec<u8>, usize)> {
        let kept = self.cells.len().saturating_sub(1).min(most);
        let (mut texts, mut threads) = (Texts::new(), Vec::new());
        let rows = self.cells.iter().skip(1).take(kept);
        let cells =
            rows.map(|cell| CellRow::of(cell, self.gathered, &mut texts, &mut threads)).collect();
        let mut rest: Vec<Cell> = self.cells.iter().skip(1 + kept).cloned().collect();
        let more_cells = match self.has_others {
            // Places are told apart even where cells are not.
            true => self.gathered.figures.replay.places().len().saturating_sub(1 + kept),
            false => rest.len(),
        };
        rest.extend(self.cells.first().cloned());
        let others = CellRow::together(&rest, self.tops.len());
        let threads = threads.iter().map(|&it| self.thread(it, &mut texts)).collect();
        let processes = self.gathered.summaries.iter().take(1 << 12).map(|it| {
            let program = it.executable.rsplit('/').next().unwrap_or_default();
            (texts.text(program), it.pid)
        });
        let processes = processes.collect();
        let content = Content {
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
        };
        Ok((serde_json::to_vec(&content)?, kept))
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
