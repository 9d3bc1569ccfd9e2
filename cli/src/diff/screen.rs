//! The changes, on a screen.

use mallook_reader::escape;

use super::report::{Report, Row};
use crate::fit::fill;
use crate::paint::Paint;
use crate::place;
use crate::units::{self, count, counted, size, span};

/// Width of the columns of numbers.
const NUMBER: usize = 12;

/// The report as text: a number of places that grew, and of those that shrank.
pub fn text(report: &Report, most: usize, width: usize, paint: Paint) -> String {
    let is_repeated = report.repetitions.0 > 1 || report.repetitions.1 > 1;
    let label = |name: &str, repetitions: usize| match repetitions {
        1 => escape(name).into_owned(),
        _ => format!("{} (mean of {repetitions})", escape(name)),
    };
    let mut lines = Vec::new();
    for (name, text, repetitions, coverage) in [
        ("A", &report.before, report.repetitions.0, &report.coverage.0),
        ("B", &report.after, report.repetitions.1, &report.coverage.1),
    ] {
        lines.push(format!("{name}: {}", label(text, repetitions)));
        lines.extend(coverage.lines("its figures cover the others", width, paint));
    }
    let divided = match report.per {
        "call" => ", an allocation",
        "second" => ", a second",
        _ => "",
    };
    lines.push(String::new());
    lines.push(paint.bold(&format!(
        "{}{:>NUMBER$}{:>NUMBER$}{:>14}",
        fill(divided.trim_start_matches(", "), 16),
        "A",
        "B",
        "change"
    )));
    lines.extend(report.totals.iter().map(|row| total(row, report, paint)));
    for (title, grows) in [("grew", true), ("shrank", false)] {
        let rows = report.places.iter().filter(|row| !row.comparison.is_noise);
        let rows: Vec<_> = rows.filter(|row| (row.change > 0.0) == grows).collect();
        if rows.is_empty() {
            continue;
        }
        lines.push(String::new());
        let sum: f64 = rows.iter().map(|row| row.change).sum();
        lines.push(paint.bold(&format!(
            "{} that {title}, by {}: {}{divided}",
            report.cost,
            report.by,
            change(sum, rows[0].is_bytes, report)
        )));
        lines.push(
            paint.dim(&format!("{:>14}{:>10}{:>NUMBER$}{:>NUMBER$}", "change", "", "A", "B")),
        );
        lines.extend(rows.iter().take(most).map(|row| {
            let name = escape(&row.name);
            format!(
                "{}{:>NUMBER$}{:>NUMBER$}  {}",
                changes(row, report),
                number(row.comparison.before.mean, row.is_bytes, report),
                number(row.comparison.after.mean, row.is_bytes, report),
                place::fitted(&name, width.saturating_sub(26 + 2 * NUMBER))
            )
        }));
        if let Some(others) = rows.get(most..).filter(|others| !others.is_empty()) {
            let sum: f64 = others.iter().map(|row| row.change).sum();
            let sum = change(sum, rows[0].is_bytes, report);
            lines.push(format!("{sum:>14}  [{}]", units::others(others.len() as u64)));
        }
    }
    let noise = report.places.iter().filter(|row| row.comparison.is_noise);
    let (noisy, largest) =
        noise.fold((0, 0.0), |(noisy, largest), row| (noisy + 1, row.change.abs().max(largest)));
    lines.push(String::new());
    if noisy != 0 {
        let is_bytes = report.places.first().is_some_and(|row| row.is_bytes);
        lines.push(format!(
            "within the noise of the repetitions: {}, by {} at the most",
            counted(noisy, "place"),
            number(largest, is_bytes, report)
        ));
    }
    if !is_repeated {
        lines.push(paint.dim("Is it noise? Repetitions tell: mallook diff A1,A2,A3 B1,B2,B3"));
    }
    if report.places.is_empty() {
        lines.push(format!("no {} has changed in its {}", report.by, report.cost));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn total(row: &Row, report: &Report, paint: Paint) -> String {
    let is_time = row.name == "time_ns";
    let text = |value: f64| match is_time {
        true => span(value as u64),
        false if row.name == "allocations" && report.per == "call" => count(value as u64),
        false => number(value, row.is_bytes, report),
    };
    let name = match row.name.as_str() {
        "live_blocks" => "live blocks",
        "time_ns" => "time",
        name => name,
    };
    let change = match is_time {
        true => String::new(),
        false => changes(row, report),
    };
    let noise = if row.comparison.is_noise { "  noise" } else { "" };
    let line = format!(
        "{}{:>NUMBER$}{:>NUMBER$}{change}{noise}",
        fill(name, 16),
        text(row.comparison.before.mean),
        text(row.comparison.after.mean),
    );
    let line = line.trim_end();
    if row.comparison.is_noise { paint.dim(line) } else { line.to_owned() }
}

/// The change, and the same in percent.
fn changes(row: &Row, report: &Report) -> String {
    let percent = match row.percent {
        _ if row.change == 0.0 => String::new(),
        Some(percent) if percent.abs() < 99_999.5 => format!("{percent:+.1} %"),
        Some(_) => String::new(),
        None => "new".to_owned(),
    };
    format!("{:>14} {percent:>9}", change(row.change, row.is_bytes, report))
}

fn change(value: f64, is_bytes: bool, report: &Report) -> String {
    let sign = match value {
        0.0 => "",
        _ if value > 0.0 => "+",
        _ => "-",
    };
    format!("{sign}{}", number(value.abs(), is_bytes, report))
}

fn number(value: f64, is_bytes: bool, report: &Report) -> String {
    let is_small = report.per != "none" && value < 1000.0 && value.fract() != 0.0;
    match (is_bytes, is_small) {
        (true, true) if value < 0.01 => format!("{value:.1e} B"),
        (true, true) => format!("{value:.3} B"),
        (false, true) if value < 0.01 => format!("{value:.1e}"),
        (false, true) => format!("{value:.3}"),
        (true, false) => size(value.round() as u64),
        (false, false) => count(value.round() as u64),
    }
}
