//! Time: the time-stamp counter where it can be trusted, `CLOCK_MONOTONIC` otherwise.

use core::arch::x86_64::{__cpuid, _rdtsc};
use core::ffi::{CStr, c_int};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use mallook_format::Clock;

use super::{files, slow_path, task};

/// Address of the vDSO's `clock_gettime`, 0 until it is known. Libc's may be interposed, and an
/// interposed one may allocate.
static VDSO: AtomicUsize = AtomicUsize::new(0);

/// Sets the address of the vDSO's `clock_gettime`.
pub fn set_vdso(address: usize) {
    VDSO.store(address, Relaxed);
}

/// Bit of a thread's state: it may not read the time-stamp counter, nor does the vDSO, which does.
const NO_COUNTER: u64 = 1;
/// Bit of a thread's state: it cannot ask the kernel either, so its time stands still.
const STANDS_STILL: u64 = 2;

/// The counter was forbidden before the trace was opened, so the vDSO is not to be used. Not wiped
/// on fork, like all of these: a child inherits what its parent may not do.
static FORBIDDEN_BEFORE: AtomicBool = AtomicBool::new(false);
/// A thread has forbidden itself the counter: those that it starts may not read it either.
static FORBIDDEN_SINCE: AtomicBool = AtomicBool::new(false);

/// Nanoseconds and ticks of the first clock sync of the program, 0 before it.
static FIRST: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];
/// Nanoseconds and ticks when the counter was forbidden, and ticks in 2^20 nanoseconds.
static LAST: [AtomicU64; 3] = [AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)];
const RATE_BITS: u32 = 20;
/// The time that stands still, in nanoseconds.
static STILL: AtomicU64 = AtomicU64::new(0);

/// One moment on the trace's clock and on the system's.
#[derive(Clone, Copy, Debug)]
pub struct ClockSync {
    pub ticks: u64,
    pub monotonic_ns: u64,
}

/// The time-stamp counter.
#[inline(always)]
pub fn tsc() -> u64 {
    // SAFETY: every x86-64 processor has the instruction. A thread that has forbidden it to itself
    // has no room for the hot path (`ThreadBuffer::hot_limit`), and elsewhere this is asked for
    // with `is_counter_forbidden` only.
    unsafe { _rdtsc() }
}

/// The ticks of this clock now.
#[inline]
pub fn now(clock: Clock) -> u64 {
    match clock {
        Clock::Tsc | Clock::Coarse if !is_counter_forbidden() => tsc(),
        Clock::Tsc | Clock::Coarse => ticks_at(nanoseconds(libc::CLOCK_MONOTONIC)),
        Clock::Monotonic => nanoseconds(libc::CLOCK_MONOTONIC),
    }
}

/// Whether the calling thread has forbidden itself the counter.
pub fn is_counter_forbidden() -> bool {
    slow_path::flags() & NO_COUNTER != 0
}

/// The ticks of a moment, as of the clock syncs before the counter was forbidden.
fn ticks_at(monotonic_ns: u64) -> u64 {
    let [ns, ticks, rate] = LAST.each_ref().map(|word| word.load(Relaxed));
    let since = u128::from(monotonic_ns.saturating_sub(ns));
    ticks.wrapping_add(((since * u128::from(rate)) >> RATE_BITS) as u64)
}

/// Before the calling thread forbids itself the counter: from here on it asks the kernel for the
/// time, or, if it `stands_still`, nobody.
pub fn forbid_counter(stands_still: bool) {
    if !is_counter_forbidden() && task::tsc_is_readable() && LAST[2].load(Relaxed) == 0 {
        let now = sync(Clock::Tsc);
        let [first_ns, first_ticks] = FIRST.each_ref().map(|word| word.load(Relaxed));
        let ticks = now.ticks.saturating_sub(first_ticks);
        let rate = rate(ticks, now.monotonic_ns.saturating_sub(first_ns));
        for (word, value) in LAST.iter().zip([now.monotonic_ns, now.ticks, rate]) {
            word.store(value, Relaxed);
        }
    }
    if stands_still {
        STILL.store(nanoseconds(libc::CLOCK_MONOTONIC), Relaxed);
    } else {
        FORBIDDEN_SINCE.store(true, Relaxed);
    }
    slow_path::set_flags(NO_COUNTER | if stands_still { STANDS_STILL } else { 0 });
}

/// Ticks in 2^20 nanoseconds.
fn rate(ticks: u64, nanoseconds: u64) -> u64 {
    let shift = ticks.leading_zeros().min(RATE_BITS);
    let quotient = (ticks << shift).checked_div(nanoseconds);
    quotient.map_or(1 << RATE_BITS, |quotient| quotient << (RATE_BITS - shift))
}

/// For a thread that has not recorded yet: it may have inherited that the counter is forbidden.
pub fn inherit() {
    if FORBIDDEN_SINCE.load(Relaxed) {
        slow_path::set_flags(NO_COUNTER);
    }
}

/// Before a trace is opened: a clock that works, this one if it does.
pub fn choose(wanted: Clock) -> Clock {
    let readable = task::tsc_is_readable();
    FORBIDDEN_BEFORE.store(!readable, Relaxed);
    if readable { wanted } else { Clock::Monotonic }
}

