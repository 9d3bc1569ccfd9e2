//! The summary on a screen: 40 lines of 100 columns.

use mallook_reader::{Ending, escape};

use super::report::{Note, Numbers, Process, Report};
use super::sections;
use crate::chart::Chart;
use crate::fit::shorten;
use crate::paint::Paint;
use crate::units::{count, size, span};

/// The width of the screen; a wider terminal gives more room to places.
const WIDTH: usize = 100;
const WIDEST: usize = 160;
/// The height of the screen.
const HEIGHT: usize = 40;
/// Rows of the chart, and of places at the least and at the most.
const CHART: usize = 6;
const PLACES: (usize, usize) = (4, 8);

/// The screen as text. `width`: that of the terminal, if there is one; `files`: how a command line names
/// the traces.
pub fn text(report: &Report, files: &str, width: Option<usize>, paint: Paint) -> String {
    let width = width.unwrap_or(WIDTH).clamp(60, WIDEST);
    let mut lines = header(report, width, paint);
    lines.push(String::new());
    lines.extend(figures(report, paint));
    match report.numbers.peak_bytes {
        0 => lines.push(String::new()),
        _ => lines.extend(chart(report, width, paint)),
    }
    match report.processes.len() {
        1 => lines.extend(sections::sizes(report, width, paint)),
        _ => lines.extend(sections::processes(report, width, paint)),
    }
    lines.push(String::new());
    let mut end: Vec<String> = report.notes.iter().map(|it| note(it, width, paint)).collect();
    if !end.is_empty() {
        end.insert(0, String::new());
    }
    end.extend(next(report, files, paint));
    let rows = HEIGHT.saturating_sub(lines.len() + 1 + end.len()).clamp(PLACES.0, PLACES.1);
    lines.extend(sections::places(report, width, rows, paint));
    lines.extend(end);
    lines.push(String::new());
    lines.join("\n")
}

/// The first lines: which program, whether its trace is complete, and the figures.
pub fn head(report: &Report, width: usize, paint: Paint) -> String {
    let mut lines = header(report, width, paint);
    lines.push(String::new());
    lines.extend(figures(report, paint));
    lines.push(String::new());
    lines.join("\n")
}

/// A sentence in a line, with the command that shows more.
fn note(note: &Note, width: usize, paint: Paint) -> String {
    let command = format!("→ {}", note.command.split(' ').nth(1).unwrap_or_default());
    let room = width.saturating_sub(command.chars().count() + 3);
    format!("• {} {}", shorten(&note.text, room), paint.dim(&command))
}

/// The last part of a path.
fn base(path: &str) -> String {
    escape(path.rsplit('/').next().unwrap_or_default()).into_owned()
}

fn ended(process: &Process) -> String {
    match (process.ended, process.exit_code) {
        (Ending::Clean, Some(code)) => format!("exited with code {code}"),
        (ending, _) => ending.describe().to_owned(),
    }
}

fn header(report: &Report, width: usize, paint: Paint) -> Vec<String> {
    let host = report.processes.first().map_or(String::new(), |it| escape(&it.host).into_owned());
    let first = match &report.processes[..] {
        [only] => format!(
            "{} · process {} on {host} · {} · {} · {}",
            paint.bold(&base(&only.program)),
            only.pid,
            date(report.start_unix_ns),
            span(report.duration_ns),
            ended(only)
        ),
        all => {
            let oldest = all
                .iter()
                .min_by_key(|it| it.start_ns)
                .map_or(String::new(), |it| base(&it.program));
            format!(
                "{} and its tree · {} processes on {host} · {} · {}",
                paint.bold(&oldest),
                count(all.len() as u64),
                date(report.start_unix_ns),
                span(report.duration_ns)
            )
        }
    };
    let numbers = &report.numbers;
    let there = numbers.allocations.saturating_add(numbers.frees).saturating_add(numbers.grown);
    let state = if report.complete {
        paint.good("complete: every event is in the trace")
    } else {
        let mut parts = Vec::new();
        if report.missing_events != 0 {
            parts.push(format!("{} events are missing", count(report.missing_events)));
        }
        if report.damaged_places != 0 {
            parts.push(format!("{} places are damaged", count(report.damaged_places)));
        }
        let line = format!(
            "NOT COMPLETE: {}; figures cover the {} that are there",
            parts.join(", "),
            count(there)
        );
        paint.bad(&shorten(&line, width))
    };
    vec![first, state]
}

