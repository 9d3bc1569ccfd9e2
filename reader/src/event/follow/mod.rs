//! Traces that are being written.
//!
//! The law of the modules:
//!
//! ```text
//! queue               moments that were read and not emitted
//! tail                what was added to one trace
//! own_clock names     the clocks of this machine; the names of traces that follow others
//! marks               the marks of one trace
//! file                one trace: its events, and whether its process still runs
//! ```

mod file;
mod marks;
mod names;
mod own_clock;
mod queue;
mod tail;

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mallook_format::Kind;

use self::file::File;
use super::call::{Event, EventKind};
use crate::error::Error;
use crate::stack::Trie;
use crate::trace::{Liveness, Mark, Trace};

/// Time between two readings of a file that does not change.
const INTERVAL: Duration = Duration::from_millis(50);

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
    let told = |news: News| match news {
        News::Event(event) | News::Mark(_, event) => emit(event),
        _ => true,
    };
    Follow::new([path])?.run(told);
    Ok(())
}

/// Follows several traces, and those that come.
///
/// Memory that lives in a process so far, looked at without waiting:
///
/// ```
/// use std::collections::HashMap;
/// use mallook_reader::{EventKind, Follow, FollowStatus, News};
///
/// # fn main() -> Result<(), mallook_reader::Error> {
/// let mut follow = Follow::new(["../tests/golden/v1.trace"])?;
/// let mut live = HashMap::new();
/// while let FollowStatus::More = follow.step(|news| {
///     if let News::Event(event) = news
///         && let EventKind::Call(call) = event.kind
///         && let Some(address) = call.address()
///     {
///         call.old_address().map(|old| live.remove(&old));
///         match call.size().filter(|_| call.kind.is_birth() && address != 0) {
///             Some(size) => live.insert(address, size),
///             None => live.remove(&address),
///         };
///     }
///     true
/// }) {}
/// assert_eq!(live.values().sum::<u64>(), 288);
/// # Ok(()) }
/// ```
pub struct Follow {
    files: Vec<File>,
    seen: HashSet<PathBuf>,
    prefixes: Vec<PathBuf>,
    /// Events are to have their call stacks.
    stacks: bool,
    /// When traces that have come were looked for.
    scanned: Option<Instant>,
    /// Events were told since the last pause.
    told_events: bool,
}

/// The status of [`Follow`] after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowStatus {
    /// There is more to be read.
    More,
    /// All that is there was told, up to 50 ms ago; more may come.
    Wait,
    /// All processes have ended, and all was told.
    Over,
    /// Whoever was told has had enough.
    Enough,
}

/// A piece of news from [`Follow`].
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// An event; those of several traces are in order of time, but for 50 ms.
    Event(&'a Event),
    /// A moment that somebody has named, and the event that stands for it.
    Mark(&'a Mark, &'a Event),
    /// Another trace is followed, too: of the program that a process has executed, or of the prefix.
    Joined(&'a Trace<'static>),
    /// All events of the trace at this position were told; its process has ended, or replaced itself, or its
    /// file is gone.
    Ended(usize),
    /// The file of this trace was removed or replaced: what its process has written since it was opened the
    /// last time cannot be read. The others are followed on.
    Gone(&'a Trace<'static>),
    /// No more events have come yet. It is told once, after some have.
    Pause,
    /// Whether the process of this trace still runs cannot be told: it is followed as long as it
    /// changes at least every ten seconds.
    Unknown(&'a Trace<'static>),
}

impl Follow {
    /// Time between two readings of files that do not change.
    pub const INTERVAL: Duration = INTERVAL;

    /// Follows these traces.
    ///
    /// # Errors
    /// A file cannot be read, or is no trace.
    pub fn new<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Follow, Error> {
        let mut follow = Follow {
            files: Vec::new(),
            seen: HashSet::new(),
            prefixes: Vec::new(),
            stacks: false,
            scanned: None,
            told_events: false,
        };
        for path in paths {
            follow.add(path.as_ref())?;
        }
        Ok(follow)
    }

    /// Follows one more trace, unless it is followed already. Its position is that after the others.
    ///
    /// # Errors
    /// The file cannot be read, or is no trace.
    pub fn add(&mut self, path: &Path) -> Result<(), Error> {
        if self.seen.contains(path) {
            return Ok(());
        }
        let mut file = File::open(path, self.files.len())?;
        file.tail.trie = self.trie_of(&file.tail.trace);
        self.seen.insert(path.to_owned());
        self.files.push(file);
        Ok(())
    }

    /// With the call stacks of events, where traces have any: [`Stacks::of_trie`] and
    /// [`Follow::trie`] say what they are.
    ///
    /// [`Stacks::of_trie`]: crate::Stacks::of_trie
    #[must_use]
    pub fn with_stacks(mut self) -> Follow {
        self.stacks = true;
        for position in 0..self.files.len() {
            let trie = self.trie_of(&self.files[position].tail.trace);
            self.files[position].tail.trie = trie;
        }
        self
    }

    fn trie_of(&self, trace: &Trace) -> Option<Arc<Trie>> {
        (self.stacks && trace.may_have_stacks()).then(Arc::default)
    }

