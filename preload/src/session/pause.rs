//! Whether the process records, or pauses.

use core::sync::atomic::{AtomicU32, Ordering};

use mallook_format::{LiveWords, raw_enum};

use crate::host::clock;
use crate::host::patience::Patience;

raw_enum! {
    /// The stance of the process. Events are skipped in the stages that say so; only the thread that has
    /// entered the stage between makes the change to another one.
    pub enum Stance: u32 {
        /// Events are recorded.
        Recording = 0,
        /// A thread writes the marker of a pause; events are recorded.
        Pausing = 1,
        /// Events are skipped.
        Paused = 2,
        /// A thread writes the marker of the end of a pause; events are recorded.
        Resuming = 3,
        /// The trace is opened for a process that starts paused: events are skipped, and only the
        /// thread that opens it goes on.
        Starting = 4,
    }
}

/// The stance of a process, in memory that is wiped on fork: all zero is `Recording`.
#[repr(C)]
pub struct Pause {
    /// Raw [`Stance`].
    stance: AtomicU32,
    /// Of threads that have asked for a pause, or for its end, with one that begins or ends one.
    pub patience: Patience,
}

impl Pause {
    /// The stance now. Who skips an event because of it does so behind the marker of the pause.
    #[inline]
    pub fn stance(&self) -> Stance {
        // Acquire: pairs with the Release in `set`, so that an event that is skipped comes after
        // the marker.
        Stance::from_raw(self.stance.load(Ordering::Acquire)).unwrap_or(Stance::Recording)
    }

    /// Moves from one stance to another; `false` if the first one is not that of the process.
    pub fn advance(&self, from: Stance, to: Stance) -> bool {
        // Acquire: pairs with the Release in `set`. Who skips has seen the stance before this.
        let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
        self.stance.compare_exchange(from as u32, to as u32, acquire, relaxed).is_ok()
    }

    /// Says in the header that a pause has begun or ended. By the thread that has written the marker.
    pub fn note(&self, live: &LiveWords, begins: bool) {
        let since = if begins { clock::nanoseconds(libc::CLOCK_MONOTONIC) } else { 0 };
        live.paused_ns.store(since, Ordering::Relaxed);
        live.pauses.fetch_add(begins.into(), Ordering::Relaxed);
    }

    /// Sets the stance. By the thread that has entered the one before it.
    pub fn set(&self, stance: Stance) {
        // Release: pairs with the Acquire in `stance`: the marker is there.
        self.stance.store(stance as u32, Ordering::Release);
    }
}
