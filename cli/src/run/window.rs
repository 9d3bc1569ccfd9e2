//! The part of a run that is recorded: `--after`, `--for`, `--until-peak`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mallook_analysis::{Replay, Totals};
use mallook_reader::{Event, EventKind, Follow, FollowStatus, Kind, News, Shown};

use super::options::Options;
use crate::control::file;
use crate::control::words;
use crate::messages::Messages;

/// Time between two looks for traces that processes have begun.
const INTERVAL: Duration = Duration::from_millis(20);

/// The part of a run that is recorded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    after: Option<Duration>,
    length: Option<Duration>,
    until_peak: Option<u64>,
    is_quiet: bool,
}

/// The program runs. When it has ended, nothing more is controlled, and the file that tells programs which
/// start is gone, or says what it said.
pub struct Watch {
    prefix: PathBuf,
    /// The earlier content of that file, for the processes of other runs.
    said: Option<bool>,
    /// The program has ended.
    ended: Arc<Mutex<bool>>,
}

impl Window {
    /// The window that the options ask for; `None`: the whole run.
    pub fn of(options: &Options) -> Option<Window> {
        let window = Window {
            after: options.after,
            length: options.length,
            until_peak: options.until_peak,
            is_quiet: options.quiet,
        };
        let is_asked = window.after.is_some() || window.length.is_some();
        (is_asked || window.until_peak.is_some()).then_some(window)
    }

    /// The program starts paused.
    pub fn starts_paused(&self) -> bool {
        self.after.is_some()
    }

    /// Watches over a program that was just started, but not over the `others` that have traces with its
    /// prefix. Signals must be blocked.
    pub fn watch(self, prefix: &Path, others: Vec<PathBuf>) -> Watch {
        let ended = Arc::new(Mutex::new(false));
        let said = file::said(prefix).ok().flatten();
        let (prefix, others) = (prefix.to_owned(), Arc::new(others.into_iter().collect()));
        let messages = if self.is_quiet { Messages::silent() } else { Messages::of("mallook") };
        let family = Family { prefix: prefix.clone(), others, ended: Arc::clone(&ended), messages };
        // Without threads all of the run is recorded, and nothing else is wrong.
        let _ = thread::Builder::new().spawn(move || {
            if let Some(after) = self.after {
                thread::sleep(after);
                family.set(false);
            }
            if let Some(peak) = self.until_peak {
                let of_peak = family.clone();
                let _ = thread::Builder::new().spawn(move || of_peak.pause_at(peak));
            }
            if let Some(length) = self.length {
                thread::sleep(length);
                family.set(true);
            }
        });
        Watch { prefix, said, ended }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        let _ = match self.said {
            Some(pause) => file::write(&self.prefix, pause),
            None => file::remove(&self.prefix),
        };
    }
}

/// The processes of the program.
#[derive(Clone)]
struct Family {
    prefix: PathBuf,
    /// Traces with this prefix that are not theirs.
    others: Arc<BTreeSet<PathBuf>>,
    ended: Arc<Mutex<bool>>,
    messages: Messages,
}

impl Family {
    /// Their traces so far.
    fn traces(&self) -> impl Iterator<Item = PathBuf> {
        let all = Follow::with_this_prefix(&self.prefix).into_iter();
        all.filter(|path| !self.others.contains(path))
    }

    fn has_ended(&self) -> bool {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pauses all of them, and those to come, or lets them go on.
    fn set(&self, pause: bool) {
        let mut done = BTreeSet::new();
        for last in [false, true] {
            let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            if *ended {
                return;
            }
            let _ = file::write(&self.prefix, pause);
            // One that has ended, or was removed, says nothing any more.
            words::set_pause(self.traces(), pause, &mut done, |_| ());
            drop(ended);
            if !last {
                thread::sleep(INTERVAL);
            }
        }
    }

    /// Pauses them when `peak` bytes are alive.
    fn pause_at(&self, peak: u64) {
        let Ok(mut follow) = Follow::new::<&Path>([]) else { return };
        let (mut live, mut scanned) = (Live::new(), None::<Instant>);
        while !self.has_ended() {
            if scanned.is_none_or(|scanned| scanned.elapsed() >= Follow::INTERVAL) {
                scanned = Some(Instant::now());
                // One that is not whole yet is tried again.
                self.traces().for_each(|path| _ = follow.add(&path));
                live.add_traces(follow.traces().count());
            }
            let status = follow.step(|news| {
                match news {
                    News::Event(event) | News::Mark(_, event) => live.event(event),
                    News::Joined(_) => live.add_trace(),
                    News::Ended(trace) => live.end(trace as u32),
                    News::Gone(trace) => self.messages.say(format_args!(
                        "{}: removed or replaced: --until-peak counts the memory of process {} no longer",
                        Shown(trace.path()),
                        trace.pid()
                    )),
                    News::Pause | News::Unknown(_) => {}
                }
                live.totals.peak().most.bytes < peak
            });
            match status {
                FollowStatus::Enough => return self.set(true),
                FollowStatus::More => {}
                // Processes that start later may reach it.
                FollowStatus::Wait | FollowStatus::Over => thread::sleep(Follow::INTERVAL),
            }
        }
    }
}

/// The memory that lives, in all processes.
struct Live {
    replay: Replay,
    totals: Totals,
    traces: usize,
    /// The traces whose processes have no memory any more.
    ended: BTreeSet<u32>,
}

impl Live {
    fn new() -> Live {
        Live {
            replay: Replay::new(0),
            totals: Totals::new(0, 0),
            traces: 0,
            ended: BTreeSet::new(),
        }
    }

    /// There are `count` traces now.
    fn add_traces(&mut self, count: usize) {
        while self.traces < count {
            self.add_trace();
        }
    }

    fn add_trace(&mut self) {
        self.totals.add_trace(self.traces);
        self.replay.add_trace();
        self.traces += 1;
    }

    /// A process that says that it ends has no memory from there on: whether it still runs is asked for only
    /// twice a second, and those that follow it would be added to it.
    fn event(&mut self, event: &Event) {
        if self.ended.contains(&event.trace) {
            return;
        }
        self.replay.event(event, &mut self.totals);
        let ends = match event.kind {
            EventKind::Marker(Kind::End, _) => true,
            // A child in its memory has another number, and a process that may not ask for it has none.
            EventKind::Marker(Kind::Exit, pid) => pid == event.pid || pid == 0,
            _ => false,
        };
        if ends {
            self.end(event.trace);
        }
    }

    fn end(&mut self, trace: u32) {
        self.ended.insert(trace);
        self.replay.end(trace, &mut self.totals);
    }
}
