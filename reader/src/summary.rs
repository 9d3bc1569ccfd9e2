//! What `--info` says of a trace.

use std::collections::BTreeMap;
use std::fmt;

use mallook_format::ring::BlockCopy;
use mallook_format::{Clock, FLAG_RESTART, Kind, Loss, Mode, State};

use crate::Trace;
use crate::decode::{self, Moment};

/// How a process ended, as far as its trace tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It exited.
    Clean,
    /// It replaced itself by exec.
    Exec,
    /// It was killed, or left by `_exit` or `abort`.
    Abrupt,
    /// It is still there.
    Running,
}

/// A trace in numbers.
#[derive(Clone, Debug)]
pub struct Summary {
    lines: Vec<(&'static str, String)>,
    /// Call moments that are in the file.
    pub present: u64,
    /// Call moments that newer ones have overwritten.
    pub overwritten: u64,
    /// Call moments that could not be recorded, by cause.
    pub lost: Vec<(Loss, u64)>,
    /// How the process ended.
    pub ending: Ending,
    /// Calls and markers that are in the file.
    pub kinds: BTreeMap<Kind, u64>,
    threads: BTreeMap<u32, (String, u64)>,
}

impl Ending {
    const fn describe(self) -> &'static str {
        match self {
            Ending::Clean => "cleanly",
            Ending::Exec => "by exec",
            Ending::Abrupt => "abruptly",
            Ending::Running => "still running",
        }
    }
}

/// Whether the process that wrote the trace is there: a process with its number that had started
/// when the trace was made, on this host.
pub(crate) fn is_running(trace: &Trace) -> bool {
    let header = trace.header();
    let same_host = std::fs::read("/proc/sys/kernel/hostname")
        .is_ok_and(|name| name.trim_ascii_end() == header.hostname());
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{}/stat", header.pid)) else {
        return false;
    };
    // proc(5): field 3 is the state and field 22 the start in clock ticks since boot; the name
    // before them ends with the last parenthesis.
    let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let zombie = matches!(fields.next(), Some("Z" | "X"));
    let started = fields.nth(18).and_then(|field| field.parse::<u64>().ok()).unwrap_or(u64::MAX);
    // Clock ticks last 10 ms on Linux. The trace's clock stops in suspend, this one does not.
    let boot_ns = started.saturating_mul(10_000_000);
    same_host && !zombie && boot_ns <= boot_time_of(header.monotonic_ns)
}

