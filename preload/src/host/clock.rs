//! Time: the time-stamp counter where it can be trusted, `CLOCK_MONOTONIC` otherwise.

use core::arch::x86_64::{__cpuid, _rdtsc};
use core::ffi::c_int;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use mallook_format::Clock;

use super::task;

/// Address of the vDSO's `clock_gettime`, 0 until it is known. Libc's may be interposed, and an
/// interposed one may allocate.
static VDSO: AtomicUsize = AtomicUsize::new(0);

/// Sets the address of the vDSO's `clock_gettime`.
pub fn set_vdso(address: usize) {
    VDSO.store(address, Relaxed);
}

/// One moment on the trace's clock and on the system's.
#[derive(Clone, Copy, Debug)]
pub struct ClockSync {
    pub ticks: u64,
    pub monotonic_ns: u64,
}

/// The time-stamp counter.
#[inline(always)]
pub fn tsc() -> u64 {
    // SAFETY: every x86-64 processor has the instruction. If the process has forbidden it to
    // itself, `tsc_is_readable` says so, its trace uses the other clock, and its thread buffers
    // have no room for the hot path (`ThreadBuffer::hot_limit`).
    unsafe { _rdtsc() }
}

/// The ticks of this clock now.
#[inline]
pub fn now(clock: Clock) -> u64 {
    match clock {
        Clock::Tsc | Clock::Coarse => tsc(),
        Clock::Monotonic => nanoseconds(libc::CLOCK_MONOTONIC),
    }
}

/// A system clock in nanoseconds.
pub fn nanoseconds(clock: libc::clockid_t) -> u64 {
    type GetTime = unsafe extern "C" fn(libc::clockid_t, *mut libc::timespec) -> c_int;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let function = VDSO.load(Relaxed);
    if function == 0 {
        time = task::clock(clock);
    } else {
        // SAFETY: the address of the vDSO's function of this type.
        let get_time: GetTime = unsafe { core::mem::transmute(function) };
        // SAFETY: the structure is written; both clocks that we ask for exist everywhere.
        unsafe { get_time(clock, &raw mut time) };
    }
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// Reads both clocks, with an error of at most half the time that reading the system's takes.
pub fn sync(clock: Clock) -> ClockSync {
    let before = now(clock);
    let monotonic_ns = nanoseconds(libc::CLOCK_MONOTONIC);
    match clock {
        Clock::Monotonic => ClockSync { ticks: monotonic_ns, monotonic_ns },
        Clock::Tsc | Clock::Coarse => {
            let span = tsc().saturating_sub(before);
            ClockSync { ticks: before.saturating_add(span / 2), monotonic_ns }
        }
    }
}

/// Whether the counter runs at one rate on all processors and in all power states
/// (AMD APM vol. 3, E.4.7; Intel SDM vol. 3B, 18.17.1), and may be read.
pub fn tsc_is_invariant() -> bool {
    const POWER_MANAGEMENT: u32 = 0x8000_0007;
    __cpuid(0x8000_0000).eax >= POWER_MANAGEMENT
        && __cpuid(POWER_MANAGEMENT).edx & (1 << 8) != 0
        && task::tsc_is_readable()
}
