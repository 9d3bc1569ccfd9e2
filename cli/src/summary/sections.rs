//! Tables of the screen: sizes, processes, places.

use mallook_reader::escape;

use super::places::{Cost, PlaceRow};
use super::report::{Numbers, Report};
use crate::fit::{fill, shorten};
use crate::paint::Paint;
use crate::units::{count, short_size, size};

/// Rows of sizes and of processes.
const SIZES: usize = 6;
const PROCESSES: usize = 6;
/// Width of a number behind a name, and of all of them.
const NUMBER: usize = 12;
const NUMBERS: usize = 5 * NUMBER - 2;

/// The numbers of a row, each in a column of its own.
fn numbers(cost: &Cost) -> String {
    let cells = [
        short_size(cost.at_peak_bytes),
        short_size(cost.live_at_end_bytes),
        count(cost.allocations),
        short_size(cost.allocated_bytes),
        count(cost.temporary),
    ];
    columns(&cells)
}

/// Numbers in columns.
fn columns(cells: &[impl AsRef<str>]) -> String {
    let cell = |(place, cell): (usize, &str)| {
        let width = if place == 0 { NUMBER - 2 } else { NUMBER };
        format!("{cell:>width$}")
    };
    cells.iter().map(AsRef::as_ref).enumerate().map(cell).collect()
}

fn heads(name: &str, width: usize, paint: Paint) -> String {
    let cells = ["at peak", "never freed", "allocations", "allocated", "temporary"];
    paint.dim(&format!("{}{}", fill(name, width.saturating_sub(NUMBERS)), columns(&cells)))
}

/// Sizes in at most [`SIZES`] groups that follow each other, of about as many allocations.
pub fn sizes(report: &Report, width: usize, paint: Paint) -> Vec<String> {
    let mut groups: Vec<(u64, Cost)> =
        report.sizes.iter().map(|size| (size.up_to, size.cost)).collect();
    while groups.len() > SIZES {
        let together = |place: usize| {
            let weight = |cost: &Cost| (cost.allocations, cost.at_peak_bytes);
            let (one, other) = (weight(&groups[place].1), weight(&groups[place + 1].1));
            let of = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
            of(one.0 + other.0, report.numbers.allocations)
                + of(one.1 + other.1, report.numbers.peak_bytes)
        };
        let least =
            (0..groups.len() - 1).min_by(|&one, &other| together(one).total_cmp(&together(other)));
        let Some(least) = least else { break };
        let (_, small) = groups.remove(least);
        groups[least].1.add(&small);
    }
    let mut lines = vec![heads("size", width, paint)];
    let mut before = None;
    let room = width.saturating_sub(NUMBERS);
    for (up_to, cost) in groups {
        let name = match before {
            None => format!("up to {}", size(up_to)),
            Some(before) => format!("{} to {}", size(before + 1), size(up_to)),
        };
        before = Some(up_to);
        let bar = bar(cost.allocations, report.numbers.allocations, room.saturating_sub(26));
        lines.push(format!(
            "{}{}{}",
            fill(&name, 24),
            paint.live(&fill(&bar, room - 24)),
            numbers(&cost)
        ));
    }
    lines
}

/// A bar for a share.
fn bar(part: u64, whole: u64, width: usize) -> String {
    let eighths = (part as f64 * 8.0 * width as f64 / whole.max(1) as f64).round() as usize;
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    "█".repeat(eighths / 8) + rest
}

/// A row a process, and the sum.
pub fn processes(report: &Report, width: usize, paint: Paint) -> Vec<String> {
    let room = width.saturating_sub(NUMBERS + NUMBER);
    let all = &report.processes;
    let more = all.len().saturating_sub(PROCESSES);
    let name = match more {
        0 => "process".to_owned(),
        more => format!("process [and {} others]", count(more as u64)),
    };
    let cells = ["pid", "peak", "never freed", "allocations", "allocated", "temporary"];
    let mut lines = vec![paint.dim(&format!("{}{}", fill(&name, room), columns(&cells)))];
    let row = |name: &str, pid: String, numbers: &Numbers| {
        let cells = [
            pid,
            short_size(numbers.peak_bytes),
            short_size(numbers.live_at_end_bytes),
            count(numbers.allocations),
            short_size(numbers.allocated_bytes),
            count(numbers.temporary),
        ];
        format!("{}{}", fill(name, room.saturating_sub(1)) + " ", columns(&cells))
    };
    let largest = all.iter().take(PROCESSES);
    lines.extend(largest.map(|it| row(&escape(&it.program), it.pid.to_string(), &it.numbers)));
    lines.push(row("all: peak of the sum", String::new(), &report.numbers));
    lines
}

/// The places with the largest shares of the peak, and with most that was never freed, in so many rows.
pub fn places(report: &Report, width: usize, rows: usize, paint: Paint) -> Vec<String> {
    let room = width.saturating_sub(NUMBERS);
    let all = report.places.len();
    let mut shown: Vec<usize> = (0..all.min(rows.div_ceil(2))).collect();
    // The other half are those with the most that was never freed.
    let mut left: Vec<usize> = (0..all).collect();
    left.sort_by_key(|&place| std::cmp::Reverse(report.places[place].cost.live_at_end_bytes));
    let never_freed = |place: &usize| report.places[*place].cost.live_at_end_bytes != 0;
    for place in left.into_iter().filter(never_freed).chain(0..all) {
        if shown.len() < rows && !shown.contains(&place) {
            shown.push(place);
        }
    }
    shown.sort_unstable();
    let more = (all - shown.len()) as u64 + report.more_places;
    let name = if report.has_stacks { "who allocates" } else { "size and thread" };
    let name = match more {
        0 => name.to_owned(),
        more => format!("{name} [and {} others]", count(more)),
    };
    let mut lines = vec![heads(&name, width, paint)];
    for &place in &shown {
        let row = &report.places[place];
        lines.push(format!("{} {}", label(row, room.saturating_sub(1)), numbers(&row.cost)));
    }
    lines
}

/// Function and line in this width.
fn label(row: &PlaceRow, width: usize) -> String {
    let words = row.words();
    let Some(source) = &row.source else { return fill(&words, width) };
    let source = escape(source.rsplit('/').next().unwrap_or_default()).into_owned();
    let source = shorten(&source, width / 2);
    let room = width.saturating_sub(source.chars().count() + 1);
    fill(&format!("{} {source}", shorten(&words, room)), width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars() {
        assert_eq!(bar(1, 2, 4), "██");
        assert_eq!(bar(1, 16, 4), "▎");
        assert_eq!(bar(0, 0, 4), "");
    }
}
