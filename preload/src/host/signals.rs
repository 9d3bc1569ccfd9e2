//! Signals: blocked in the slow path, and taken back when a failing write has sent one.

use super::syscall::{Errno, Result, call};

/// Signals that a thread raises by what it does: a fault while one is blocked ends the process,
/// whatever handler the host has.
const SYNCHRONOUS: u64 = bits(&[
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGSYS,
    libc::SIGABRT,
]);

/// A set of signals.
const fn bits(signals: &[i32]) -> u64 {
    let mut set = 0;
    let mut rest = signals;
    while let [signal, others @ ..] = rest {
        set |= 1 << (*signal - 1);
        rest = others;
    }
    set
}

/// The calling thread gets no asynchronous signal while this lives.
pub struct SignalsBlocked {
    before: u64,
}

impl SignalsBlocked {
    pub fn new() -> SignalsBlocked {
        let mut before = 0;
        set_mask(libc::SIG_BLOCK, &!SYNCHRONOUS, Some(&mut before));
        SignalsBlocked { before }
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        set_mask(libc::SIG_SETMASK, &self.before, None);
    }
}

fn set_mask(how: i32, new: &u64, old: Option<&mut u64>) {
    let old = old.map_or(core::ptr::null_mut(), core::ptr::from_mut);
    let args =
        [how as usize, core::ptr::from_ref(new) as usize, old as usize, size_of::<u64>(), 0, 0];
    // SAFETY: the kernel's signal set is 8 bytes; it reads the new one and writes the old one.
    let _ = unsafe { call(libc::SYS_rt_sigprocmask, args) };
}

/// The signals that a failing write sends to its own process, as bits of a signal set.
const WRITE_SIGNALS: u64 = bits(&[libc::SIGPIPE, libc::SIGXFSZ]);

/// Makes a call, with signals blocked, and takes back the signal that a failing write sends: the
/// host has written nothing and must not die of it.
pub fn without_write_signals<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = pending_signals();
    let result = call();
    if matches!(result, Err(Errno(libc::EPIPE | libc::EFBIG))) {
        let ours = pending_signals() & WRITE_SIGNALS & !before;
        if ours != 0 {
            take_signal(ours);
        }
    }
    result
}

fn pending_signals() -> u64 {
    let mut set = 0u64;
    let args = [&raw mut set as usize, size_of::<u64>(), 0, 0, 0, 0];
    // SAFETY: the kernel writes 8 bytes.
    let _ = unsafe { call(libc::SYS_rt_sigpending, args) };
    set
}

/// Takes one pending signal of the set, without waiting.
fn take_signal(set: u64) {
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let args = [&raw const set as usize, 0, &raw const now as usize, size_of::<u64>(), 0, 0];
    // SAFETY: the kernel reads the set and the time.
    let _ = unsafe { call(libc::SYS_rt_sigtimedwait, args) };
}
