//! Moments of a run that somebody has named, by `mallook ctl mark` or from inside the program.

use mallook_reader::{Trace, escape};
use serde::Serialize;

use crate::paint::Paint;
use crate::units::{counted, span};

/// Marks that are listed on a screen.
pub const MOST: usize = 8;

/// A named moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// Time since the start, in nanoseconds.
    pub time_ns: u64,
    /// The process whose trace has it.
    pub pid: u32,
    /// Its name, as it was given.
    pub text: String,
}

/// The marks of all traces, in order of time. `start_ns`: the Unix time in nanoseconds at which they start.
pub fn of(traces: &[Trace], start_ns: u64) -> Vec<Mark> {
    let of_trace = |trace: &Trace| {
        let pid = trace.pid();
        trace.marks().into_iter().map(move |mark| Mark {
            time_ns: mark.time_ns.saturating_sub(start_ns),
            pid,
            text: String::from_utf8_lossy(&mark.text).into_owned(),
        })
    };
    let mut marks: Vec<_> = traces.iter().flat_map(of_trace).collect();
    marks.sort_by_key(|mark| mark.time_ns);
    marks
}

/// A line that points up at the columns of marks, with a dotted line where recording `paused`; `None`
/// if there is neither.
pub fn pointers(
    marks: &[Mark],
    paused: &[(u64, u64)],
    span_ns: u64,
    columns: usize,
) -> Option<String> {
    let last = columns.checked_sub(1).filter(|_| !marks.is_empty() || !paused.is_empty())?;
    let mut line = vec![' '; columns];
    let column = |time_ns: u64| {
        let part = time_ns as f64 / span_ns.max(1) as f64;
        ((part * columns as f64) as usize).min(last)
    };
    for &(from, to) in paused {
        line[column(from)..=column(to)].fill('┄');
    }
    for mark in marks {
        line[column(mark.time_ns)] = '▲';
    }
    Some(line.into_iter().collect())
}

/// A line for each of the first marks.
pub fn list(marks: &[Mark], most: usize, paint: Paint) -> Vec<String> {
    let line = |mark: &Mark| {
        let after = paint.dim(&format!("after {}", span(mark.time_ns)));
        format!("▲ {} {after}", escape(&mark.text))
    };
    let mut lines: Vec<_> = marks.iter().take(most).map(line).collect();
    if let Some(more) = marks.len().checked_sub(most).filter(|&more| more != 0) {
        lines.push(format!("[{}]", counted(more as u64, "other mark")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(time_ns: u64, text: &str) -> Mark {
        Mark { time_ns, pid: 1, text: text.to_owned() }
    }

    #[test]
    fn marks_are_pointed_at_where_they_are() {
        let marks = [mark(0, "a"), mark(50, "b"), mark(1000, "c")];
        assert_eq!(pointers(&marks, &[], 100, 4).as_deref(), Some("▲ ▲▲"));
        assert_eq!(pointers(&marks[..1], &[(20, 60)], 100, 4).as_deref(), Some("▲┄┄ "));
        assert_eq!(pointers(&[], &[(99, 100)], 100, 4).as_deref(), Some("   ┄"));
        assert_eq!(pointers(&[], &[], 100, 4), None);
        assert_eq!(pointers(&marks, &[(0, 9)], 0, 0), None);
    }

    #[test]
    fn names_are_escaped_and_many_are_counted() {
        let marks: Vec<_> = (0..10).map(|at| mark(at * 1000, "x\x1b[2J")).collect();
        let lines = list(&marks, MOST, Paint::OFF);
        assert_eq!(lines[1], "▲ x\\u{1b}[2J after 1.00 µs");
        assert_eq!(lines[8..], ["[2 other marks]"]);
    }
}
