//! What `--info` says of a trace.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::MetadataExt;

use mallook_format::{Clock, FLAG_RESTART, Kind, Loss, Mode};

use crate::tally::{Newest, Tally};
use crate::{ClockMap, Trace};

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

/// Whether the process that the trace names still has the file mapped: it has not ended, and not
/// replaced itself. Not known of processes that we may not look at, or in another PID namespace.
pub(crate) fn is_running(trace: &Trace) -> bool {
    let Ok(file) = trace.path().metadata() else { return false };
    let Ok(maps) = std::fs::read_to_string(format!("/proc/{}/maps", trace.header().pid)) else {
        return false;
    };
    let device = format!("{:02x}:{:02x}", libc::major(file.dev()), libc::minor(file.dev()));
    // proc(5): address, permissions, offset, device, inode, path. The path is no help: a file that
    // was named after it was opened has none there.
    maps.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(3);
        fields.next() == Some(&device)
            && fields.next().and_then(|inode| inode.parse().ok()) == Some(file.ino())
    })
}

fn find_ending(trace: &Trace, last: Option<Newest>) -> Ending {
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

impl Summary {
    /// Reads all of the trace once.
    pub fn of(trace: &Trace) -> Summary {
        Summary::on_threads(trace, 1)
    }

    /// The same on so many threads at the most.
    pub fn on_threads(trace: &Trace, threads: usize) -> Summary {
        let tally = Tally::of(trace, threads);
        let mut summary = Summary {
            lines: Vec::new(),
            present: tally.present,
            overwritten: tally.overwritten,
            lost: trace.lost().filter(|&(_, count)| count != 0).collect(),
            ending: find_ending(trace, tally.newest),
            kinds: tally.kinds.clone(),
            threads: tally.threads.clone(),
        };
        summary.describe(trace, tally);
        summary
    }

    /// Call moments that could not be recorded.
    pub fn all_lost(&self) -> u64 {
        self.lost.iter().map(|&(_, count)| count).fold(0, u64::saturating_add)
    }

    fn describe(&mut self, trace: &Trace, tally: Tally) {
        let header = trace.header();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let clock = ClockMap::of(trace, tally.ties);
        let start = clock.unix_ns(header.ticks);
        let end = tally.newest.map_or(start, |newest| clock.unix_ns(newest.ticks));
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
            Some(Clock::Coarse) => "coarse".to_owned(),
            None => format!("unknown ({})", header.clock),
        };
        let lost = self.all_lost();
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
            ("blocks", format!("{} used, {} claimed", tally.blocks, trace.claimed())),
            ("threads", self.threads.len().to_string()),
            ("requested bytes", tally.requested.to_string()),
            ("failed", tally.failed.to_string()),
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
