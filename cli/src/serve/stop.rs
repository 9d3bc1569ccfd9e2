//! Signals that end the server.

use std::mem::MaybeUninit;

/// SIGINT and SIGTERM, which wait until somebody takes them.
pub struct Signals(libc::sigset_t);

/// Blocks them in this thread and in those that it starts.
pub fn block() -> Signals {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset(3) fills the set that it is given, and cannot fail for one.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: it was filled.
    let mut set = unsafe { set.assume_init() };
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the set is one, and the signal is known.
        unsafe { libc::sigaddset(&mut set, signal) };
    }
    // SAFETY: the set is one, and the old mask is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
    Signals(set)
}

impl Signals {
    /// Waits for one of them.
    pub fn wait(&self) {
        let mut signal = 0;
        // SAFETY: the set is one, and the number has a place.
        unsafe { libc::sigwait(&self.0, &mut signal) };
    }
}