    /// The call stacks of the trace at this position; `None` if it has none, or they are not wanted.
    pub fn trie(&self, position: usize) -> Option<&Arc<Trie>> {
        self.files.get(position)?.tail.trie.as_ref()
    }

    /// The name of a thread of the trace at this position, if an event of it was read.
    pub fn thread_name(&self, position: usize, tid: u32) -> Option<String> {
        self.files.get(position)?.tail.thread_name(tid)
    }

    /// Whether the process of the trace at this position still runs, as far as was asked lately.
    pub fn liveness(&self, position: usize) -> Liveness {
        self.files.get(position).map_or(Liveness::Gone, |file| file.state)
    }

    /// Blocks of all traces that were looked at, and those that were claimed so far.
    pub fn progress(&self) -> (u64, u64) {
        let each = self.files.iter().map(|file| file.tail.progress());
        each.fold((0, 0), |sum, of| (sum.0 + of.0, sum.1.saturating_add(of.1)))
    }

    /// Call moments of all traces that could not be recorded, so far.
    pub fn lost(&self) -> u64 {
        let losses = self.files.iter().flat_map(|file| file.tail.trace.live_now().lost);
        losses.fold(0, u64::saturating_add)
    }

    /// Pauses of the recording of all traces, so far.
    pub fn pauses(&self) -> u64 {
        let pauses = self.files.iter().map(|file| file.tail.trace.live_now().pauses);
        pauses.fold(0, u64::saturating_add)
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
    pub fn run(mut self, mut told: impl FnMut(News) -> bool) -> Vec<Trace<'static>> {
        loop {
            match self.step(&mut told) {
                FollowStatus::More => {}
                FollowStatus::Wait => std::thread::sleep(INTERVAL),
                FollowStatus::Over | FollowStatus::Enough => return self.into_traces(),
            }
        }
    }

    /// Reads on, a piece of each trace, tells what is new, and does not wait.
    pub fn step(&mut self, mut told: impl FnMut(News) -> bool) -> FollowStatus {
        for file in &mut self.files {
            let before = file.state;
            file.read();
            let (trace, is_gone) = (&file.tail.trace, file.tail.is_gone);
            let is_unknown = file.state == Liveness::Unknown && before != file.state && !is_gone;
            if is_unknown && !told(News::Unknown(trace)) {
                return FollowStatus::Enough;
            }
            if is_gone && !std::mem::replace(&mut file.told_gone, true) && !told(News::Gone(trace))
            {
                return FollowStatus::Enough;
            }
        }
        let Some(any) = self.emit(&mut told) else { return FollowStatus::Enough };
        self.told_events |= any;
        for (position, file) in self.files.iter_mut().enumerate() {
            let is_over = file.ended && !file.more && file.ready.is_empty();
            let is_new = is_over && !std::mem::replace(&mut file.told_end, is_over);
            if is_new && !told(News::Ended(position)) {
                return FollowStatus::Enough;
            }
        }
        if self.scanned.is_none_or(|scanned| scanned.elapsed() >= INTERVAL * 4) {
            self.scanned = Some(Instant::now());
            for place in self.join() {
                if !told(News::Joined(&self.files[place].tail.trace)) {
                    return FollowStatus::Enough;
                }
            }
        }
        let waits = |file: &File| {
            let is_open = !file.ended || file.more || !file.ready.is_empty();
            is_open || file.successor.is_some_and(|until| Instant::now() < until)
        };
        if !self.files.iter().any(waits) {
            return FollowStatus::Over;
        }
        if self.files.iter().any(|file| file.has_more() || !file.ready.is_empty()) {
            return FollowStatus::More;
        }
        if std::mem::take(&mut self.told_events) && !told(News::Pause) {
            return FollowStatus::Enough;
        }
        FollowStatus::Wait
    }

    /// The traces, as they are now; nothing is followed any more.
    pub fn into_traces(self) -> Vec<Trace<'static>> {
        self.files.into_iter().map(|file| file.tail.trace).collect()
    }

    /// Emits what is ready by time, up to where a file has more to be read; whether there
    /// was any, `None` if that is enough.
    fn emit(&mut self, told: &mut impl FnMut(News) -> bool) -> Option<bool> {
        let mut any = false;
        let last = |file: &File| file.ready.back().map_or(0, |last| last.time_ns);
        let limit = self.files.iter().filter(|file| file.has_more()).map(last).min();
        let limit = if self.files.len() == 1 { None } else { limit }.unwrap_or(u64::MAX);
        // Events of damaged traces have any time, the last of all too.
        let first = |file: &&mut File| file.ready.front().map(|first| first.time_ns);
        let has_ready = |file: &&mut File| !file.ready.is_empty();
        while let Some(file) = self.files.iter_mut().filter(has_ready).min_by_key(first) {
            let File { ready, marks, .. } = file;
            let Some(event) = ready.front().filter(|event| event.time_ns <= limit) else { break };
            let mark = match event.kind {
                EventKind::Marker(Kind::Mark, place) => marks.tell(place),
                _ => None,
            };
            let news = mark.map_or(News::Event(event), |mark| News::Mark(mark, event));
            if !told(news) {
                return None;
            }
            any = true;
            ready.pop_front();
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
            let _ = self.add(&path);
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
