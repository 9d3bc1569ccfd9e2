//! The lines of both screens: figures, and rows of numbers in columns.

use mallook_reader::escape;
use unicode_width::UnicodeWidthStr;

use super::data::Now;
use super::rows::Row;
use super::view::{Column, Tab};
use crate::fit::{fill, shorten};
use crate::paused;
use crate::units::{count, counted, short_size, size, span};

/// The first column is no narrower, while there are others.
const LEAST: usize = 18;

/// Columns of numbers, and their widths.
const WIDTHS: [(Column, usize); 7] = [
    (Column::Live, 8),
    (Column::Blocks, 11),
    (Column::Allocations, 11),
    (Column::Bytes, 9),
    (Column::Peak, 10),
    (Column::All, 14),
    (Column::Temporary, 11),
];

/// A figure in a second.
fn a_second(rate: f64) -> String {
    count(rate.round().max(0.0) as u64)
}

/// A size in a second.
fn bytes_a_second(rate: f64) -> String {
    size(rate.round().max(0.0) as u64)
}

/// The columns that a screen of this width has room for, and the width of the first one.
pub fn columns(width: usize) -> (usize, Vec<(Column, usize)>) {
    let mut columns = WIDTHS.to_vec();
    // What is known elsewhere goes first.
    for left_out in [
        Column::Temporary,
        Column::All,
        Column::Peak,
        Column::Blocks,
        Column::Bytes,
        Column::Allocations,
    ] {
        let taken: usize = columns.iter().map(|(_, width)| width).sum();
        if width >= taken + LEAST {
            break;
        }
        columns.retain(|(column, _)| *column != left_out);
    }
    let taken: usize = columns.iter().map(|(_, width)| width).sum();
    (width.saturating_sub(taken), columns)
}

/// The number of a row in a column.
pub fn cell(row: &Row, column: Column) -> String {
    match column {
        Column::Live => short_size(row.live_bytes),
        Column::Blocks => count(row.live_blocks),
        Column::Allocations => a_second(row.rates.allocations_per_s),
        Column::Bytes => short_size(row.rates.allocated_bytes_per_s.round().max(0.0) as u64),
        Column::Peak => short_size(row.peak()),
        Column::All => count(row.allocations),
        Column::Temporary => {
            let share = row.temporary as f64 / row.allocations.max(1) as f64 * 100.0;
            format!("{share:.0} %")
        }
    }
}

/// The text of a row: its name, and its numbers.
pub fn line(row: &Row, width: usize) -> String {
    let (first, columns) = columns(width);
    let mut line = fill(&row.label, first);
    for (column, width) in columns {
        line.push_str(&format!("{:>width$}", cell(row, column)));
    }
    line
}

/// The heads of columns. `sorted`: by which column, and its arrow.
pub fn heads(tab: Tab, width: usize, sorted: Option<(Column, char)>) -> String {
    let (first, columns) = columns(width);
    let name = match tab {
        Tab::Places => "who allocates",
        Tab::Sizes => "size",
        Tab::Threads => "thread",
        Tab::Processes => "process",
    };
    let mut line = fill(name, first);
    for (column, width) in columns {
        let arrow = sorted.filter(|(of, _)| *of == column).map(|(_, arrow)| arrow);
        let head: String = arrow.into_iter().chain(column.name(tab).chars()).collect();
        line.push_str(&format!("{head:>width$}"));
    }
    line
}

/// Who it is, for how long, in this width, as far as the name allows that.
pub fn title(now: &Now, width: usize) -> String {
    let state = match (now.running, now.processes.len()) {
        (0, _) => "ended".to_owned(),
        (_, 1) => "running".to_owned(),
        (running, _) => format!("{} running", count(running)),
    };
    let rest = format!(" · {} · {state}", span(now.duration_ns));
    shorten(&now.title, width.saturating_sub(rest.width())) + &rest
}

