//! Where memory comes from, and what it costs.

use std::collections::BTreeMap;

use mallook_analysis::{Account, Figures, Place};
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::leaked::Leaked;
use super::sentence::Part;
use crate::escape::{base_name, escape};
use crate::fit::shorten;
use crate::gather::Gathered;
use crate::place::asking;
use crate::units::count;

/// The cost of a part of all allocations.
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

/// Where memory comes from, and what it costs.
#[derive(Clone, Debug, Serialize)]
pub struct PlaceRow {
    /// Where it comes from.
    #[serde(flatten)]
    pub name: PlaceName,
    /// Its cost.
    #[serde(flatten)]
    pub cost: Cost,
    /// Never freed, and no built-in suppression knows it.
    pub leaked_bytes: u64,
}

/// Where memory comes from: a function that asks for it, or a size of a thread.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PlaceName {
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
}

impl Cost {
    /// The cost of an account.
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
            // That of a sum is not known.
            own_maximum_bytes: Some(account.own_maximum)
                .filter(|&most| most >= at_peak.bytes && (most != 0 || account.born.bytes == 0)),
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

impl FromIterator<Cost> for Cost {
    fn from_iter<I: IntoIterator<Item = Cost>>(costs: I) -> Cost {
        let mut sum = Cost::default();
        costs.into_iter().for_each(|cost| sum.add(&cost));
        sum
    }
}

/// Places, those of the largest cost of this kind first. Call stacks that one function and line asks for
/// memory through are one place.
pub fn places(gathered: &Gathered, leaked: &Leaked, cost: impl Fn(&Cost) -> u64) -> Vec<PlaceRow> {
    let Some(sites) = &gathered.figures.sites else { return Vec::new() };
    let figures = &gathered.figures;
    let mut functions = BTreeMap::<(String, Option<String>), (Cost, u64)>::new();
    let mut rows = Vec::new();
    for (number, place) in figures.replay.places().iter() {
        let account = sites.of(number);
        if account.born.blocks == 0 {
            continue;
        }
        let cost = Cost::of(&account, figures);
        let leaked_bytes = leaked.of_place(number);
        match place {
            Place::Stack(trace, stack) => {
                let Some(stacks) = gathered.stacks.get(trace as usize) else { continue };
                let (sum, leaks) = functions.entry(asking(stacks, stack)).or_default();
                sum.add(&cost);
                *leaks = leaks.saturating_add(leaked_bytes);
            }
            Place::Size(thread, size) | Place::Sizes(thread, size) => {
                let thread = figures.replay.threads().get(thread);
                let summary = gathered.summaries.get(thread.trace as usize);
                let names = summary.map_or(&[][..], |summary| &summary.threads);
                let name = names.iter().find(|known| known.tid == thread.tid);
                let name = PlaceName {
                    size: Some(size),
                    is_class: matches!(place, Place::Sizes(..)),
                    tid: Some(thread.tid),
                    thread: name.map(|known| known.name.clone()),
                    ..PlaceName::default()
                };
                rows.push(PlaceRow { name, cost, leaked_bytes });
            }
            Place::Others => {
                let name =
                    PlaceName { function: Some("[others]".to_owned()), ..PlaceName::default() };
                rows.push(PlaceRow { name, cost, leaked_bytes });
            }
        }
    }
    rows.extend(functions.into_iter().map(|((function, source), (cost, leaked_bytes))| {
        let name = PlaceName { function: Some(function), source, ..PlaceName::default() };
        PlaceRow { name, cost, leaked_bytes }
    }));
    let key = |row: &PlaceRow| (cost(&row.cost), row.cost.allocated_bytes);
    rows.sort_by_key(|row| std::cmp::Reverse(key(row)));
    rows
}

impl PlaceName {
    /// The place in words, with the last part of its source, harmless for a terminal.
    pub fn whole(&self) -> String {
        match &self.source {
            Some(source) => format!("{} {}", self.words(), base_name(source)),
            None => self.words(),
        }
    }

    /// The last part of its source, or the place in words if that is not known, harmless for a terminal.
    pub fn brief(&self) -> String {
        let source = self.source.as_deref();
        source.map_or_else(|| self.words(), |source| base_name(source).into_owned())
    }

    /// The place in words, harmless for a terminal.
    pub fn words(&self) -> String {
        self.fitted(usize::MAX)
    }

    /// The same in this width, as far as names allow that.
    pub fn fitted(&self, width: usize) -> String {
        match (&self.function, self.size) {
            (Some(function), _) => shorten(&escape(function), width),
            (None, Some(size)) => {
                let thread = escape(self.thread.as_deref().unwrap_or_default());
                let (size, tid) = (count(size), self.tid.unwrap_or(0));
                let figures = format!("{size} B in  {tid}").width();
                format!("{size} B in {} {tid}", shorten(&thread, width.saturating_sub(figures)))
            }
            (None, None) => "?".to_owned(),
        }
    }

    /// A part of a sentence with this text of the place: that of a size is a figure.
    pub fn part(&self, text: String) -> Part {
        if self.function.is_some() { Part::Name(text) } else { Part::Words(text) }
    }
}
