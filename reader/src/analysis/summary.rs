//! A trace in numbers.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use mallook_format::{Clock, FLAG_OTHER_MALLOC, FLAG_RESTART, Kind, Loss, Mode};

use super::check::Check;
use super::counts::{Counts, Newest};
use super::missing::{self, Missing};
use super::names::{clock_name, is_first_half};
use super::stacks::StackSummary;
use crate::escape::{Shown, escape};
use crate::trace::{ClockMap, Liveness, Range, Trace};

/// Traces of at most this number of call moments are replayed to count releases of memory never seen.
const MOST_REPLAYED: u64 = 1 << 20;

/// How a process ended, as far as its trace tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum Ending {
    /// It exited.
    Clean,
    /// It replaced itself by exec.
    Exec,
    /// It did not say that it ended: it was killed, or left by a bare system call, or the file is
    /// a copy that was made before.
    Abrupt,
    /// It is still there.
    Running,
    /// It did not say that it ended, and whether it is still there cannot be told.
    Unknown,
}

/// A thread in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ThreadSummary {
    /// The thread.
    pub tid: u32,
    /// Its name when it started to record.
    pub name: String,
    /// Call moments of the thread that are in the file.
    pub events: u64,
}

/// A trace in numbers. Its [`Display`](fmt::Display) prints one `key: value` a line.
///
/// Text that is not UTF-8 has replacement characters; [`Trace::header`] has the bytes.
///
/// ```
/// use mallook_reader::{Ending, Events, Kind, Summary, Trace};
///
/// # fn main() -> Result<(), mallook_reader::Error> {
/// let trace = Trace::open("../tests/golden/v1.trace".as_ref())?;
/// let summary = Summary::of(&trace);
/// assert_eq!((summary.ending, summary.kinds[&Kind::Malloc]), (Ending::Clean, 6));
/// assert!(summary.is_complete());
/// // The span that the file covers.
/// let times: Vec<u64> = Events::of(&trace).map(|event| event.time_ns).collect();
/// assert_eq!(summary.first_event_ns, times.first().copied());
/// assert_eq!(summary.last_event_ns, times.last().copied());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Summary {
    /// The file.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::serialize::path"))]
    pub file: PathBuf,
    /// Version of the format.
    pub version: u32,
    /// The program's executable.
    pub executable: String,
    /// The program's arguments, if they were recorded.
    pub arguments: Vec<String>,
    /// The host.
    pub hostname: String,
    /// The process.
    pub pid: u32,
    /// Its parent.
    pub parent_pid: u32,
    /// It was forked from its parent and has not called exec.
    pub forked: bool,
    /// The program, or a library before the recorder, defines `malloc`: what that did not pass on is
    /// not in the trace.
    pub other_malloc: bool,
    /// It, or a child without a trace, started a program with an environment that does not load the
    /// recorder.
    pub unloaded: bool,
    /// The range that it was cut to; `None` for a trace as it was recorded.
    pub cut: Option<Range>,
    /// Start of the recording, in Unix nanoseconds.
    pub start_ns: u64,
    /// The last event, or the start of the recording, in Unix nanoseconds.
    pub end_ns: u64,
    /// Time of the first event that is in the file, in Unix nanoseconds. In a ring it can be much
    /// later than the start.
    pub first_event_ns: Option<u64>,
    /// Time of the last event that is in the file, in Unix nanoseconds.
    pub last_event_ns: Option<u64>,
    /// How the process ended.
    pub ending: Ending,
    /// The code that it exited with, if that is known.
    pub exit_code: Option<u8>,
    /// The recording mode; `Err` has the raw value of an unknown one.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::serialize::mode"))]
    pub mode: Result<Mode, u32>,
    /// Number of blocks of a ring.
    pub ring_blocks: u64,
    /// The most blocks that a growing file may have, 0 if there is no limit.
    pub max_blocks: u64,
    /// The clock of the recording; `Err` has the raw value of an unknown one.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::serialize::clock"))]
    pub clock: Result<Clock, u32>,
    /// Size of the file in bytes.
    pub file_size: u64,
    /// Blocks of events in the file.
    pub blocks_used: u64,
    /// Blocks that were claimed.
    pub blocks_claimed: u64,
    /// How often the clock was set back meanwhile, as where a virtual machine is moved.
    pub clock_set_back: u64,
    /// Sum of the requested sizes, in bytes, without impossible ones.
    pub requested_bytes: u64,
    /// Requests of more bytes than a process can have (`PTRDIFF_MAX`).
    pub impossible_requests: u64,
    /// Releases of memory whose allocation is not in the trace: all of them, or the least number that there can be.
    pub unseen_releases: u64,
    /// [`Summary::unseen_releases`] are all of them: the trace is small enough to be replayed.
    pub unseen_releases_exact: bool,
    /// Allocations that returned `NULL`.
    pub failed: u64,
    /// Call moments that are in the file.
    pub present: u64,
    /// Call moments that newer ones have overwritten.
    pub overwritten: u64,
    /// Pauses of the recording: what happened in them is not in the trace.
    pub pauses: u64,
    /// The Unix time in nanoseconds since which recording pauses, if it does at the end.
    pub paused_since_ns: Option<u64>,
    /// Moments that somebody has named: Unix time in nanoseconds, and the text.
    pub marks: Vec<(u64, String)>,
    /// Call moments that could not be recorded, by cause; causes without any are left out.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::serialize::lost"))]
    pub lost: Vec<(Loss, u64)>,
    /// Why recording stopped before the process did, if it did.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::serialize::stopped"))]
    pub stopped: Option<Loss>,
    /// Call moments and markers that are in the file, by kind.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::serialize::kinds"))]
    pub kinds: BTreeMap<Kind, u64>,
    /// The threads, by number.
    pub threads: Vec<ThreadSummary>,
    /// Number of further threads, beyond 65 536.
    pub further_threads: u64,
    /// Call moments of further threads that are in the file.
    pub further_events: u64,
    /// The call stacks; `None` if none were taken.
    pub stacks: Option<StackSummary>,
}

