//! The summary on a screen: 40 lines of 100 columns.

use mallook_reader::{Ending, escape};

use super::report::{Cost, Note, Numbers, PlaceRow, Process, Report};
use crate::chart::Chart;
use crate::fit::{fill, shorten};
use crate::paint::Paint;
use crate::units::{count, short_size, size, span};

/// The width of the screen; a wider terminal gives more room to places.
const WIDTH: usize = 100;
const WIDEST: usize = 160;
/// The height of the screen.
const HEIGHT: usize = 40;
/// Rows of the chart, of sizes, of processes, and of places at the least and at the most.
const CHART: usize = 6;
const SIZES: usize = 6;
const PROCESSES: usize = 6;
const PLACES: (usize, usize) = (4, 8);
/// Width of a number behind a name, and of all of them.
const NUMBER: usize = 12;
const NUMBERS: usize = 5 * NUMBER - 2;

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
        1 => lines.extend(sizes(report, width, paint)),
        _ => lines.extend(processes(report, width, paint)),
    }
    lines.push(String::new());
    let mut end: Vec<String> = report.notes.iter().map(|it| note(it, width, paint)).collect();
    if !end.is_empty() {
        end.insert(0, String::new());
    }
    end.extend(next(report, files, paint));
    let rows = HEIGHT.saturating_sub(lines.len() + 1 + end.len()).clamp(PLACES.0, PLACES.1);
    lines.extend(places(report, width, rows, paint));
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
    let calls = numbers.allocations.saturating_add(numbers.frees);
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
            "NOT COMPLETE: {}; figures cover the {} allocations and frees that are there",
            parts.join(", "),
            count(calls)
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
fn sizes(report: &Report, width: usize, paint: Paint) -> Vec<String> {
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

fn processes(report: &Report, width: usize, paint: Paint) -> Vec<String> {
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

fn places(report: &Report, width: usize, rows: usize, paint: Paint) -> Vec<String> {
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

    #[test]
    fn bars() {
        assert_eq!(bar(1, 2, 4), "██");
        assert_eq!(bar(1, 16, 4), "▎");
        assert_eq!(bar(0, 0, 4), "");
    }
}
