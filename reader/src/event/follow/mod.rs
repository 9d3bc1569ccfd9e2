//! Traces that are being written.
//!
//! The law of the modules:
//!
//! ```text
//! queue               moments that were read and not emitted
//! tail                what was added to one trace
//! own_clock names     the clocks of this machine; the names of traces that follow others
//! ```

mod names;
mod own_clock;
mod queue;
mod tail;

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mallook_format::Kind;

use self::tail::Tail;
use super::call::{Event, EventKind};
use crate::error::Error;
use crate::trace::{Liveness, Trace};

/// Time between two readings of a file that does not change.
const INTERVAL: Duration = Duration::from_millis(50);
/// Time between two questions whether the process still runs.
const ASK: Duration = Duration::from_millis(500);
/// Where that cannot be told, this long without anything new is the end.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a program that was executed has time to write a trace.
const SUCCESSOR: Duration = Duration::from_secs(2);
/// Events of a trace that wait to be emitted, at the most.
const MOST_READY: usize = 4096;

/// Calls `emit` with every event of a file, and of the process that goes on writing it, until the
/// process has ended, or `emit` returns `false`. If the process replaces itself by exec, its next trace
/// follows.
///
/// ```
/// use mallook_reader::{EventKind, follow};
///
/// # fn main() -> Result<(), mallook_reader::Error> {
/// let mut failed = 0;
/// follow("../tests/golden/v1.trace".as_ref(), |event| {
///     if let EventKind::Call(call) = event.kind
///         && call.failed()
///     {
///         eprintln!("thread {}: {}({:?}) failed", event.tid, call.name(), call.size());
///         failed += 1;
///     }
///     failed < 10
/// })?;
/// assert_eq!(failed, 1);
/// # Ok(()) }
/// ```
///
/// Events of several threads are in order of time as long as no thread is held up for more than
/// 50 ms between reading the clock and writing its record. Calls that never ended are left out.
///
/// # Errors
/// The file cannot be read, or is no trace.
pub fn follow(path: &Path, mut emit: impl FnMut(&Event) -> bool) -> Result<(), Error> {
    let told = |news: News| if let News::Event(event) = news { emit(event) } else { true };
    Follow::new([path])?.run(told).map(drop)
}

/// Follows several traces, and those that come.
pub struct Follow {
    files: Vec<File>,
    seen: HashSet<PathBuf>,
    prefixes: Vec<PathBuf>,
}

/// What [`Follow`] tells.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// An event; those of several traces are in order of time, but for 50 ms.
    Event(&'a Event),
    /// Another trace is followed, too: of the program that a process has executed, or of the prefix.
    Joined(&'a Trace<'static>),
    /// No more events have come yet. It is told once, after some have.
    Pause,
    /// Whether the process of this trace still runs cannot be told: it is followed as long as it
    /// changes at least every ten seconds.
    Unknown(&'a Trace<'static>),
}

/// A trace that is followed.
struct File {
    tail: Tail,
    ready: VecDeque<Event>,
    /// There are more events than those that are ready.
    more: bool,
    /// There is more to be read.
    goes_on: bool,
    state: Liveness,
    /// The process, once it was found.
    process: Option<u32>,
    asked: Option<Instant>,
    changed: Instant,
    synced: Option<Instant>,
    /// All was read.
    ended: bool,
    /// The last event that was seen is an exec.
    is_exec: bool,
    /// The last event was an exec, so that another trace may follow until this time.
    successor: Option<Instant>,
}

impl File {
    fn open(path: &Path, position: usize) -> Result<File, Error> {
        Ok(File {
            tail: Tail::open(path, position)?,
            ready: VecDeque::new(),
            more: false,
            goes_on: true,
            state: Liveness::Running,
            process: None,
            asked: None,
            changed: Instant::now(),
            synced: None,
            ended: false,
            is_exec: false,
            successor: None,
        })
    }

    /// Reads on, unless there are events that wait.
    fn read(&mut self) -> Result<(), Error> {
        if self.ready.is_empty() && self.more {
            self.make_ready();
        }
        if self.ended || self.more || !self.ready.is_empty() {
            return Ok(());
        }
        self.ask();
        let running = match self.state {
            Liveness::Running => true,
            Liveness::Gone => false,
            Liveness::Unknown => self.changed.elapsed() < PATIENCE,
        };
        self.sync();
        let read = self.tail.read(running)?;
        self.goes_on = read.goes_on;
        if read.any || read.goes_on {
            self.changed = Instant::now();
        }
        self.make_ready();
        self.ended = !running && !read.goes_on;
        Ok(())
    }

    /// Makes events ready, of those that were read.
    fn make_ready(&mut self) {
        let had_more = self.more;
        let events = &mut self.tail.events;
        self.more = true;
        while self.ready.len() < MOST_READY {
            if !events.advance_finished() {
                self.more = false;
                break;
            }
            let event = *events.current();
            self.is_exec = event.kind == EventKind::Marker(Kind::Exec, event.pid);
            self.ready.push_back(event);
        }
        if !self.more && (had_more || !self.ready.is_empty()) {
            self.successor = self.is_exec.then(|| Instant::now() + SUCCESSOR);
        }
    }

    /// There are events that are not ready yet.
    fn has_more(&self) -> bool {
        self.more || self.goes_on
    }

