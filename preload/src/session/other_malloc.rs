//! Whether the process has another `malloc` than ours, as the hooks have found out.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A fact about the program and the libraries that it starts with, which forked children share.
static FOUND: AtomicBool = AtomicBool::new(false);

/// Notes that the process has another one.
pub fn found() {
    FOUND.store(true, Relaxed);
}

/// The process has another one.
pub fn is_found() -> bool {
    FOUND.load(Relaxed)
}
