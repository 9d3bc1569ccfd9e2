//! Whether a copy of this library that was loaded before this one records the process.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A fact about the libraries of the program, which forked children share.
static FOUND: AtomicBool = AtomicBool::new(false);

/// Notes that one does: this copy records nothing.
pub fn found() {
    FOUND.store(true, Relaxed);
}

/// One does.
pub fn is_found() -> bool {
    FOUND.load(Relaxed)
}
