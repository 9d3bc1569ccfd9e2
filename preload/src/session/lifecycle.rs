//! The session of a process: one open trace, from the first event to the end.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use mallook_format::{Clock, Control, LiveWords, Loss, raw_enum};

use crate::file::blocks::TraceFile;
use crate::file::inherited;
use crate::host::confined::is_confined;
use crate::host::patience::Patience;
use crate::host::signals::SignalsBlocked;
use crate::host::{stderr, task};

use super::pause::Pause;

/// Events to lose before the next try after a failure, and the most after several in a row.
const FIRST_BACK_OFF: u32 = 256;
const LAST_BACK_OFF: u32 = 1 << 16;

/// A number that differs between most threads: where their stacks lie.
fn stack_number() -> u32 {
    let here = 0u8;
    (&raw const here as usize >> 16) as u32
}

raw_enum! {
    /// The progress of a session.
    pub enum Stage: u32 {
        /// Nothing was recorded in this process yet.
        Unopened = 0,
        /// A thread creates the file.
        Opening = 1,
        /// Events are recorded.
        Recording = 2,
        /// Recording could not start, or has reached its bound.
        Stopped = 3,
    }
}

/// The session, in memory that is wiped on fork: all zero means that nothing was recorded yet.
/// Fields are written in the stage `Opening`, by the thread that has entered it, and published when
/// it leaves it; afterwards only the counters and the file's own state change.
#[repr(C)]
pub struct Session {
    /// Raw [`Stage`].
    stage: AtomicU32,
    /// The cause for which the stage is `Stopped`: raw [`Loss`] + 1.
    stopped_by: AtomicU32,
    /// The process that this memory belongs to, 0 while that is not known.
    pid: AtomicU32,
    /// The parent of that process.
    parent: AtomicU32,
    /// Raw [`Clock`].
    clock: AtomicU32,
    /// Events to lose before the next try.
    back_off: AtomicU32,
    /// 1: this process has forked. In a child that is not 0 where the memory was not wiped.
    pub has_forked: AtomicU32,
    /// The number of events that were lost after the last failure; 0 after a success.
    last_back_off: AtomicU32,
    /// The cause for which they are lost: raw [`Loss`].
    back_off_cause: AtomicU32,
    /// 1: a program was started without the recorder, before there was a header to say so.
    unloaded_early: AtomicU32,
    /// Of threads with one that opens the trace.
    patience: Patience,
    /// Events lost before there was a header to count them in, by cause.
    lost_early: [AtomicU64; Loss::ALL.len()],
    /// Whether it pauses.
    pub pause: Pause,
    /// The file. Last, for the order of its own fields.
    pub file: TraceFile,
}

impl Session {
    /// The stage. The fields that an opening thread wrote are visible when it is `Recording`.
    pub fn stage(&self) -> Stage {
        // Acquire: pairs with the Release in `set_stage`.
        Stage::from_raw(self.stage.load(Ordering::Acquire)).unwrap_or(Stage::Stopped)
    }

    /// The stage, after waiting for a bounded time for a thread that opens the trace.
    pub fn settled_stage(&self) -> Stage {
        loop {
            match self.stage() {
                Stage::Opening if self.patience.wait() => {}
                stage => return stage,
            }
        }
    }

    /// Moves from one stage to another; `false` if the session is not in the first one.
    pub fn advance(&self, from: Stage, to: Stage) -> bool {
        // Acquire: pairs with the Release in `set_stage`. Nothing is published by entering a
        // transient stage.
        let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
        self.stage.compare_exchange(from as u32, to as u32, acquire, relaxed).is_ok()
    }

    /// Leaves a transient stage.
    pub fn set_stage(&self, stage: Stage) {
        // Release: pairs with the Acquire in `stage`, publishes the fields.
        self.stage.store(stage as u32, Ordering::Release);
    }

    /// Stops recording for good, and says so.
    pub fn stop(&self, cause: Loss) {
        let said = [&b"recording stops: "[..], cause.describe().as_bytes()];
        self.stop_saying(cause, &said);
    }

    /// Stops recording for good, and says these words.
    pub fn stop_saying(&self, cause: Loss, words: &[&[u8]]) {
        self.stopped_by.store(cause as u32 + 1, Ordering::Relaxed);
        self.set_stage(Stage::Stopped);
        if let Some(live) = self.file.live() {
            live.control.fetch_or(Control::stopped_bits(cause), Ordering::Relaxed);
        }
        stderr::STOPPED.say(words.iter().copied());
    }

    /// Says that events are lost for a while, or more.
    pub fn say_pause(&self, cause: Loss) {
        if !is_confined() {
            let words = [&b"events are lost for now: "[..], cause.describe().as_bytes()];
            stderr::STOPPED.say(words);
        }
    }

