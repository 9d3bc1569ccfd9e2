//! Which thread records.

use crate::state::Session;
use crate::{next, sys};

/// The thread that an event of the caller counts as.
///
/// A child that shares our memory (vfork) is not a thread of this process, but runs on one that
/// waits for it: that thread has the child's cell when it goes on.
pub fn recording(session: &Session) -> u32 {
    if sys::pid() == session.pid() {
        return sys::tid();
    }
    // In a child that was forked behind libc's back, libc's number is that of another process. The
    // main thread lives as long as anybody does.
    let lives = |tid: &u32| !sys::thread_is_dead(session.pid(), *tid);
    known_to_libc().filter(lives).unwrap_or(session.pid())
}

/// The ID of the thread whose TLS the caller uses, as libc has it.
///
/// libc tells it in one way only, as the number of the thread's clock: the kernel defines that as
/// the inverted ID and three bits (`include/linux/posix-timers_types.h`, `CPUCLOCK_PERTHREAD_MASK`).
fn known_to_libc() -> Option<u32> {
    let mut clock = 0;
    // SAFETY: takes nothing and reads a word of the thread's.
    let thread = unsafe { libc::pthread_self() };
    // SAFETY: the thread is the calling one, and the number is written to the place given.
    let result = unsafe { next::PTHREAD_GETCPUCLOCKID.get()(thread, &raw mut clock) };
    u32::try_from(!(clock >> 3)).ok().filter(|tid| result == 0 && *tid != 0)
}