impl Ending {
    /// The ending in a few words.
    pub const fn describe(self) -> &'static str {
        match self {
            Ending::Clean => "exited",
            Ending::Exec => "replaced itself by exec",
            Ending::Abrupt => "killed or cut off",
            Ending::Running => "still running",
            Ending::Unknown => "cannot be told",
        }
    }

    /// `exits`: it called a function that ends the process.
    fn of(trace: &Trace, last: Option<Newest>, exits: bool) -> Ending {
        // 0: the process was not allowed to ask for its PID.
        let is_own = |pid| [0, u64::from(trace.pid())].contains(&pid);
        let exec = trace.execed()
            || last.is_some_and(|last| last.kind == Kind::Exec && is_own(last.address));
        if trace.ended() {
            return Ending::Clean;
        }
        // An exec that fails is the last thing that a process has said, until it says more.
        match trace.liveness() {
            Liveness::Running => Ending::Running,
            _ if exits => Ending::Clean,
            _ if exec => Ending::Exec,
            Liveness::Gone => Ending::Abrupt,
            Liveness::Unknown => Ending::Unknown,
        }
    }
}

impl Summary {
    /// Reads the whole trace once.
    pub fn of(trace: &Trace) -> Summary {
        Summary::on_threads(trace, 1)
    }

    /// Reads the whole trace once, on at most `threads` threads.
    pub fn on_threads(trace: &Trace, threads: usize) -> Summary {
        Summary::with(trace, threads, MOST_REPLAYED)
    }

    /// The same without a replay of a small trace: releases of memory never seen are not exact.
    pub fn counted(trace: &Trace, threads: usize) -> Summary {
        Summary::with(trace, threads, 0)
    }