/// A date and time in UTC: `2026-11-26 10:04:05 UTC`.
fn date(unix_ns: u64) -> String {
    let seconds = unix_ns / 1_000_000_000;
    let (days, rest) = ((seconds / 86_400) as i64, seconds % 86_400);
    // Howard Hinnant's civil_from_days.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// A share in percent; nothing if it is none.
fn share(part: u64, whole: u64) -> String {
    match (part, whole) {
        (0, _) | (_, 0) => String::new(),
        _ => format!(" ({:.1} %)", part as f64 * 100.0 / whole as f64),
    }
}

fn figures(report: &Report, paint: Paint) -> Vec<String> {
    let numbers = &report.numbers;
    let seconds = report.duration_ns as f64 / 1e9;
    let rate = match seconds > 0.0 {
        true => format!(", {} a second", count((numbers.allocations as f64 / seconds) as u64)),
        false => String::new(),
    };
    let line = |name: &str, value: String| format!("{} {value}", paint.dim(&format!("{name:<12}")));
    let exact = |bytes: u64| format!("({} B)", count(bytes));
    let per = |part: u64| share(part, numbers.allocations);
    let lifetimes = &report.lifetimes;
    let mut lines = vec![
        line(
            "peak",
            format!(
                "{} {} in {} blocks, after {}",
                paint.peak(&size(numbers.peak_bytes)),
                exact(numbers.peak_bytes),
                count(numbers.peak_blocks),
                span(numbers.peak_time_ns)
            ),
        ),
        line(
            "allocated",
            format!(
                "{} in {} allocations{rate}",
                paint.bold(&size(numbers.allocated_bytes)),
                count(numbers.allocations)
            ),
        ),
        line(
            "live at end",
            format!(
                "{} {} in {} blocks{}",
                paint.bold(&size(numbers.live_at_end_bytes)),
                exact(numbers.live_at_end_bytes),
                count(numbers.live_at_end_blocks),
                pool(numbers)
            ),
        ),
    ];
    let mut kinds =
        vec![format!("temporary {}{}", count(numbers.temporary), per(numbers.temporary))];
    kinds.push(format!("grown {}{}", count(numbers.grown), per(numbers.grown)));
    kinds.push(format!("crossed {}{}", count(numbers.crossed), per(numbers.crossed)));
    kinds.push(format!("failed {}", count(numbers.failed)));
    lines.push(line("of these", kinds.join(" · ")));
    lines.push(line(
        "lifetime",
        format!(
            "median {} · 90 % up to {} · longest {}",
            span(lifetimes.median_ns),
            span(lifetimes.p90_ns),
            span(lifetimes.longest_ns)
        ),
    ));
    lines
}

fn pool(numbers: &Numbers) -> String {
    match numbers.live_at_end_bytes - numbers.leaked_bytes {
        0 => String::new(),
        pool => format!(", of which {} looks like libstdc++'s emergency pool", size(pool)),
    }
}

fn chart(report: &Report, width: usize, paint: Paint) -> Vec<String> {
    let chart = Chart {
        least: &report.timeline.min_bytes,
        most: &report.timeline.max_bytes,
        span_ns: report.duration_ns,
        interval_ns: report.timeline.interval_ns,
        peak_ns: report.numbers.peak_time_ns,
        peak: report.numbers.peak_bytes,
    };
    chart.lines(width, CHART, paint)
}

/// The commands of the next step: those of the sentences first.
fn next(report: &Report, files: &str, paint: Paint) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    if files.is_empty() {
        let keep = "without --no-keep, the traces stay for mallook leaks, mallook timeline and mallook stats";
        return vec![paint.dim(keep)];
    }
    let of_notes = report.notes.iter().map(|note| note.command.clone());
    let always = ["leaks", "timeline", "stats"].map(|name| format!("mallook {name} {files}"));
    for command in of_notes.chain(always) {
        if !commands.contains(&command) && commands.len() < 3 {
            commands.push(command);
        }
    }
    if !report.has_stacks {
        commands.truncate(2);
        commands.push(
            "mallook run --summary --stacks -- PROGRAM     says which functions allocate"
                .to_owned(),
        );
    }
    let line = |(place, command): (usize, &String)| {
        let name = if place == 0 { "next:" } else { "" };
        format!("{} {command}", paint.dim(&format!("{name:<5}")))
    };
    commands.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(date(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(date(951_827_696_000_000_000), "2000-02-29 12:34:56 UTC");
        assert_eq!(date(1_795_642_905_999_999_999), "2026-11-25 21:41:45 UTC");
    }
}
