//! The time-stamp counter, and what its ticks are worth.

use core::arch::x86_64::_rdtsc;
use std::time::Instant;

/// The time-stamp counter.
#[inline(always)]
pub fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has the instruction.
    unsafe { _rdtsc() }
}

/// The ticks that some work takes.
#[inline(always)]
pub fn ticks_of(work: impl FnOnce()) -> u64 {
    let start = ticks();
    work();
    ticks().wrapping_sub(start)
}

/// Measures the counter against `CLOCK_MONOTONIC` from its creation on.
#[derive(Debug)]
pub struct Calibration {
    ticks: u64,
    time: Instant,
}

impl Calibration {
    /// Starts.
    pub fn start() -> Calibration {
        Calibration { ticks: ticks(), time: Instant::now() }
    }

    /// Nanoseconds per tick, over all the time since the start.
    pub fn ns_per_tick(&self) -> f64 {
        let passed = self.time.elapsed().as_nanos() as f64;
        passed / ticks().wrapping_sub(self.ticks) as f64
    }
}