    fn with(trace: &Trace, threads: usize, most_replayed: u64) -> Summary {
        let counts = Counts::of(trace, threads);
        let header = trace.header();
        let unseen_releases_exact = counts.present <= most_replayed;
        let unseen_releases = match unseen_releases_exact {
            true => trace.again(|| Check::without_stacks(trace)).unknown_frees,
            false => counts.deaths.saturating_sub(counts.births),
        };
        let exit_code = counts.exit.map(|(_, code)| code).or(trace.exited());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let clock = ClockMap::with_syncs(trace, counts.clock_syncs);
        let start_ns = clock.unix_ns(header.ticks);
        let last_event_ns = counts.newest.map(|newest| clock.unix_ns(newest.ticks));
        Summary {
            file: trace.path().to_owned(),
            version: header.version,
            executable: text(header.executable()),
            arguments: header.arguments().map(text).collect(),
            hostname: text(header.hostname()),
            pid: header.pid,
            parent_pid: header.parent_pid,
            forked: header.flags & FLAG_RESTART != 0,
            other_malloc: header.flags & FLAG_OTHER_MALLOC != 0,
            unloaded: trace.unloaded(),
            cut: trace.cut(),
            start_ns,
            end_ns: last_event_ns.unwrap_or(start_ns),
            first_event_ns: counts.oldest.map(|ticks| clock.unix_ns(ticks)),
            last_event_ns,
            ending: Ending::of(trace, counts.newest, exit_code.is_some()),
            exit_code,
            mode: Mode::from_raw(header.mode).ok_or(header.mode),
            ring_blocks: header.ring_blocks,
            max_blocks: header.max_blocks,
            clock: Clock::from_raw(header.clock).ok_or(header.clock),
            file_size: trace.size(),
            blocks_used: counts.blocks,
            blocks_claimed: trace.claimed(),
            clock_set_back: counts.line.jumps(),
            requested_bytes: counts.requested,
            impossible_requests: counts.impossible,
            unseen_releases,
            unseen_releases_exact,
            failed: counts.failed,
            present: counts.present,
            overwritten: counts.overwritten,
            pauses: trace.pauses(),
            paused_since_ns: trace.paused_since(),
            marks: (trace.marks().iter())
                .map(|mark| (mark.time_ns, String::from_utf8_lossy(&mark.text).into_owned()))
                .collect(),
            lost: missing::lost(trace),
            stopped: trace.stopped(),
            kinds: counts.kinds,
            stacks: counts.stacks.summary(trace),
            further_threads: counts.threads.further(),
            further_events: counts.threads.others,
            threads: (counts.threads.named().into_iter())
                .map(|(tid, name, events)| ThreadSummary { tid, name, events })
                .collect(),
        }
    }

    /// Number of call moments that could not be recorded.
    pub fn all_lost(&self) -> u64 {
        self.lost.iter().map(|&(_, count)| count).fold(0, u64::saturating_add)
    }

    /// The missing call moments; `None` if there are none.
    pub fn missing(&self) -> Option<Missing> {
        let lost = self.lost.clone();
        Missing { all: self.present, overwritten: self.overwritten, lost }.completed()
    }

