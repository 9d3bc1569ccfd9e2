//! The session of a process: one open trace, from the first event to the end.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use mallook_format::{Clock, Control, Loss, raw_enum};

use crate::file::blocks::TraceFile;
use crate::host::{stderr, task};

/// The number of times that the threads of a process yield, in all, to one that opens or closes the
/// trace.
const PATIENCE: u32 = 10_000;

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
        /// A thread gives unused space back.
        Closing = 3,
        /// Space was given back; events are still recorded.
        Closed = 4,
        /// Recording could not start, or go on.
        Stopped = 5,
    }
}

/// The session, in memory that is wiped on fork: all zero means that nothing was recorded yet.
/// Fields are written in the stage `Opening`, by the thread that has entered it, and published when
/// it leaves it; afterwards only the descriptor, the counters and the windows change.
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
    /// The number of times that a thread has yielded to another one.
    waited: AtomicU32,
    /// Events to lose before a full ring is searched again.
    back_off: AtomicU32,
    /// Events lost before there was a header to count them in.
    lost_early: AtomicU64,
    /// 1: this process has forked. In a child that is not 0 where the memory was not wiped.
    pub has_forked: AtomicU32,
    /// The file. Last, for the order of its own fields.
    pub file: TraceFile,
}

impl Session {
    /// The stage. The fields that an opening thread wrote are visible when it is `Recording`.
    pub fn stage(&self) -> Stage {
        // Acquire: pairs with the Release in `set_stage`.
        Stage::from_raw(self.stage.load(Ordering::Acquire)).unwrap_or(Stage::Stopped)
    }

    /// The stage, after waiting for a bounded time for a thread that opens or closes the trace.
    pub fn settled_stage(&self) -> Stage {
        loop {
            match self.stage() {
                Stage::Opening | Stage::Closing
                    if self.waited.load(Ordering::Relaxed) < PATIENCE =>
                {
                    self.waited.fetch_add(1, Ordering::Relaxed);
                    task::yield_now();
                }
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

    /// The cause for which recording has stopped.
    pub fn stopped_by(&self) -> Loss {
        let raw = self.stopped_by.load(Ordering::Relaxed);
        u8::try_from(raw.wrapping_sub(1)).ok().and_then(Loss::from_raw).unwrap_or(Loss::Waiting)
    }

    /// Counts an event that could not be recorded.
    pub fn lose(&self, cause: Loss) {
        match self.file.live() {
            Some(live) => live.lose(cause, stack_number(), 1),
            None => drop(self.lost_early.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Loses this many events before the next search for a free block.
    pub fn set_back_off(&self, events: u32) {
        self.back_off.store(events, Ordering::Relaxed);
    }

    /// Whether to lose this event without a search.
    pub fn back_off(&self) -> bool {
        let left = self.back_off.load(Ordering::Relaxed);
        // A race loses one event more or less before the next search: harmless.
        self.back_off.store(left.saturating_sub(1), Ordering::Relaxed);
        left != 0
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

    /// The events that were lost before there was a header to count them in.
    pub fn lost_early(&self) -> u64 {
        self.lost_early.load(Ordering::Relaxed)
    }
}
