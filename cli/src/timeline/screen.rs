//! The lines in a terminal.

use super::data::{Line, Said};
use crate::coverage::Coverage;
use crate::fit::fill;
use crate::mark;
use crate::paint::Paint;
use crate::paused;
use crate::plot;
use crate::units::{count, counted, others, short_size, size, span};

/// Processes that are shown.
const PROCESSES: usize = 20;
/// The width of a process's name, and of the numbers behind it.
const NAME: usize = 28;

/// Charts of all processes with what others have said, and a line for each.
pub fn text(
    lines: &[Line],
    said: &Said,
    coverage: &Coverage,
    width: usize,
    paint: Paint,
) -> String {
    let Some(all) = lines.first() else { return String::new() };
    let columns = width.saturating_sub(plot::LABEL + 1);
    let mut text = Vec::new();
    let processes = lines.len() - 1;
    let of = if processes == 0 { all.program.clone() } else { format!("{processes} processes") };
    let since = |ns: u64| span(ns.saturating_sub(all.start_ns));
    let peak = &all.peak;
    text.push(paint.bold(&format!(
        "{of}, {}: peak {} in {} after {}",
        span(all.span_ns()),
        size(peak.most.bytes),
        counted(peak.most.blocks, "block"),
        since(peak.time_ns)
    )));
    text.extend(coverage.lines("what was freed there seems to live", width, paint));
    let mut chart = |title: &str, ranges: Vec<plot::Range>, rows, label: fn(u64) -> String| {
        text.push(String::new());
        text.push(format!("{:w$} {}", "", title, w = plot::LABEL));
        text.extend(plot::lines(&plot::columns(&ranges, columns), rows, label, paint));
    };
    let bytes = all.ranges(|it| (it.least.bytes, it.most.bytes));
    chart("live bytes, from the least to the most of each column", bytes, 8, size);
    let blocks = all.ranges(|it| (it.least.blocks, it.most.blocks));
    chart("live blocks", blocks, 4, count);
    chart("births a second", all.rates(columns, |it| it.births), 3, count);
    chart("deaths a second", all.rates(columns, |it| it.deaths), 3, count);
    let span_ns = all.span_ns();
    let paused = paused::ranges(&said.paused);
    if let Some(pointers) = mark::pointers(&said.marks, &paused, span_ns, columns) {
        text.push(format!("{:w$} {}", "", pointers, w = plot::LABEL));
    }
    text.push(plot::axis(columns, |part| span((span_ns as f64 * part) as u64), paint));
    if !paused.is_empty() {
        text.push(format!("┄ recording paused {}", paused::words(&said.paused, said.span_ns)));
    }
    text.extend(mark::list(&said.marks, mark::MOST, paint));
    text.extend(of_processes(lines, width, paint));
    text.push(String::new());
    text.join("\n")
}

/// A line a process: those with the highest peaks.
fn of_processes(lines: &[Line], width: usize, paint: Paint) -> Vec<String> {
    let Some((all, each)) = lines.split_first().filter(|(_, each)| !each.is_empty()) else {
        return Vec::new();
    };
    let mut each: Vec<_> = each.iter().collect();
    each.sort_by_key(|line| std::cmp::Reverse(line.peak.most.bytes));
    let columns = width.saturating_sub(NAME + 10);
    let mut text =
        vec![String::new(), format!("{:NAME$} {:>7}", "live bytes of each process", "peak")];
    let top = each.first().map_or(0, |line| line.peak.most.bytes);
    for line in each.iter().take(PROCESSES) {
        let name = format!("{} {}", line.program, line.pid);
        let spark = plot::spark(&plot::columns(&shared_time(line, all), columns), top);
        text.push(format!(
            "{} {:>7}  {}",
            fill(&name, NAME),
            short_size(line.peak.most.bytes),
            paint.live(spark.trim_end())
        ));
    }
    if let Some(more) = each.len().checked_sub(PROCESSES).filter(|&more| more != 0) {
        text.push(format!("[{}]", others(more as u64)));
    }
    text
}

/// The ranges of a process at the intervals of all processes.
fn shared_time(line: &Line, all: &Line) -> Vec<plot::Range> {
    let mut ranges = vec![(0, 0); all.intervals.len()];
    for (number, interval) in (0..).zip(&line.intervals) {
        let since_ns =
            (line.start_ns.saturating_sub(all.start_ns)).saturating_add(number * line.width_ns);
        let end_ns = since_ns.saturating_add(line.width_ns - 1);
        let last = ranges.len().saturating_sub(1);
        let place = |ns: u64| ((ns / all.width_ns) as usize).min(last);
        for range in &mut ranges[place(since_ns)..=place(end_ns)] {
            range.1 = range.1.max(interval.most.bytes);
        }
    }
    ranges
}