/// `CLOCK_BOOTTIME` at a time of `CLOCK_MONOTONIC`, in nanoseconds, as they are apart now.
fn boot_time_of(monotonic_ns: u64) -> u64 {
    let now = |clock| {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the structure is written.
        unsafe { libc::clock_gettime(clock, &raw mut time) };
        (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
    };
    let suspended = now(libc::CLOCK_BOOTTIME).saturating_sub(now(libc::CLOCK_MONOTONIC));
    monotonic_ns.saturating_add(suspended)
}

impl Summary {
    /// Reads all of the trace once, block by block.
    pub fn of(trace: &Trace) -> Summary {
        let mut summary = Summary {
            lines: Vec::new(),
            present: 0,
            overwritten: 0,
            lost: trace.lost().filter(|&(_, count)| count != 0).collect(),
            ending: Ending::Abrupt,
            kinds: BTreeMap::new(),
            threads: BTreeMap::new(),
        };
        let mut copy = Box::new(BlockCopy::EMPTY);
        let mut moments = Vec::new();
        let (mut requested, mut failed) = (0u64, 0u64);
        let mut last: Option<Moment> = None;
        for block in trace.blocks() {
            moments.clear();
            decode::moments(trace, block, &mut copy, &mut moments);
            if let Some(state) = State::from_word(copy.header.state) {
                let others = copy.header.totals[(state.parity ^ 1) as usize];
                summary.overwritten = summary.overwritten.saturating_add(others);
            }
            let name = String::from_utf8_lossy(copy.header.name());
            for moment in &moments {
                *summary.kinds.entry(moment.kind).or_default() += 1;
                let thread = summary.threads.entry(moment.tid);
                let (_, events) = thread.or_insert_with(|| (name.clone().into_owned(), 0));
                if moment.kind.is_moment() {
                    summary.present += 1;
                    *events += 1;
                }
                if moment.kind.is_birth() {
                    requested = requested.saturating_add(moment.size);
                    failed += u64::from(moment.address == 0 && moment.size != 0);
                }
            }
            if let Some(newest) = moments.last()
                && last.is_none_or(|last| last.ticks <= newest.ticks)
            {
                last = Some(*newest);
            }
        }
        summary.ending = summary.find_ending(trace, last);
        summary.describe(trace, requested, failed, last);
        summary
    }

    fn find_ending(&self, trace: &Trace, last: Option<Moment>) -> Ending {
        let exec = last.is_some_and(|last| {
            last.kind == Kind::Exec && last.address == u64::from(trace.header().pid)
        });
        match () {
            () if trace.ended() => Ending::Clean,
            () if exec => Ending::Exec,
            () if is_running(trace) => Ending::Running,
            () => Ending::Abrupt,
        }
    }

    fn describe(&mut self, trace: &Trace, requested: u64, failed: u64, last: Option<Moment>) {
        let header = trace.header();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let start = trace.clock().unix_ns(header.ticks);
        let end = last.map_or(start, |last| trace.clock().unix_ns(last.ticks));
        let origin = if header.flags & FLAG_RESTART != 0 { "forked from" } else { "child of" };
        let mode = match Mode::from_raw(header.mode) {
            Some(Mode::Ring) => format!("ring of {} blocks", header.ring_blocks),
            Some(Mode::Full) if header.max_blocks != 0 => {
                format!("full, at most {} blocks", header.max_blocks)
            }
            Some(Mode::Full) => "full".to_owned(),
            None => format!("unknown ({})", header.mode),
        };
        let clock = match Clock::from_raw(header.clock) {
            Some(Clock::Tsc) => "tsc".to_owned(),
            Some(Clock::Monotonic) => "monotonic".to_owned(),
            None => format!("unknown ({})", header.clock),
        };
        let lost: u64 = self.lost.iter().map(|&(_, count)| count).fold(0, u64::saturating_add);
        let mut lines = vec![
            ("file", trace.path().display().to_string()),
            ("version", header.version.to_string()),
            ("executable", text(header.executable())),
        ];
        let arguments: Vec<_> = header.arguments().map(text).collect();
        if !arguments.is_empty() {
            lines.push(("command line", arguments.join(" ")));
        }
        lines.extend([
            ("host", text(header.hostname())),
            ("process", format!("{}, {origin} {}", header.pid, header.parent_pid)),
            ("started", format!("{}.{:09}", start / 1_000_000_000, start % 1_000_000_000)),
            ("duration", format!("{:.9} s", end.saturating_sub(start) as f64 / 1e9)),
            ("ended", self.ending.describe().to_owned()),
            ("mode", mode),
            ("clock", clock),
            ("file size", trace.size().to_string()),
            ("blocks", format!("{} used, {} claimed", trace.blocks().len(), trace.claimed())),
            ("threads", self.threads.len().to_string()),
            ("requested bytes", requested.to_string()),
            ("failed", failed.to_string()),
            ("present", self.present.to_string()),
            ("overwritten", self.overwritten.to_string()),
            ("lost", lost.to_string()),
        ]);
        if let Some(cause) = trace.stopped() {
            lines.push(("recording stopped", cause.describe().to_owned()));
        }
        self.lines = lines;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, value) in &self.lines {
            writeln!(f, "{key}: {value}")?;
        }
        for (cause, count) in &self.lost {
            writeln!(f, "lost, {}: {count}", cause.describe())?;
        }
        for (&kind, count) in &self.kinds {
            let half = if matches!(kind, Kind::ReallocDeath | Kind::ReallocarrayDeath) {
                " (first moment)"
            } else {
                ""
            };
            writeln!(f, "events, {}{half}: {count}", kind.name())?;
        }
        for (tid, (name, events)) in &self.threads {
            writeln!(f, "thread {tid} {name}: {events}")?;
        }
        Ok(())
    }
}
