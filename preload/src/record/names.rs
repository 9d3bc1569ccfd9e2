//! Names of threads. Each is asked for once, since a process may forbid the question later.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::host::confined::is_confined;
use crate::host::task;

/// Counts the changes of names that the hooks see, from 1. Not wiped on fork.
static CHANGES: AtomicU32 = AtomicU32::new(1);
/// The name that was asked for last: that of a thread which can no longer ask is its creator's.
static LATEST: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

/// Notes that a thread has or gets another name.
pub fn changed() {
    CHANGES.fetch_add(1, Relaxed);
}

/// The name of the calling thread, unless it was asked for since the last change: `asked` says so.
pub fn ask(asked: &AtomicU32) -> Option<[u64; 2]> {
    let changes = CHANGES.load(Relaxed);
    if is_confined() || asked.swap(changes, Relaxed) == changes {
        return None;
    }
    let name = task::thread_name();
    LATEST.iter().zip(name).for_each(|(half, value)| half.store(value, Relaxed));
    Some(name)
}

/// The name that was asked for last.
pub fn latest() -> [u64; 2] {
    LATEST.each_ref().map(|half| half.load(Relaxed))
}
