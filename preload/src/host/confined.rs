//! Whether this process may still make system calls of ours.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Not wiped on fork: what forbids calls to a process forbids them to its children.
static CONFINED: AtomicBool = AtomicBool::new(false);

/// Whether the process or an ancestor that it was forked from has confined itself, or is about to:
/// then the recorder makes no system call any more, since each could kill the host.
pub fn is_confined() -> bool {
    // Relaxed: publishes nothing; a thread that confines itself has set it itself.
    CONFINED.load(Relaxed)
}

/// Notes that the process confines itself.
pub fn set_confined() {
    CONFINED.store(true, Relaxed);
}
