//! The changes, as data.

use std::collections::BTreeSet;

use clap::ValueEnum;
use mallook_analysis::Comparison;
use serde::Serialize;

use crate::coverage::Coverage;

use super::figures::{By, Cost, Figures};

/// What figures are divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Per {
    /// By nothing
    #[default]
    None,
    /// By the number of allocations of the run
    Call,
    /// By its time in seconds
    Second,
}

impl Per {
    /// Its word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Per::None => "none",
            Per::Call => "call",
            Per::Second => "second",
        }
    }

    fn divisor(self, figures: &Figures) -> f64 {
        let divisor = match self {
            Per::None => 1.0,
            Per::Call => figures.allocations as f64,
            Per::Second => figures.time_ns as f64 / 1e9,
        };
        if divisor > 0.0 { divisor } else { 1.0 }
    }
}

/// A figure in both sets of runs.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name, or that of a place.
    pub name: String,
    /// It is a number of bytes.
    pub is_bytes: bool,
    /// How it has changed.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// The difference of the means.
    pub change: f64,
    /// The same in percent; null if there was nothing before.
    pub percent: Option<f64>,
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The runs, as they were named.
    pub before: String,
    /// Those that they are compared with.
    pub after: String,
    /// The coverage of the traces of both.
    pub coverage: (Coverage, Coverage),
    /// Number of repetitions of each.
    pub repetitions: (usize, usize),
    /// The divisor of figures: none, call or second.
    pub per: &'static str,
    /// The kind of places: stack, function or size.
    pub by: &'static str,
    /// The cost of places.
    pub cost: &'static str,
    /// The totals.
    pub totals: Vec<Row>,
    /// The places whose cost has changed, those with the largest change first.
    pub places: Vec<Row>,
}

/// The names of the totals.
pub const TOTALS: [&str; 8] =
    ["allocations", "allocated", "peak", "live", "live_blocks", "leaked", "temporary", "time_ns"];

/// Compares runs with others.
pub fn of(
    names: (&str, &str),
    before: &[Figures],
    after: &[Figures],
    (by, cost, per): (By, Cost, Per),
) -> Report {
    let row = |name: &str, is_bytes: bool, value: &dyn Fn(&Figures) -> f64| {
        let values = |runs: &[Figures]| runs.iter().map(value).collect::<Vec<_>>();
        let comparison = Comparison::of(&values(before), &values(after));
        Row {
            name: name.to_owned(),
            is_bytes,
            change: comparison.change(),
            percent: comparison.percent(),
            comparison,
        }
    };
    let total = |name: &str| {
        row(name, ["allocated", "peak", "live", "leaked"].contains(&name), &|it: &Figures| {
            let (number, divides) = match name {
                "allocations" => (it.allocations, per != Per::Call),
                "allocated" => (it.allocated_bytes, true),
                "peak" => (it.peak_bytes, true),
                "live" => (it.live_bytes, true),
                "live_blocks" => (it.live_blocks, true),
                "leaked" => (it.leaked_bytes, true),
                "temporary" => (it.temporary, true),
                _ => (it.time_ns, false),
            };
            number as f64 / if divides { per.divisor(it) } else { 1.0 }
        })
    };
    let all = before.iter().chain(after);
    let keys: BTreeSet<&String> = all.flat_map(|figures| figures.places.keys()).collect();
    let place = |key: &&String| {
        row(key, cost.is_bytes(), &|it: &Figures| {
            it.places.get(*key).map_or(0.0, |&cost| cost as f64) / per.divisor(it)
        })
    };
    let mut places: Vec<_> = keys.iter().map(place).filter(|row| row.change != 0.0).collect();
    places.sort_by(|one, other| other.change.abs().total_cmp(&one.change.abs()));
    let name = |value: Option<clap::builder::PossibleValue>| -> &'static str {
        match value.as_ref().map(|value| value.get_name()) {
            Some("stack") => "stack",
            Some("function") => "function",
            Some("size") => "size",
            Some("call") => "call",
            Some("second") => "second",
            _ => "none",
        }
    };
    Report {
        before: names.0.to_owned(),
        after: names.1.to_owned(),
        coverage: Default::default(),
        repetitions: (before.len(), after.len()),
        per: name(per.to_possible_value()),
        by: name(by.to_possible_value()),
        cost: cost.describe(),
        totals: TOTALS.iter().map(|name| total(name)).collect(),
        places,
    }
}
