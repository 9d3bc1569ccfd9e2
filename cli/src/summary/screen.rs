//! The summary on a screen: 40 lines of 100 columns.

use mallook_reader::{Ending, escape};
use unicode_width::UnicodeWidthStr;

use super::report::{Note, Numbers, Process, Report};
use super::sections;
use crate::chart::Chart;
use crate::coverage::CutRange;
use crate::escape::base_name;
use crate::fit::{words, wrapped};
use crate::mark;
use crate::paint::Paint;
use crate::units::{count, counted, exact_size, size, span};

/// The width of the screen; a wider terminal gives more room to places.
const WIDTH: usize = 100;
const WIDEST: usize = 160;
/// The height of the screen.
const HEIGHT: usize = 40;
/// Columns before a command of the next step.
const NEXT: usize = 6;
/// How much of each part is shown.
#[derive(Clone, Copy)]
struct Rows {
    chart: usize,
    marks: usize,
    /// Sizes or processes.
    groups: usize,
    places: usize,
}

/// The first of these that fits the screen is taken.
const ROWS: [Rows; 11] = [
    Rows { chart: 6, marks: 8, groups: 6, places: 8 },
    Rows { chart: 6, marks: 8, groups: 6, places: 7 },
    Rows { chart: 6, marks: 8, groups: 6, places: 6 },
    Rows { chart: 6, marks: 8, groups: 6, places: 5 },
    ENOUGH,
    Rows { chart: 6, marks: 6, groups: 5, places: 4 },
    Rows { chart: 6, marks: 4, groups: 4, places: 4 },
    Rows { chart: 6, marks: 2, groups: 4, places: 4 },
    Rows { chart: 5, marks: 2, groups: 3, places: 3 },
    Rows { chart: 4, marks: 1, groups: 2, places: 2 },
    Rows { chart: 3, marks: 1, groups: 2, places: 2 },
];
/// The rows where nothing fits, as on a narrow terminal with its many lines.
const ENOUGH: Rows = Rows { chart: 6, marks: 8, groups: 6, places: 4 };

/// The screen as text. `width`: that of the terminal, if there is one; `files`: how a command line names
/// the traces.
pub fn text(report: &Report, files: &str, width: Option<usize>, paint: Paint) -> String {
    let width = width.unwrap_or(WIDTH).min(WIDEST);
    let screen = |rows| screen(report, files, width, rows, paint);
    let fitting = ROWS.into_iter().map(screen).find(|screen| screen.lines().count() <= HEIGHT);
    fitting.unwrap_or_else(|| screen(ENOUGH))
}

/// The screen with so much of each part.
fn screen(report: &Report, files: &str, width: usize, rows: Rows, paint: Paint) -> String {
    let mut lines = header(report, width, paint);
    lines.push(String::new());
    lines.extend(figures(report, width, paint));
    match report.numbers.peak_bytes {
        0 => lines.push(String::new()),
        _ => lines.extend(chart(report, width, rows.chart, paint)),
    }
    lines.extend(mark::list(&report.marks, rows.marks, paint));
    match report.processes.len() {
        1 => lines.extend(sections::sizes(report, width, rows.groups, paint)),
        _ => lines.extend(sections::processes(report, width, rows.groups, paint)),
    }
    lines.push(String::new());
    lines.extend(sections::places(report, width, rows.places, paint));
    if !report.notes.is_empty() {
        lines.push(String::new());
    }
    lines.extend(report.notes.iter().flat_map(|it| note(it, width, paint)));
    lines.extend(next(report, files, width, paint));
    lines.push(String::new());
    // Of what is empty, no more is left than one blank line.
    lines.dedup_by(|one, other| one.is_empty() && other.is_empty());
    lines.join("\n")
}

/// The first lines: which program, whether its trace is complete, and the figures.
pub fn head(report: &Report, width: usize, paint: Paint) -> String {
    let mut lines = header(report, width, paint);
    lines.push(String::new());
    lines.extend(figures(report, width, paint));
    lines.push(String::new());
    lines.join("\n")
}

/// A sentence with the command that shows more, in one line or several.
fn note(note: &Note, width: usize, paint: Paint) -> Vec<String> {
    let command = format!("→ {}", note.command.split(' ').nth(1).unwrap_or_default());
    let text = note.text.fitted(width.saturating_sub(command.width() + 3));
    let words = format!("• {text}");
    let mut parts: Vec<_> = words.split(' ').map(str::to_owned).collect();
    parts.push(paint.dim(&command));
    wrapped(&parts, " ", 2, width)
}

fn ended(process: &Process) -> String {
    match (process.ended, process.exit_code) {
        (Ending::Clean, Some(code)) => format!("exited with code {code}"),
        (ending, _) => ending.describe().to_owned(),
    }
}

