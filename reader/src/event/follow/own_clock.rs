//! The clocks of this machine, which are those of a process that runs on it.

use mallook_format::Clock;

use crate::trace::{ClockSync, Trace};

/// The counter and `CLOCK_MONOTONIC` at one moment, if they are the clocks of the trace: the process
/// runs here, in our time namespace.
pub fn sync(trace: &Trace) -> Option<ClockSync> {
    let clock = Clock::from_raw(trace.header().clock);
    if !matches!(clock, Some(Clock::Tsc | Clock::Coarse)) || !trace.shares_our_time() {
        return None;
    }
    let before = counter()?;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is written; the clock exists everywhere.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    let after = counter()?;
    let ns = (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64);
    let ticks = before.saturating_add(after.saturating_sub(before) / 2);
    // A reader that was held up in between says nothing.
    (after.saturating_sub(before) < 1 << 16).then_some(ClockSync { ticks, ns })
}

#[cfg(target_arch = "x86_64")]
fn counter() -> Option<u64> {
    // SAFETY: a process on this machine reads the same counter.
    Some(unsafe { core::arch::x86_64::_rdtsc() })
}

#[cfg(not(target_arch = "x86_64"))]
fn counter() -> Option<u64> {
    None
}
