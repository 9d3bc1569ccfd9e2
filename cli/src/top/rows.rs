//! Rows of the tables: places, sizes, threads, processes.

use std::cmp::Reverse;
use std::collections::HashMap;

use mallook_analysis::{Account, Place, ThreadId};
use mallook_reader::{Follow, Liveness, Trace};
use serde::Serialize;

use super::model::{Checkpoint, Counts, Model};
use super::names::Names;
use crate::escape::{base_name, escape, function_at};
use crate::summary::PlaceName;
use crate::units::{count, size};

/// Rows of a table at the most.
const MOST_ROWS: usize = 2000;

/// A second, over the last interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rates {
    pub allocations_per_s: f64,
    pub allocated_bytes_per_s: f64,
    /// Blocks that were freed or reallocated.
    pub deaths_per_s: f64,
}

/// A row of a table.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    /// Of a place; of a thread, the thread alone.
    #[serde(flatten)]
    pub place: PlaceName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up_to: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Of a process: it runs; `null` where that cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<Option<bool>>,
    pub live_bytes: u64,
    pub live_blocks: u64,
    pub allocations: u64,
    pub allocated_bytes: u64,
    /// Its share of the peak of all; of a process its own peak, as `peak_bytes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_peak_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
    pub temporary: u64,
    #[serde(flatten)]
    pub rates: Rates,
    /// Who it is, harmless for a terminal.
    #[serde(skip)]
    pub label: String,
}

impl Row {
    fn add(&mut self, account: &Account, at_peak: u64) {
        self.live_bytes = self.live_bytes.wrapping_add(account.live.bytes);
        self.live_blocks = self.live_blocks.wrapping_add(account.live.blocks);
        self.allocations += account.born.blocks;
        self.allocated_bytes = self.allocated_bytes.wrapping_add(account.born.bytes);
        self.temporary += account.temporary;
        self.at_peak_bytes = Some(self.at_peak_bytes.unwrap_or(0).wrapping_add(at_peak));
    }

    /// The peak that its column shows.
    pub fn peak(&self) -> u64 {
        self.at_peak_bytes.or(self.peak_bytes).unwrap_or(0)
    }
}

/// Rates since a checkpoint.
#[derive(Clone, Copy)]
pub struct Since<'a> {
    pub checkpoint: &'a Checkpoint,
    pub seconds: f64,
}

impl Since<'_> {
    pub fn rates(&self, now: Counts, before: Option<&Counts>) -> Rates {
        let of = now.since(before.copied().unwrap_or_default());
        let a_second =
            |number: u64| if self.seconds > 0.0 { number as f64 / self.seconds } else { 0.0 };
        Rates {
            allocations_per_s: a_second(of.births),
            allocated_bytes_per_s: a_second(of.bytes),
            deaths_per_s: a_second(of.deaths),
        }
    }
}

/// The name of the program, harmless for a terminal.
pub fn program(trace: &Trace) -> String {
    let header = trace.header();
    let path = String::from_utf8_lossy(header.executable()).into_owned();
    let name = base_name(&path);
    if name.is_empty() { "?".to_owned() } else { name.into_owned() }
}

pub fn processes(model: &Model, follow: &Follow, since: &Since) -> Vec<Row> {
    let row = |(position, trace): (usize, &Trace)| {
        let sums = model.figures.totals.of(u32::try_from(position).unwrap_or(u32::MAX));
        let header = trace.header();
        let state = follow.liveness(position);
        let ended = if state == Liveness::Gone { " (ended)" } else { "" };
        Row {
            file: Some(trace.path().to_string_lossy().into_owned()),
            program: Some(String::from_utf8_lossy(header.executable()).into_owned()),
            pid: Some(trace.pid()),
            running: Some(match state {
                Liveness::Running => Some(true),
                Liveness::Gone => Some(false),
                Liveness::Unknown => None,
            }),
            live_bytes: sums.peak.live.bytes,
            live_blocks: sums.peak.live.blocks,
            allocations: sums.born.blocks,
            allocated_bytes: sums.born.bytes,
            peak_bytes: Some(sums.peak.most.bytes),
            temporary: sums.temporary,
            rates: since.rates(Counts::of_sums(sums), since.checkpoint.traces.get(position)),
            label: format!("{} {}{ended}", program(trace), trace.pid()),
            ..Row::default()
        }
    };
    sorted(follow.traces().enumerate().map(row).collect())
}

