//! One trace that is followed: its events, and whether its process still runs.

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use mallook_format::Kind;

use super::marks::Marks;
use super::own_clock;
use super::tail::Tail;
use crate::error::Error;
use crate::event::call::{Event, EventKind};
use crate::trace::Liveness;

/// Time between two questions whether the process still runs.
const ASK: Duration = Duration::from_millis(500);
/// Where that cannot be told, this long without anything new is the end.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a program that was executed has time to write a trace.
const SUCCESSOR: Duration = Duration::from_secs(2);
/// Events of a trace that wait to be emitted, at the most.
const MOST_READY: usize = 4096;

/// A trace that is followed.
pub struct File {
    pub tail: Tail,
    pub marks: Marks,
    position: usize,
    pub ready: VecDeque<Event>,
    /// There are more events than those that are ready.
    pub more: bool,
    /// There is more to be read.
    goes_on: bool,
    pub state: Liveness,
    /// The process, once it was found.
    process: Option<u32>,
    asked: Option<Instant>,
    changed: Instant,
    synced: Option<Instant>,
    /// All was read.
    pub ended: bool,
    /// That was told.
    pub told_end: bool,
    /// That the file is not there any more was told.
    pub told_gone: bool,
    /// The last event that was seen is an exec.
    is_exec: bool,
    /// The last event was an exec, so that another trace may follow until this time.
    pub successor: Option<Instant>,
}

impl File {
    pub fn open(path: &Path, position: usize) -> Result<File, Error> {
        Ok(File {
            tail: Tail::open(path, position)?,
            marks: Marks::default(),
            position,
            ready: VecDeque::new(),
            more: false,
            goes_on: true,
            state: Liveness::Running,
            process: None,
            asked: None,
            changed: Instant::now(),
            synced: None,
            ended: false,
            told_end: false,
            told_gone: false,
            is_exec: false,
            successor: None,
        })
    }

    /// Reads on, unless there are events that wait. A file that is not there any more is read as far as it was
    /// seen, and ends.
    pub fn read(&mut self) {
        if self.ready.is_empty() && self.more {
            self.make_ready();
        }
        if self.ended || self.more || !self.ready.is_empty() {
            self.put_last_marks();
            return;
        }
        self.ask();
        let running = match self.state {
            Liveness::Running => true,
            Liveness::Gone => false,
            Liveness::Unknown => self.changed.elapsed() < PATIENCE,
        };
        let running = running && !self.tail.is_gone;
        self.sync();
        let read = self.tail.read(running);
        self.goes_on = read.goes_on;
        if read.any || read.goes_on {
            self.changed = Instant::now();
        }
        self.marks.look(&self.tail.trace);
        self.make_ready();
        self.ended = !running && !read.goes_on;
        if self.ended && self.tail.is_gone && self.state == Liveness::Running {
            // Nobody asks again.
            self.state = Liveness::Unknown;
        }
        self.put_last_marks();
    }

    /// Makes the marks ready that come behind all events that are there.
    fn put_last_marks(&mut self) {
        let has_ended = self.ended && !self.more;
        if has_ended || self.ready.is_empty() && !self.has_more() {
            let (marks, trace, position) = (&mut self.marks, &self.tail.trace, self.position);
            self.ready.extend(std::iter::from_fn(|| marks.alone(trace, position, has_ended)));
        }
    }

    /// Makes events ready, of those that were read.
    pub fn make_ready(&mut self) {
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
            self.ready.extend(std::iter::from_fn(|| self.marks.before(&event)));
            self.ready.push_back(event);
        }
        if !self.more && (had_more || !self.ready.is_empty()) {
            self.successor = self.is_exec.then(|| Instant::now() + SUCCESSOR);
        }
    }

    /// There are events that are not ready yet.
    pub fn has_more(&self) -> bool {
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