    /// The cause for which recording has stopped.
    pub fn stopped_by(&self) -> Loss {
        let raw = self.stopped_by.load(Ordering::Relaxed);
        u8::try_from(raw.wrapping_sub(1)).ok().and_then(Loss::from_raw).unwrap_or(Loss::Waiting)
    }

    /// Counts an event that could not be recorded.
    pub fn lose(&self, cause: Loss) {
        match self.file.live() {
            Some(live) => live.lose(cause, stack_number(), 1),
            None => drop(self.lost_early[cause as usize].fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Replaces bits of the control word in the header: these are cleared, and those set.
    pub fn note(&self, cleared: u64, set: u64) {
        if let Some(live) = self.file.live() {
            live.control.fetch_and(!cleared, Ordering::Relaxed);
            live.control.fetch_or(set, Ordering::Relaxed);
        }
    }

    /// Notes that a program is started without the recorder. In a forked child that has no trace,
    /// its parent's says so, or an ancestor's.
    pub fn note_unloaded(&self) {
        // A handler would wait for this thread.
        let _signals = (!is_confined()).then(SignalsBlocked::new);
        let note = |live: &LiveWords| live.control.fetch_or(Control::UNLOADED, Ordering::Relaxed);
        if self.settled_stage() == Stage::Unopened && self.advance(Stage::Unopened, Stage::Opening)
        {
            // Nobody lets go of the ancestor's header meanwhile.
            match inherited::header() {
                Some(live) => drop(note(live)),
                None => self.unloaded_early.store(1, Ordering::Relaxed),
            }
            self.set_stage(Stage::Unopened);
        } else if let Some(live) = self.file.live() {
            note(live);
        }
    }

    /// Notes that there was no room for an event: the next try comes after some more, twice as
    /// many after each failure in a row.
    pub fn fail(&self, cause: Loss) {
        let events = match cause {
            Loss::Waiting => 0,
            Loss::Busy => FIRST_BACK_OFF,
            _ => {
                let last = self.last_back_off.load(Ordering::Relaxed);
                let next = last.saturating_mul(2).clamp(FIRST_BACK_OFF, LAST_BACK_OFF);
                self.last_back_off.store(next, Ordering::Relaxed);
                next
            }
        };
        self.back_off_cause.store(cause as u32, Ordering::Relaxed);
        self.back_off.store(events, Ordering::Relaxed);
    }

    /// Notes that there was room.
    pub fn succeed(&self) {
        if self.last_back_off.load(Ordering::Relaxed) != 0 {
            self.last_back_off.store(0, Ordering::Relaxed);
        }
    }

    /// The cause for which this event is to be lost without a try.
    pub fn back_off(&self) -> Option<Loss> {
        let left = self.back_off.load(Ordering::Relaxed);
        if left == 0 {
            return None;
        }
        // A race loses one event more or less before the next try: harmless.
        self.back_off.store(left - 1, Ordering::Relaxed);
        let cause = self.back_off_cause.load(Ordering::Relaxed);
        Some(u8::try_from(cause).ok().and_then(Loss::from_raw).unwrap_or(Loss::Waiting))
    }

    /// Sets the clock of the trace. By the thread that opens the session.
    pub fn set_clock(&self, clock: Clock) {
        self.clock.store(clock as u32, Ordering::Relaxed);
    }

    /// The clock of the trace.
    pub fn clock(&self) -> Clock {
        Clock::from_raw(self.clock.load(Ordering::Relaxed)).unwrap_or(Clock::Monotonic)
    }

    /// Notes which process this memory belongs to, unless that was done: at the start of a process,
    /// before it can have a child that shares its memory, and at the latest before anything else is
    /// written here. `wipe_on_fork` makes the kernel zero the memory in forked children.
    pub fn identify(&self, wipe_on_fork: impl FnOnce()) {
        if self.pid() == 0 {
            wipe_on_fork();
            self.belongs_to(task::pid(), task::parent_pid());
        }
    }

    /// Notes the process that this memory belongs to, and its parent.
    pub fn belongs_to(&self, pid: u32, parent: u32) {
        self.parent.store(parent, Ordering::Relaxed);
        self.pid.store(pid, Ordering::Relaxed);
    }

    /// The process that this memory belongs to, 0 while that is not known.
    pub fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    /// The parent of that process.
    pub fn parent(&self) -> u32 {
        self.parent.load(Ordering::Relaxed)
    }

    /// Says in the header what came before there was one: events that were lost, and programs that
    /// are not recorded.
    pub fn say_what_came_early(&self) {
        let Some(live) = self.file.live() else { return };
        if self.unloaded_early.swap(0, Ordering::Relaxed) != 0 {
            live.control.fetch_or(Control::UNLOADED, Ordering::Relaxed);
        }
        for (cause, lost) in Loss::ALL.into_iter().zip(&self.lost_early) {
            let lost = lost.swap(0, Ordering::Relaxed);
            if lost != 0 {
                live.lose(cause, 0, lost);
            }
        }
    }
}