    /// Asks whether the process still runs, before the file is read: then a file whose process has
    /// ended is complete.
    fn ask(&mut self) {
        let is_due = self.asked.is_none_or(|asked| asked.elapsed() >= ASK);
        if self.state != Liveness::Gone && (is_due || self.successor.is_some()) {
            self.state = self.tail.trace.liveness_of(&mut self.process);
            self.asked = Some(Instant::now());
        }
    }

    /// The clock of this machine is that of the process: its rate needs no events to be known.
    fn sync(&mut self) {
        let is_due = self.synced.is_none_or(|synced| synced.elapsed() >= Duration::from_secs(1));
        if self.state == Liveness::Running && !self.goes_on && is_due {
            self.synced = Some(Instant::now());
            if let Some(now) = own_clock::sync(&self.tail.trace) {
                self.tail.sync(now);
            }
        }
    }
}

impl Follow {
    /// Follows these traces.
    ///
    /// # Errors
    /// A file cannot be read, or is no trace.
    pub fn new<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Follow, Error> {
        let mut follow = Follow { files: Vec::new(), seen: HashSet::new(), prefixes: Vec::new() };
        for path in paths {
            follow.seen.insert(path.as_ref().to_owned());
            follow.files.push(File::open(path.as_ref(), follow.files.len())?);
        }
        Ok(follow)
    }

    /// Follows, too, what has this prefix, `PREFIX.PID.EPOCH.NUMBER`, or will.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &Path) -> Follow {
        self.prefixes.push(prefix.to_owned());
        self
    }

    /// The traces that have this prefix now.
    pub fn with_this_prefix(prefix: &Path) -> Vec<PathBuf> {
        names::with_prefix(prefix)
    }

    /// The traces that are followed.
    pub fn traces(&self) -> impl Iterator<Item = &Trace<'static>> {
        self.files.iter().map(|file| &file.tail.trace)
    }

    /// Tells what comes, until all processes have ended, or `told` returns `false`; returns the traces.
    ///
    /// # Errors
    /// A file cannot be read any more.
    pub fn run(mut self, mut told: impl FnMut(News) -> bool) -> Result<Vec<Trace<'static>>, Error> {
        let mut scanned: Option<Instant> = None;
        let mut told_events = false;
        loop {
            for file in &mut self.files {
                let before = file.state;
                file.read()?;
                let news = News::Unknown(&file.tail.trace);
                if file.state == Liveness::Unknown && before != file.state && !told(news) {
                    return Ok(self.into_traces());
                }
            }
            let Some(any) = self.emit(&mut told) else { return Ok(self.into_traces()) };
            told_events |= any;
            if scanned.is_none_or(|scanned| scanned.elapsed() >= INTERVAL * 4) {
                scanned = Some(Instant::now());
                for place in self.join() {
                    if !told(News::Joined(&self.files[place].tail.trace)) {
                        return Ok(self.into_traces());
                    }
                }
            }
            let waits = |file: &File| {
                let is_open = !file.ended || file.more || !file.ready.is_empty();
                is_open || file.successor.is_some_and(|until| Instant::now() < until)
            };
            if !self.files.iter().any(waits) {
                return Ok(self.into_traces());
            }
            if !self.files.iter().any(|file| file.has_more() || !file.ready.is_empty()) {
                if std::mem::take(&mut told_events) && !told(News::Pause) {
                    return Ok(self.into_traces());
                }
                std::thread::sleep(INTERVAL);
            }
        }
    }

    fn into_traces(self) -> Vec<Trace<'static>> {
        self.files.into_iter().map(|file| file.tail.trace).collect()
    }

    /// Emits what is ready by time, up to where a file has more to be read; whether there
    /// was any, `None` if that is enough.
    fn emit(&mut self, told: &mut impl FnMut(News) -> bool) -> Option<bool> {
        let mut any = false;
        let last = |file: &File| file.ready.back().map_or(0, |last| last.time_ns);
        let limit = self.files.iter().filter(|file| file.has_more()).map(last).min();
        let limit = if self.files.len() == 1 { None } else { limit }.unwrap_or(u64::MAX);
        let first = |file: &&mut File| file.ready.front().map_or(u64::MAX, |first| first.time_ns);
        while let Some(file) = self.files.iter_mut().min_by_key(first) {
            let Some(event) = file.ready.front().filter(|event| event.time_ns <= limit) else {
                break;
            };
            if !told(News::Event(event)) {
                return None;
            }
            any = true;
            file.ready.pop_front();
        }
        Some(any)
    }

    /// Opens the traces that have come; returns their places.
    fn join(&mut self) -> std::ops::Range<usize> {
        let known = self.files.len();
        let mut found = Vec::new();
        for file in &self.files {
            if file.successor.is_some() && file.ended {
                found.extend(names::successors(&file.tail.trace));
            }
        }
        for prefix in &self.prefixes {
            found.extend(names::with_prefix(prefix));
        }
        for path in found {
            // One that is not whole yet is tried again.
            if !self.seen.contains(&path)
                && let Ok(file) = File::open(&path, self.files.len())
            {
                self.seen.insert(path);
                self.files.push(file);
            }
        }
        if self.files.len() > known && self.prefixes.is_empty() {
            self.files[..known].iter_mut().for_each(|file| file.successor = None);
        }
        known..self.files.len()
    }
}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow").field("files", &self.files.len()).finish_non_exhaustive()
    }
}
