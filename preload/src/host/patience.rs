//! Waiting for another thread of the process, for a bounded time in all.
//!
//! Yielding alone is no wait: a thread that opens a file on a slow disk, or finds no processor,
//! takes longer than any reasonable number of yields.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::confined::is_confined;
use super::{clock, task};

/// Nanoseconds for which the threads of a process wait in all.
const MOST: u64 = 2_000_000_000;
/// Nanoseconds of them that are spent yielding; the others are slept through.
const YIELDING: u64 = 1_000_000;
/// Nanoseconds that a turn counts where nobody may be asked for the time.
const TURN: u64 = 1_000;

/// The time that was spent waiting. All zero at the start.
#[repr(C)]
pub struct Patience {
    /// Nanoseconds in which at least one thread waited.
    spent: AtomicU64,
    /// Up to when the time is counted.
    counted: AtomicU64,
}

impl Patience {
    /// Lets other threads run for a moment; `false` once there is no patience left.
    pub fn wait(&self) -> bool {
        let spent = self.spent.load(Relaxed);
        if spent >= MOST {
            return false;
        }
        if is_confined() {
            task::yield_now();
            self.spent.fetch_add(TURN, Relaxed);
            return true;
        }
        let start = clock::nanoseconds(libc::CLOCK_MONOTONIC);
        if spent < YIELDING {
            task::yield_now()
        } else {
            task::nap()
        }
        let end = clock::nanoseconds(libc::CLOCK_MONOTONIC);
        // What another thread has waited at the same time counts once.
        let counted = self.counted.fetch_max(end, Relaxed);
        self.spent.fetch_add(end.saturating_sub(start.max(counted)), Relaxed);
        true
    }

    /// A wait has succeeded: only waiting in vain wears patience out.
    pub fn restore(&self) {
        self.spent.store(0, Relaxed);
    }
}