/// The place column names processes where there are several.
fn thread_label(follow: &Follow, trace: u32, tid: u32) -> (Option<String>, Option<u32>, String) {
    let position = trace as usize;
    let name = follow.thread_name(position, tid);
    let pid = follow.traces().nth(position).map(Trace::pid);
    let known = name.as_deref().filter(|name| !name.is_empty());
    let label = match known {
        Some(name) => format!("{} {tid}", escape(name)),
        None => format!("thread {tid}"),
    };
    (name, pid, label)
}

pub fn threads(model: &Model, follow: &Follow, since: &Since) -> Vec<Row> {
    let Some(accounts) = &model.figures.threads else { return Vec::new() };
    let mut rows = Vec::new();
    for (number, thread) in model.replay.threads().iter() {
        let account = accounts.of(number);
        if account.born.blocks == 0 {
            continue;
        }
        let mut row = Row::default();
        row.add(&account, account.at_peak(model.figures.totals.peak()).bytes);
        row.rates =
            since.rates(Counts::of(&account), since.checkpoint.threads.get(number.number()));
        if number == ThreadId::OTHERS {
            row.label = "[further threads]".to_owned();
        } else {
            (row.place.thread, row.pid, row.label) = thread_label(follow, thread.trace, thread.tid);
            row.place.tid = Some(thread.tid);
        }
        rows.push(row);
    }
    let mut rows = sorted(rows);
    rows.truncate(MOST_ROWS);
    rows
}

pub fn sizes(model: &Model, since: &Since) -> Vec<Row> {
    let Some(sizes) = &model.figures.sizes else { return Vec::new() };
    let peak = model.figures.totals.peak();
    let row = |(up_to, account): (u64, &Account)| {
        let rates = since.rates(Counts::of(account), since.checkpoint.sizes.get(&up_to));
        let label = format!("up to {}", size(up_to));
        let mut row = Row { up_to: Some(up_to), rates, label, ..Row::default() };
        row.add(account, account.at_peak(peak).bytes);
        row
    };
    sizes.classes().map(row).collect()
}

/// Places, the largest first, and the number of those that are left out.
pub fn places(model: &Model, follow: &Follow, names: &Names, since: &Since) -> (Vec<Row>, u64) {
    let Some(sites) = &model.figures.sites else { return (Vec::new(), 0) };
    let peak = model.figures.totals.peak();
    let mut groups: Vec<Option<(Row, Counts, Counts)>> = vec![None; names.len()];
    let mut rows = Vec::new();
    let mut labels = HashMap::new();
    // The first one stands for those beyond the bound.
    let has_threads = model.replay.threads().iter().count() > 2;
    for (number, place) in model.replay.places().iter() {
        let account = sites.of(number);
        if account.born.blocks == 0 {
            continue;
        }
        let at_peak = account.at_peak(peak).bytes;
        let (now, before) = (Counts::of(&account), since.checkpoint.places.get(number.number()));
        if let Place::Stack(..) = place {
            let group = groups[names.group(number) as usize].get_or_insert_with(Default::default);
            group.0.add(&account, at_peak);
            group.1.add(now);
            group.2.add(before.copied().unwrap_or_default());
            continue;
        }
        let mut row = Row { rates: since.rates(now, before), ..Row::default() };
        row.add(&account, at_peak);
        match place {
            Place::Size(thread, of) | Place::Sizes(thread, of) => {
                let thread = model.replay.threads().get(thread);
                let (name, pid, label) = labels
                    .entry((thread.trace, thread.tid))
                    .or_insert_with(|| thread_label(follow, thread.trace, thread.tid));
                row.place.is_class = matches!(place, Place::Sizes(..));
                let up_to = if row.place.is_class { "up to " } else { "" };
                let by = if has_threads { format!(" in {label}") } else { String::new() };
                row.label = format!("{up_to}{} B{by}", count(of));
                (row.place.size, row.place.tid) = (Some(of), Some(thread.tid));
                (row.place.thread, row.pid) = (name.clone(), *pid);
            }
            Place::Stack(..) | Place::Others => row.label = "[further places]".to_owned(),
        }
        rows.push(row);
    }
    let named = (0..).zip(groups).filter_map(|(group, of)| Some((group, of?)));
    rows.extend(named.map(|(group, (row, now, before))| {
        let (function, source) = names.name(group).clone();
        let label = function_at(&function, source.as_deref());
        let rates = since.rates(now, Some(&before));
        let place = PlaceName { function: Some(function), source, ..PlaceName::default() };
        Row { place, rates, label, ..row }
    }));
    let more = rows.len().saturating_sub(MOST_ROWS) as u64;
    let mut rows = sorted(rows);
    rows.truncate(MOST_ROWS);
    (rows, more)
}

/// The rows with the most live bytes first.
fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_key(|row| Reverse((row.live_bytes, row.allocated_bytes)));
    rows
}