/// Whether anything is missing, in one sentence.
pub fn completeness(now: &Now) -> String {
    let mut parts = Vec::new();
    if now.overwritten_events != 0 {
        let overwritten = counted(now.overwritten_events, "event");
        parts.push(format!("{overwritten} overwritten before they were read"));
    }
    if now.lost_events != 0 {
        parts.push(format!("{} lost", counted(now.lost_events, "event")));
    }
    if now.damaged_places != 0 {
        parts.push(counted(now.damaged_places, "damaged place"));
    }
    if now.pauses != 0 {
        parts.push(format!("recording paused {}", paused::times(now.pauses)));
    }
    match parts.is_empty() {
        true => "complete".to_owned(),
        false => parts.join(" · "),
    }
}

/// How far a reader is that has not caught up; `None` for one that has.
pub fn behind(now: &Now) -> Option<String> {
    let (read, all) = now.progress;
    let percent = read.saturating_mul(100).checked_div(all).unwrap_or(0);
    (!now.caught_up).then(|| format!("catching up, {percent} % read"))
}

/// The newest of the named moments, and how many others there are; `None` if there are none.
pub fn newest_mark(now: &Now) -> Option<String> {
    let newest = now.marks.iter().max_by_key(|mark| mark.time_ns)?;
    let ago = span(now.duration_ns.saturating_sub(newest.time_ns));
    let text = escape(&newest.text);
    Some(match now.marks.len() {
        1 => format!("▲ {text}, {ago} ago"),
        all => format!("▲ {text}, {ago} ago, and {} before it", count(all as u64 - 1)),
    })
}

/// Figures: their names, and what they are.
pub fn figures(now: &Now) -> [(&'static str, String); 4] {
    let (numbers, rates) = (&now.numbers, &now.rates);
    let after = span(numbers.peak_time_ns);
    let share = numbers.temporary as f64 / numbers.allocations.max(1) as f64 * 100.0;
    [
        (
            "live",
            format!("{} in {}", size(numbers.live_bytes), counted(numbers.live_blocks, "block")),
        ),
        (
            "peak",
            format!(
                "{} in {}, after {after}",
                size(numbers.peak_bytes),
                counted(numbers.peak_blocks, "block")
            ),
        ),
        (
            "rate",
            format!(
                "{} a second, {} a second, {} freed a second",
                counted(rates.allocations_per_s.round().max(0.0) as u64, "allocation"),
                bytes_a_second(rates.allocated_bytes_per_s),
                a_second(rates.deaths_per_s)
            ),
        ),
        (
            "so far",
            format!(
                "{}, {}, temporary {share:.1} %",
                counted(numbers.allocations, "allocation"),
                size(numbers.allocated_bytes)
            ),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_heads_are_as_wide_as_the_screen() {
        let row = Row {
            label: "日本 a_function_with_a_name_that_is_long".to_owned(),
            live_bytes: u64::MAX,
            live_blocks: 1_234_567,
            allocations: 99_999_999,
            temporary: 99_999_999,
            ..Row::default()
        };
        for width in [26, 40, 60, 80, 100, 200] {
            assert_eq!(line(&row, width).width(), width);
            assert_eq!(heads(Tab::Places, width, Some((Column::Live, '▼'))).width(), width);
        }
        assert_eq!(columns(200).1.len(), WIDTHS.len());
        assert_eq!(columns(30).1.len(), 1, "live bytes are always there");
    }

    #[test]
    fn what_is_missing_is_said() {
        let now = Now { overwritten_events: 1_234, lost_events: 5, ..Now::default() };
        let said = completeness(&now);
        assert_eq!(said, "1,234 events overwritten before they were read · 5 events lost");
        assert_eq!(completeness(&Now::default()), "complete");
        let now = Now { progress: (1, 4), ..Now::default() };
        assert_eq!(behind(&now).as_deref(), Some("catching up, 25 % read"));
    }
}
