//! The settings and the ancestry of a process, as its forked children inherit them: this memory is
//! not wiped on fork.

use core::cell::UnsafeCell;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicU32};

use super::config::Config;

/// Written by the thread that moves a session to [`Opening`](super::lifecycle::Stage::Opening),
/// while it is in that stage.
struct Inherited {
    /// The settings and the prefix of the path are there.
    ready: AtomicBool,
    /// The process that opened a session last: in a forked child, its parent or an ancestor.
    last_pid: AtomicU32,
    config: UnsafeCell<Option<Config>>,
}

// SAFETY: only the thread that has moved the process's one session to `Opening` touches the
// settings.
unsafe impl Sync for Inherited {}

static INHERITED: Inherited = Inherited {
    ready: AtomicBool::new(false),
    last_pid: AtomicU32::new(0),
    config: UnsafeCell::new(None),
};

/// Whether this process or an ancestor has read the settings.
pub fn has_settings() -> bool {
    // Acquire: pairs with the Release in `set_settings`.
    INHERITED.ready.load(Acquire)
}

/// The settings, if they were read.
///
/// # Safety
/// The caller is the thread that opens the session.
pub unsafe fn settings() -> Option<Config> {
    // SAFETY: by contract nobody writes now.
    unsafe { *INHERITED.config.get() }
}

/// Sets the settings. The prefix of the path is there.
///
/// # Safety
/// The caller is the thread that opens the session.
pub unsafe fn set_settings(config: Config) {
    // SAFETY: by contract nobody else uses them now.
    unsafe { *INHERITED.config.get() = Some(config) };
    // Release: pairs with the Acquire in `has_settings`. A child that was forked before this reads
    // the environment itself.
    INHERITED.ready.store(true, Release);
}

/// The process that opened a session last, if any did: in a forked child that has not opened its
/// own, its parent or an ancestor.
pub fn last_pid() -> Option<u32> {
    Some(INHERITED.last_pid.load(Relaxed)).filter(|&pid| pid != 0)
}

/// Notes that this process has opened a session.
pub fn set_last_pid(pid: u32) {
    INHERITED.last_pid.store(pid, Relaxed);
}
