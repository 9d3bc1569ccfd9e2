//! Tables of the screen: sizes, processes, places.

use super::places::{Cost, PlaceRow};
use super::report::{Numbers, Report};
use crate::escape::{base_name, escape};
use crate::fit::{fill, pad, shorten};
use crate::paint::Paint;
use crate::units::{count, others, short_size, size};

/// The least width of a name, which two sizes fit into, and that of a number behind it.
const NAME: usize = LABEL + 1;
const LABEL: usize = 21;
const NUMBER: usize = 12;
/// The heads of the numbers of a row.
const HEADS: [&str; 5] = ["at peak", "never freed", "allocations", "allocated", "temporary"];

/// The numbers of a row.
fn numbers(cost: &Cost) -> [String; 5] {
    [
        short_size(cost.at_peak_bytes),
        short_size(cost.live_at_end_bytes),
        count(cost.allocations),
        short_size(cost.allocated_bytes),
        count(cost.temporary),
    ]
}

/// The columns that a screen has room for: the fewer, the narrower it is.
#[derive(Clone, Copy)]
struct Columns {
    name: usize,
    numbers: usize,
}

impl Columns {
    /// Those of this number of figures.
    fn of(width: usize, numbers: usize) -> Columns {
        let numbers = ((width + 2).saturating_sub(NAME) / NUMBER).clamp(1, numbers);
        Columns { name: width.saturating_sub(numbers * NUMBER - 2).max(NAME), numbers }
    }

    /// The room of a name, which ends before its numbers do begin.
    fn room(self) -> usize {
        self.name - 1
    }

    /// A name of this room, and its numbers.
    fn line(self, name: &str, numbers: &[impl AsRef<str>]) -> String {
        let mut line = name.to_owned() + " ";
        for (place, number) in numbers.iter().take(self.numbers).enumerate() {
            let width = if place == 0 { NUMBER - 2 } else { NUMBER };
            line.push_str(&format!("{:>width$}", number.as_ref()));
        }
        line
    }

    fn heads(self, name: &str, heads: &[&str], paint: Paint) -> String {
        paint.dim(&self.line(&fill(name, self.room()), heads))
    }
}

/// Sizes in at most this number of groups that follow each other, of about as many allocations.
pub fn sizes(report: &Report, width: usize, rows: usize, paint: Paint) -> Vec<String> {
    let mut groups: Vec<(u64, Cost)> =
        report.sizes.iter().map(|size| (size.up_to, size.cost)).collect();
    while groups.len() > rows {
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
    if groups.is_empty() {
        return Vec::new();
    }
    let columns = Columns::of(width, HEADS.len());
    let mut lines = vec![columns.heads("size", &HEADS, paint)];
    let mut before = None;
    let room = columns.room() - LABEL;
    for (up_to, cost) in groups {
        let name = match before {
            None => format!("up to {}", size(up_to)),
            Some(before) => format!("{} to {}", size(before + 1), size(up_to)),
        };
        before = Some(up_to);
        let bar = bar(cost.allocations, report.numbers.allocations, room);
        let name = fill(&name, LABEL) + &paint.live(&fill(&bar, room));
        lines.push(columns.line(&name, &numbers(&cost)));
    }
    lines
}

/// A bar for a share.
fn bar(part: u64, whole: u64, width: usize) -> String {
    let eighths = (part as f64 * 8.0 * width as f64 / whole.max(1) as f64).round() as usize;
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    "█".repeat(eighths / 8) + rest
}

/// A row for each of at most this number of processes, and the sum.
pub fn processes(report: &Report, width: usize, rows: usize, paint: Paint) -> Vec<String> {
    let heads = ["pid", "peak", "never freed", "allocations", "allocated", "temporary"];
    let columns = Columns::of(width, heads.len());
    let mut lines = vec![columns.heads("process", &heads, paint)];
    let row = |name: &str, pid: String, numbers: &Numbers| {
        let cells = [
            pid,
            short_size(numbers.peak_bytes),
            short_size(numbers.live_at_end_bytes),
            count(numbers.allocations),
            short_size(numbers.allocated_bytes),
            count(numbers.temporary),
        ];
        columns.line(&fill(name, columns.room()), &cells)
    };
    let largest = report.processes.iter().take(rows);
    lines.extend(largest.map(|it| row(&escape(&it.program), it.pid.to_string(), &it.numbers)));
    lines.extend(rest(report.processes.len().saturating_sub(rows) as u64, paint));
    lines.push(row("all: peak of the sum", String::new(), &report.numbers));
    lines
}

/// A line for rows that are not there.
fn rest(more: u64, paint: Paint) -> Option<String> {
    (more != 0).then(|| paint.dim(&format!("[{}]", others(more))))
}

/// The places with the largest shares of the peak, and with most that was never freed, in `rows` rows.
pub fn places(report: &Report, width: usize, rows: usize, paint: Paint) -> Vec<String> {
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
    if shown.is_empty() {
        return Vec::new();
    }
    let name = if report.has_stacks { "who allocates" } else { "size and thread" };
    let columns = Columns::of(width, HEADS.len());
    let mut lines = vec![columns.heads(name, &HEADS, paint)];
    lines.extend(shown.iter().map(|&place| {
        let row = &report.places[place];
        columns.line(&label(row, columns.room()), &numbers(&row.cost))
    }));
    lines.extend(rest((all - shown.len()) as u64 + report.more_places, paint));
    lines
}

/// Function and line in this width.
fn label(row: &PlaceRow, width: usize) -> String {
    let Some(source) = &row.name.source else { return pad(&row.name.fitted(width), width) };
    let source = shorten(&base_name(source), width / 2);
    let room = width.saturating_sub(source.chars().count() + 1);
    fill(&format!("{} {source}", row.name.fitted(room)), width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_screen_has_fewer_columns() {
        for width in 0..300 {
            let columns = Columns::of(width, 5);
            let line = columns.line(&fill("name", columns.room()), &HEADS);
            assert!(line.len() == width.max(NAME + NUMBER - 2), "{width}: {line:?}");
        }
        assert_eq!(
            [1, 33, 44, 80, 100].map(|width| Columns::of(width, 5).numbers),
            [1, 1, 2, 5, 5]
        );
    }

    #[test]
    fn bars() {
        assert_eq!(bar(1, 2, 4), "██");
        assert_eq!(bar(1, 16, 4), "▎");
        assert_eq!(bar(0, 0, 4), "");
    }
}
