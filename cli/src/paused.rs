//! Ranges of a run in which recording paused.

use mallook_analysis::Pauses;
use mallook_reader::Trace;
use serde::Serialize;

use crate::units::{count, span};

/// Ranges that a sentence has.
const MOST: usize = 2;

/// A pause of the recording of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Paused {
    /// The process.
    pub pid: u32,
    /// Nanoseconds since the start of the run; `None` if a ring has overwritten that moment.
    pub start_ns: Option<u64>,
    /// The same of its end, or of that of the process.
    pub end_ns: u64,
    /// Recording went on then.
    pub resumed: bool,
}

/// The pauses of all traces. `start_ns`: the Unix time in nanoseconds at which these start.
pub fn of(traces: &[Trace], pauses: &Pauses, start_ns: u64) -> Vec<Paused> {
    let since = |time_ns: u64| time_ns.saturating_sub(start_ns);
    let paused = |pause: &mallook_analysis::Pause| Paused {
        pid: traces.get(pause.trace as usize).map_or(0, Trace::pid),
        start_ns: pause.start_ns.map(since),
        end_ns: since(pause.end_ns),
        resumed: pause.resumed,
    };
    pauses.all().iter().map(paused).collect()
}

/// The times at which any process paused, each once.
pub fn ranges(paused: &[Paused]) -> Vec<(u64, u64)> {
    let range = |it: &Paused| (it.start_ns.unwrap_or(0), it.end_ns);
    let mut all: Vec<_> = paused.iter().map(range).filter(|(from, to)| from <= to).collect();
    all.sort_unstable();
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for (from, to) in all {
        match ranges.last_mut().filter(|last| last.1 >= from) {
            Some(last) => last.1 = last.1.max(to),
            None => ranges.push((from, to)),
        }
    }
    ranges
}

/// How often, in words.
pub fn times(pauses: u64) -> String {
    if pauses == 1 { "once".to_owned() } else { format!("{} times", count(pauses)) }
}

/// When recording paused in a run that took so long, in words: `from 2.00 s to 3.00 s and 7 times more`.
pub fn words(paused: &[Paused], span_ns: u64) -> String {
    let ranges = ranges(paused);
    let is_last = |to| to >= span_ns && paused.iter().any(|it| it.end_ns == to && !it.resumed);
    let range = |&(from, to): &(u64, u64)| match (from, is_last(to)) {
        (0, false) => format!("up to {}", span(to)),
        (_, true) => format!("from {} on", span(from)),
        _ => format!("from {} to {}", span(from), span(to)),
    };
    let said: Vec<_> = ranges.iter().take(MOST).map(range).collect();
    match ranges.len().saturating_sub(MOST) {
        0 => said.join(" and "),
        1 => format!("{} and once more", said.join(", ")),
        more => format!("{} and {} times more", said.join(", "), count(more as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paused(pid: u32, start_s: Option<u64>, end_s: Option<u64>) -> Paused {
        let ns = |seconds: u64| seconds * 1_000_000_000;
        let end_ns = ns(end_s.unwrap_or(60));
        Paused { pid, start_ns: start_s.map(ns), end_ns, resumed: end_s.is_some() }
    }

    #[test]
    fn pauses_of_several_processes_are_one_range() {
        let all = [
            paused(1, Some(20), Some(30)),
            paused(2, Some(21), Some(31)),
            paused(3, None, Some(4)),
            paused(1, Some(50), None),
        ];
        let span_ns = 60_000_000_000;
        assert_eq!(ranges(&all).len(), 3);
        assert_eq!(words(&all[..2], span_ns), "from 20.0 s to 31.0 s");
        assert_eq!(words(&all[2..], span_ns), "up to 4.00 s and from 50.0 s on");
        assert_eq!(words(&all, span_ns), "up to 4.00 s, from 20.0 s to 31.0 s and once more");
        assert_eq!(words(&[], span_ns), "");
        // It ends with the last event of all, or with its process before that.
        assert_eq!(words(&[paused(1, Some(50), Some(60))], span_ns), "from 50.0 s to 60.0 s");
        let short = Paused { end_ns: 55_000_000_000, ..paused(1, Some(50), None) };
        assert_eq!(words(&[short], span_ns), "from 50.0 s to 55.0 s");
        assert_eq!(words(&[paused(1, Some(0), None)], span_ns), "from 0 ns on");
    }
}
