//! Reads the traces of running processes, and those that come.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use mallook_reader::{Follow, FollowStatus, Liveness, News, Trace};

use super::data::Now;
use super::model::Model;
use super::names::Names;
use crate::messages::Messages;
use crate::stacks::Naming;
use crate::{input, target, unpack};

/// Time between two readings of files that do not change.
pub const INTERVAL: Duration = Follow::INTERVAL;
/// Time between two looks at the directory for children.
const SCAN: Duration = Duration::from_millis(250);
/// Readings that have to find nothing new: the first one holds back what others may come before.
const QUIET: u32 = 3;
/// Whoever is no further behind than this has caught up.
const BEHIND_NS: u64 = 1_000_000_000;

/// The traces, and their figures.
pub struct Live {
    follow: Follow,
    pub model: Model,
    names: Names,
    families: Vec<Family>,
    /// When children were looked for.
    scanned: Option<Instant>,
    status: FollowStatus,
}

/// A process and its descendants, whose traces have one prefix.
struct Family {
    prefix: PathBuf,
    /// Traces from then on.
    since_ns: u64,
    members: HashSet<u32>,
    /// Process and parent of the traces that belong to nobody yet.
    others: HashMap<PathBuf, (u32, u32)>,
    known: HashSet<PathBuf>,
}

impl Family {
    /// That of the process which writes this trace.
    fn of(path: &Path) -> Result<Option<Family>> {
        let trace = Trace::open(path)?;
        let Some(prefix) = target::prefix_of(path) else { return Ok(None) };
        Ok(Some(Family {
            prefix,
            since_ns: trace.header().realtime_ns,
            members: HashSet::from([trace.pid()]),
            others: HashMap::new(),
            known: HashSet::from([path.to_owned()]),
        }))
    }

    /// The traces of members that have come.
    fn come(&mut self) -> Vec<PathBuf> {
        for path in Follow::with_this_prefix(&self.prefix) {
            // One that is not whole yet is tried again.
            if !self.known.contains(&path)
                && let Ok(trace) = Trace::open(&path)
            {
                let header = trace.header();
                if header.realtime_ns >= self.since_ns {
                    self.others.insert(path.clone(), (header.pid, header.parent_pid));
                }
                self.known.insert(path);
            }
        }
        let mut come = Vec::new();
        loop {
            let is_member = |(_, (pid, parent)): &(&PathBuf, &(u32, u32))| {
                self.members.contains(pid) || self.members.contains(parent)
            };
            let found = self.others.iter().find(is_member);
            let Some((path, pid)) = found.map(|(path, (pid, _))| (path.clone(), *pid)) else {
                return come;
            };
            self.others.remove(&path);
            self.members.insert(pid);
            come.push(path);
        }
    }
}

fn unix_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

impl Live {
    /// Follows files, prefixes, and processes by their IDs.
    pub fn open(sources: &[PathBuf], naming: &Naming, interval: Duration) -> Result<Live> {
        let (mut files, mut prefixes, mut families) = (Vec::new(), Vec::new(), Vec::new());
        for source in sources {
            if let Some(pid) = target::pid(source) {
                let path = target::trace_of(pid)?;
                families.extend(Family::of(&path)?);
                files.push((path, false));
                continue;
            }
            let found = if source.exists() { Vec::new() } else { Follow::with_this_prefix(source) };
            match found.is_empty() {
                true => {
                    unpack::refuse_to_follow(source)?;
                    files.push((source.clone(), false));
                }
                false => {
                    prefixes.push(source);
                    files.extend(found.into_iter().map(|path| (path, true)));
                }
            }
        }
        ensure!(!files.is_empty(), "no trace to look at");
        let mut follow = target::follow(&files)?.0.with_stacks();
        for prefix in prefixes {
            follow = follow.with_prefix(prefix);
        }
        let interval_ns = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        let mut live = Live {
            follow,
            model: Model::new(interval_ns),
            names: Names::new(naming.clone()),
            families,
            scanned: None,
            status: FollowStatus::More,
        };
        live.add_traces();
        Ok(live)
    }

    /// Traces that have come get their figures.
    fn add_traces(&mut self) {
        let starts = self.follow.traces().skip(self.model.starts.len());
        let starts: Vec<_> = starts.map(|trace| trace.header().realtime_ns).collect();
        starts.into_iter().for_each(|start_ns| self.model.add_trace(start_ns));
    }

    /// Reads on, without waiting.
    pub fn step(&mut self) -> FollowStatus {
        if self.scanned.is_none_or(|scanned| scanned.elapsed() >= SCAN) {
            self.scanned = Some(Instant::now());
            for path in self.families.iter_mut().flat_map(Family::come).collect::<Vec<_>>() {
                // The process may have removed it.
                let _ = self.follow.add(&path);
            }
        }
        self.add_traces();
        let model = &mut self.model;
        self.status = self.follow.step(|news| {
            match news {
                News::Event(event) => model.event(event),
                News::Mark(mark, event) => model.named(mark, event),
                News::Ended(trace) => model.end(trace),
                News::Joined(trace) => model.add_trace(trace.header().realtime_ns),
                // That a file is gone is counted as damage.
                News::Pause | News::Unknown(_) | News::Gone(_) => {}
            }
            true
        });
        self.status
    }

    /// Reads all that is there; `goes_on` is asked now and then. Events that come meanwhile need not be
    /// read.
    pub fn catch_up(&mut self, mut goes_on: impl FnMut() -> bool) {
        let (started_ns, mut quiet) = (unix_now(), 0);
        while goes_on() {
            match self.step() {
                FollowStatus::More if self.model.last_ns >= started_ns => break,
                FollowStatus::More => {}
                FollowStatus::Wait if quiet + 1 == QUIET => break,
                FollowStatus::Wait => {
                    quiet += 1;
                    thread::sleep(INTERVAL);
                }
                FollowStatus::Over | FollowStatus::Enough => break,
            }
        }
    }

    /// Says what could not be read.
    pub fn report(self, messages: Messages) -> ExitCode {
        let traces = self.follow.into_traces();
        input::report_damage(&traces, messages)
    }

    /// All processes have ended, and all was read.
    pub fn is_over(&self) -> bool {
        matches!(self.status, FollowStatus::Over | FollowStatus::Enough)
    }

    /// All that is there was read, but for what has come within a second.
    fn is_caught_up(&self, now_ns: u64) -> bool {
        self.status != FollowStatus::More || self.model.last_ns.saturating_add(BEHIND_NS) >= now_ns
    }

    /// The state of now, with the names that are known.
    pub fn now(&mut self) -> Now {
        let mut states = (0..self.model.starts.len()).map(|it| self.follow.liveness(it));
        let runs = states.any(|state| state == Liveness::Running);
        let (wall_ns, last_ns) = (unix_now(), self.model.last_ns);
        let caught_up = self.is_caught_up(wall_ns);
        let now_ns = if runs && caught_up { last_ns.max(wall_ns) } else { last_ns };
        self.model.pass(now_ns);
        self.names.go_on(&self.follow, &self.model.replay);
        Now { caught_up, ..Now::of(&self.model, &self.follow, &self.names, now_ns) }
    }

    /// The same with the names of all places, however long these take.
    pub fn now_with_names(&mut self) -> Now {
        self.names.find_all(&self.follow, &self.model.replay);
        self.now()
    }

    /// Names are still to be found.
    pub fn is_behind_with_names(&self) -> bool {
        self.names.is_behind(&self.model.replay)
    }
}