fn header(report: &Report, width: usize, paint: Paint) -> Vec<String> {
    let host = report.processes.first().map_or(String::new(), |it| escape(&it.host).into_owned());
    let (date, time) = (date(report.start_unix_ns), span(report.duration_ns));
    let first = match &report.processes[..] {
        [only] => vec![
            paint.bold(&base_name(&only.program)),
            format!("process {} on {host}", only.pid),
            date,
            time,
            match report.coverage.cut {
                Some(CutRange { until_ns: Some(_), .. }) => "cut off".to_owned(),
                _ => ended(only),
            },
        ],
        all => {
            let oldest = all.iter().min_by_key(|it| it.start_ns);
            let oldest = oldest.map_or(String::new(), |it| base_name(&it.program).into_owned());
            vec![
                match report.is_tree {
                    true => format!("{} and its tree", paint.bold(&oldest)),
                    false => format!("{} and others", paint.bold(&oldest)),
                },
                format!("{} processes on {host}", count(all.len() as u64)),
                date,
                time,
            ]
        }
    };
    let mut lines = wrapped(&first, " · ", 2, width);
    if let Some(range) = report.coverage.range() {
        let blocks = counted(report.inherited, "block");
        let text = match report.inherited {
            0 => range,
            _ => format!("{range}; figures include {blocks} of before, which live at its start"),
        };
        lines.extend(words(&text, 2, width));
    }
    match report.coverage.gaps() {
        None if report.coverage.cut.is_some() => {
            lines.push(paint.good("complete: every event of the range is in the trace"));
        }
        None => lines.push(paint.good("complete: every event is in the trace")),
        Some(gaps) => {
            let said =
                format!("NOT COMPLETE: {gaps}; figures cover {}", counted(there(report), "event"));
            lines.extend(words(&said, 2, width).iter().map(|line| paint.bad(line)));
        }
    }
    lines
}

/// The events that figures cover, releases of unknown blocks and failures included.
fn there(report: &Report) -> u64 {
    let Numbers { allocations, frees, grown, unknown_frees, failed, .. } = report.numbers;
    [frees, grown, unknown_frees, failed].into_iter().fold(allocations, u64::saturating_add)
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

/// The figures, each in a line where there is room.
fn figures(report: &Report, width: usize, paint: Paint) -> Vec<String> {
    let numbers = &report.numbers;
    let per = |part: u64| share(part, numbers.allocations);
    let line = |name: &str, mut parts: Vec<String>, between: &str| {
        parts[0] = format!("{} {}", paint.dim(&format!("{name:<12}")), parts[0]);
        wrapped(&parts, between, 13, width)
    };
    // Only what is read first is bright.
    let exact = |bright: String, bytes: u64| exact_size(bytes).replacen(&size(bytes), &bright, 1);
    let peak = exact(paint.peak(&size(numbers.peak_bytes)), numbers.peak_bytes);
    let peak = vec![
        format!("{peak} in {}", counted(numbers.peak_blocks, "block")),
        format!("after {}", span(numbers.peak_time_ns)),
    ];
    let allocated = paint.bold(&size(numbers.allocated_bytes));
    let mut allocated =
        vec![format!("{allocated} in {}", counted(numbers.allocations, "allocation"))];
    let cut = report.coverage.cut;
    let (since_ns, until_ns) = cut.map_or((0, None), |it| (it.since_ns, it.until_ns));
    let end_ns = until_ns.unwrap_or(report.duration_ns).min(report.duration_ns);
    let seconds = end_ns.saturating_sub(since_ns) as f64 / 1e9;
    if seconds > 0.0 {
        let of_range = numbers.allocations.saturating_sub(report.inherited) as f64;
        allocated.push(format!("{} a second", count((of_range / seconds) as u64)));
    }
    let end = exact(paint.bold(&size(numbers.live_at_end_bytes)), numbers.live_at_end_bytes);
    let mut end = vec![format!("{end} in {}", counted(numbers.live_at_end_blocks, "block"))];
    end.extend(suppressed(numbers));
    let temporary = match report.temporary_threshold {
        0 => "temporary".to_owned(),
        most => format!("temporary (at most {} later)", counted(most, "birth")),
    };
    let kinds = vec![
        format!("{temporary} {}{}", count(numbers.temporary), per(numbers.temporary)),
        format!("grown {}{}", count(numbers.grown), per(numbers.grown)),
        format!("crossed {}{}", count(numbers.crossed), per(numbers.crossed)),
        format!("failed {}", count(numbers.failed)),
    ];
    let lifetimes = &report.lifetimes;
    let lifetime = match numbers.frees.saturating_add(numbers.grown) {
        0 => vec!["no block has died".to_owned()],
        _ => vec![
            format!("median {}", span(lifetimes.median_ns)),
            format!("90 % up to {}", span(lifetimes.p90_ns)),
            format!("longest {}", span(lifetimes.longest_ns)),
        ],
    };
    [
        line("peak", peak, ", "),
        line("allocated", allocated, ", "),
        line("live at end", end, ", "),
        line("of these", kinds, " · "),
        line("lifetime", lifetime, " · "),
    ]
    .concat()
}

/// The suppressed part of the live memory at the end.
fn suppressed(numbers: &Numbers) -> Option<String> {
    let bytes = numbers.live_at_end_bytes.saturating_sub(numbers.leaked_bytes);
    (bytes != 0).then(|| format!("{} of it suppressed", size(bytes)))
}

fn chart(report: &Report, width: usize, rows: usize, paint: Paint) -> Vec<String> {
    let chart = Chart {
        least: &report.timeline.min_bytes,
        most: &report.timeline.max_bytes,
        span_ns: report.duration_ns,
        interval_ns: report.timeline.interval_ns,
        peak_ns: report.numbers.peak_time_ns,
        peak: report.numbers.peak_bytes,
    };
    chart.lines(width, rows, paint)
}

/// The commands of the next step: those of the sentences first.
fn next(report: &Report, files: &str, width: usize, paint: Paint) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    if files.is_empty() {
        let keep = "without --no-keep, traces stay for mallook leaks, timeline and stats";
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
            "mallook run --summary --stacks -- PROGRAM   says which functions allocate".to_owned(),
        );
    }
    let line = |(place, command): (usize, &String)| {
        let name = if place == 0 { "next:" } else { "" };
        // A line that goes on can be pasted as well.
        let command = match command.strip_suffix(files) {
            Some(start) if NEXT + command.width() > width => {
                format!("{start}\\\n{:NEXT$}{files}", "")
            }
            _ => command.clone(),
        };
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
