//! System calls about the process, its threads and its machine.

use core::mem::MaybeUninit;

use libc::c_long;

use super::confined::is_confined;
use super::syscall::{Errno, call};

/// A call without arguments that cannot fail.
fn number_of(number: c_long) -> u32 {
    // SAFETY: only used for calls that take nothing and touch no memory.
    unsafe { call(number, [0; 6]) }.unwrap_or(0) as u32
}

pub fn pid() -> u32 {
    number_of(libc::SYS_getpid)
}

pub fn parent_pid() -> u32 {
    number_of(libc::SYS_getppid)
}

pub fn tid() -> u32 {
    number_of(libc::SYS_gettid)
}

/// Lets another thread run.
pub fn yield_now() {
    if is_confined() {
        core::hint::spin_loop();
    } else {
        number_of(libc::SYS_sched_yield);
    }
}

/// Sleeps for a millisecond.
pub fn nap() {
    // SAFETY: waits for no descriptor.
    let _ = unsafe { call(libc::SYS_poll, [0, 0, 1, 0, 0, 0]) };
}

/// Whether the thread is dead. In doubt it is not.
pub fn thread_is_dead(pid: u32, tid: u32) -> bool {
    if is_confined() {
        return false;
    }
    // SAFETY: signal 0 is not delivered, the call only looks the thread up.
    let result = unsafe { call(libc::SYS_tgkill, [pid as usize, tid as usize, 0, 0, 0, 0]) };
    result == Err(Errno(libc::ESRCH))
}

/// The calling thread's name, padded with zeros.
pub fn thread_name() -> [u64; 2] {
    let mut name = [0u64; 2];
    let args = [libc::PR_GET_NAME as usize, name.as_mut_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the kernel writes 16 bytes.
    let _ = unsafe { call(libc::SYS_prctl, args) };
    name
}

/// Whether the processor lets this process read the time-stamp counter.
pub fn tsc_is_readable() -> bool {
    let mut mode = 0i32;
    let args = [libc::PR_GET_TSC as usize, &raw mut mode as usize, 0, 0, 0, 0];
    // SAFETY: the kernel writes an int.
    let result = unsafe { call(libc::SYS_prctl, args) };
    result.is_ok() && mode == libc::PR_TSC_ENABLE
}

/// The soft limit of a resource; `u64::MAX` for none.
pub fn soft_limit(resource: u32) -> u64 {
    let mut limit = libc::rlimit64 { rlim_cur: u64::MAX, rlim_max: u64::MAX };
    let args = [0, resource as usize, 0, &raw mut limit as usize, 0, 0];
    // SAFETY: the kernel writes the structure.
    let _ = unsafe { call(libc::SYS_prlimit64, args) };
    limit.rlim_cur
}

/// The host name, padded with zeros.
pub fn hostname() -> [u8; 64] {
    let mut names = MaybeUninit::<libc::utsname>::zeroed();
    // SAFETY: the buffer has the size of the structure.
    let _ = unsafe { call(libc::SYS_uname, [names.as_mut_ptr() as usize, 0, 0, 0, 0, 0]) };
    // SAFETY: arrays of bytes, zeroed before.
    let names = unsafe { names.assume_init() };
    core::array::from_fn(|i| names.nodename[i] as u8)
}

/// A system clock.
pub fn clock(clock: libc::clockid_t) -> libc::timespec {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes the structure.
    let _ = unsafe {
        call(libc::SYS_clock_gettime, [clock as usize, &raw mut time as usize, 0, 0, 0, 0])
    };
    time
}