    /// Time from the start of the recording to the last event, in nanoseconds.
    pub fn duration_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }

    /// Every event of the process is in the file.
    pub fn is_complete(&self) -> bool {
        self.overwritten == 0 && self.all_lost() == 0 && self.pauses == 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "file: {}", Shown(&self.file))?;
        writeln!(f, "version: {}", self.version)?;
        writeln!(f, "executable: {}", escape(&self.executable))?;
        if !self.arguments.is_empty() {
            writeln!(f, "command line: {}", escape(&self.arguments.join(" ")))?;
        }
        writeln!(f, "host: {}", escape(&self.hostname))?;
        let origin = if self.forked { "forked from" } else { "child of" };
        writeln!(f, "process: {}, {origin} {}", self.pid, self.parent_pid)?;
        if self.other_malloc {
            writeln!(f, "malloc: another one; what it did not pass on is missing")?;
        }
        if self.unloaded {
            writeln!(
                f,
                "unrecorded: a program that it, or a child of it, started without LD_PRELOAD"
            )?;
        }
        let (seconds, nanoseconds) = (self.start_ns / 1_000_000_000, self.start_ns % 1_000_000_000);
        writeln!(f, "started: {seconds}.{nanoseconds:09}")?;
        if let Some(range) = self.cut {
            let end = |ns: Option<u64>, none: &str| match ns {
                Some(ns) => {
                    format!("{:.9} s", ns.saturating_sub(self.start_ns) as f64 / 1e9)
                }
                None => none.to_owned(),
            };
            let (since, until) = (end(range.since_ns, "the start"), end(range.until_ns, "the end"));
            writeln!(f, "cut: from {since} to {until}, and the memory that lives at its start")?;
        }
        let since = |ns: u64| ns.saturating_sub(self.start_ns) as f64 / 1e9;
        if self.pauses != 0 {
            write!(f, "pauses: {}", self.pauses)?;
            match self.paused_since_ns {
                Some(ns) => writeln!(f, ", the last one from {:.9} s on", since(ns))?,
                None => writeln!(f)?,
            }
        }
        for (ns, text) in &self.marks {
            writeln!(f, "mark at {:.9} s: {}", since(*ns), escape(text))?;
        }
        writeln!(f, "duration: {:.9} s", self.duration_ns() as f64 / 1e9)?;
        match self.exit_code.filter(|_| self.ending == Ending::Clean) {
            Some(code) => writeln!(f, "ended: exited with code {code}")?,
            None => writeln!(f, "ended: {}", self.ending.describe())?,
        }
        match self.mode {
            Ok(Mode::Ring) => writeln!(f, "mode: ring of {} blocks", self.ring_blocks)?,
            Ok(Mode::Full) if self.max_blocks != 0 => {
                writeln!(f, "mode: full, at most {} blocks", self.max_blocks)?;
            }
            Ok(Mode::Full) => writeln!(f, "mode: full")?,
            Err(raw) => writeln!(f, "mode: unknown ({raw})")?,
        }
        match self.clock {
            Ok(clock) => writeln!(f, "clock: {}", clock_name(clock))?,
            Err(raw) => writeln!(f, "clock: unknown ({raw})")?,
        }
        if self.clock_set_back != 0 {
            writeln!(f, "clock set back: {} times", self.clock_set_back)?;
        }
        writeln!(f, "file size: {}", self.file_size)?;
        writeln!(f, "blocks: {} used, {} claimed", self.blocks_used, self.blocks_claimed)?;
        writeln!(f, "threads: {}", self.threads.len() as u64 + self.further_threads)?;
        writeln!(f, "requested bytes: {}", self.requested_bytes)?;
        if self.impossible_requests != 0 {
            writeln!(f, "impossible requests: {}", self.impossible_requests)?;
        }
        writeln!(f, "failed: {}", self.failed)?;
        writeln!(f, "present: {}", self.present)?;
        writeln!(f, "overwritten: {}", self.overwritten)?;
        writeln!(f, "lost: {}", self.all_lost())?;
        if let Some(cause) = self.stopped {
            writeln!(f, "recording stopped: {}", cause.describe())?;
        }
        for (cause, count) in &self.lost {
            writeln!(f, "lost, {}: {count}", cause.describe())?;
        }
        let at_least = if self.unseen_releases_exact { "" } else { "at least " };
        writeln!(f, "releases of memory never seen: {at_least}{}", self.unseen_releases)?;
        if let Some(stacks) = &self.stacks {
            write!(f, "{stacks}")?;
        }
        for (&kind, count) in &self.kinds {
            let half = if is_first_half(kind) { " (first moment)" } else { "" };
            writeln!(f, "events, {}{half}: {count}", kind.name())?;
        }
        for ThreadSummary { tid, name, events } in &self.threads {
            writeln!(f, "thread {tid} {}: {events}", escape(name))?;
        }
        if self.further_threads != 0 || self.further_events != 0 {
            writeln!(f, "{} further threads: {}", self.further_threads, self.further_events)?;
        }
        Ok(())
    }
}