/// A system clock in nanoseconds.
pub fn nanoseconds(clock: libc::clockid_t) -> u64 {
    type GetTime = unsafe extern "C" fn(libc::clockid_t, *mut libc::timespec) -> c_int;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let function = VDSO.load(Relaxed);
    if slow_path::flags() & STANDS_STILL != 0 {
        return STILL.load(Relaxed);
    }
    if function == 0 || FORBIDDEN_BEFORE.load(Relaxed) || is_counter_forbidden() {
        time = task::clock(clock);
    } else {
        // SAFETY: the address of the vDSO's function of this type.
        let get_time: GetTime = unsafe { core::mem::transmute(function) };
        // SAFETY: the structure is written; both clocks that we ask for exist everywhere.
        unsafe { get_time(clock, &raw mut time) };
    }
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// Readings of both clocks for a sync, at the most.
const READINGS: u32 = 3;
/// Ticks that a reading of both clocks takes where nothing comes between: 50 ns from the vDSO, a microsecond
/// or two from the kernel.
const UNDISTURBED: u64 = 1 << 13;

/// Reads both clocks, with an error of at most half the time that reading the system's takes. Where an
/// interrupt or another thread comes between, they are read again.
pub fn sync(clock: Clock) -> ClockSync {
    if clock == Clock::Monotonic {
        let monotonic_ns = nanoseconds(libc::CLOCK_MONOTONIC);
        return ClockSync { ticks: monotonic_ns, monotonic_ns };
    }
    let sync = closest(|| {
        let before = now(clock);
        let monotonic_ns = nanoseconds(libc::CLOCK_MONOTONIC);
        let span = now(clock).saturating_sub(before);
        (span, ClockSync { ticks: before.saturating_add(span / 2), monotonic_ns })
    });
    if FIRST[1].load(Relaxed) == 0 {
        FIRST[0].store(sync.monotonic_ns, Relaxed);
        FIRST[1].store(sync.ticks, Relaxed);
    }
    sync
}

/// The Unix time of a sync that was just made, in nanoseconds.
pub fn realtime_ns(sync: ClockSync) -> u64 {
    let now = nanoseconds(libc::CLOCK_REALTIME);
    now.saturating_sub(nanoseconds(libc::CLOCK_MONOTONIC).saturating_sub(sync.monotonic_ns))
}

/// The reading of the shortest span in ticks: the first one that nothing has disturbed, or the best of all.
fn closest(mut read: impl FnMut() -> (u64, ClockSync)) -> ClockSync {
    let mut best = read();
    for _ in 1..READINGS {
        if best.0 <= UNDISTURBED {
            break;
        }
        let next = read();
        if next.0 < best.0 {
            best = next;
        }
    }
    best.1
}

/// Whether the counter runs at one rate on all processors and in all power states
/// (AMD APM vol. 3, E.4.7; Intel SDM vol. 3B, 18.17.1), may be read, and the kernel has found
/// nothing wrong with it.
pub fn tsc_is_usable() -> bool {
    const POWER_MANAGEMENT: u32 = 0x8000_0007;
    __cpuid(0x8000_0000).eax >= POWER_MANAGEMENT
        && __cpuid(POWER_MANAGEMENT).edx & (1 << 8) != 0
        && task::tsc_is_readable()
        && kernel_has_tsc()
}

/// Whether the counter is among the clocks of the kernel, which watches it and takes it out where
/// processors disagree. In doubt it is.
fn kernel_has_tsc() -> bool {
    const CLOCKS: &CStr = c"/sys/devices/system/clocksource/clocksource0/available_clocksource";
    let Ok(file) = files::open(CLOCKS, libc::O_RDONLY | libc::O_CLOEXEC, 0) else { return true };
    let mut names = [0; 256];
    let length = files::read(file, &mut names);
    files::close(file);
    let names = length.ok().and_then(|length| names.get(..length));
    names.is_none_or(|names| names.split(u8::is_ascii_whitespace).any(|name| name == b"tsc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sync of readings of these spans, and how many were made.
    fn synced(spans: &[u64]) -> (u64, usize) {
        let mut made = 0;
        let sync = closest(|| {
            made += 1;
            (spans[made - 1], ClockSync { ticks: made as u64, monotonic_ns: 0 })
        });
        (sync.ticks, made)
    }

    #[test]
    fn a_disturbed_reading_is_made_again() {
        assert_eq!(synced(&[70]), (1, 1));
        assert_eq!(synced(&[UNDISTURBED]), (1, 1));
        assert_eq!(synced(&[3_000_000, 70]), (2, 2));
        assert_eq!(synced(&[3_000_000, 40_000, 70]), (3, 3));
        assert_eq!(synced(&[3_000_000, 40_000, 50_000]), (2, 3));
        assert_eq!(synced(&[40_000, 40_000, 50_000]), (1, 3));
    }

    #[test]
    fn rates_of_any_span() {
        assert_eq!(rate(0, 0), 1 << 20, "one tick a nanosecond, for want of a span");
        assert_eq!(rate(3_000, 1_000), 3 << 20);
        assert_eq!(rate(3 << 50, 1 << 50), 3 << 20);
        assert_eq!(rate(u64::MAX, u64::MAX), 1 << 20);
    }
}
