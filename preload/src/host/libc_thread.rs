//! The ID of a thread, as libc has it.

use core::ffi::c_int;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Address of libc's `pthread_getcpuclockid`, 0 until it is known: before glibc 2.34 it is in a
/// library that not every process has.
static GET_CLOCK: AtomicUsize = AtomicUsize::new(0);

/// Sets the address of `pthread_getcpuclockid`, or of a function of its type that fails.
pub fn set_get_clock(address: usize) {
    GET_CLOCK.store(address, Relaxed);
}

/// The ID of the thread whose thread-local storage the caller uses; `None` if libc does not say it.
///
/// libc says it in one way only, as the number of the thread's clock. The kernel defines that as
/// the inverted ID and three bits (`include/linux/posix-timers_types.h`,
/// `CPUCLOCK_PERTHREAD_MASK`).
pub fn tid() -> Option<u32> {
    type GetClock = unsafe extern "C" fn(libc::pthread_t, *mut libc::clockid_t) -> c_int;
    let function = GET_CLOCK.load(Relaxed);
    if function == 0 {
        return None;
    }
    // SAFETY: the address of a function of this type.
    let get_clock: GetClock = unsafe { core::mem::transmute(function) };
    let mut clock = 0;
    // SAFETY: takes nothing and reads a word of the thread's.
    let thread = unsafe { libc::pthread_self() };
    // SAFETY: the thread is the calling one, and the number is written to the place given.
    let result = unsafe { get_clock(thread, &raw mut clock) };
    u32::try_from(!(clock >> 3)).ok().filter(|tid| result == 0 && *tid != 0)
}
