//! The parent's trace, as a forked child finds it: this memory is not wiped on fork.

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

use crate::host::files::{self, Fd, Identity};
use crate::host::memory;

/// No descriptor.
const NONE: u32 = u32::MAX;

/// The first mapping and the descriptor of the trace that was opened last.
struct Inherited {
    /// Address of the mapping, 0 for none.
    base: AtomicUsize,
    /// Length of the mapping in bytes.
    length: AtomicUsize,
    descriptor: AtomicU32,
    device: AtomicU64,
    inode: AtomicU64,
}

static INHERITED: Inherited = Inherited {
    base: AtomicUsize::new(0),
    length: AtomicUsize::new(0),
    descriptor: AtomicU32::new(NONE),
    device: AtomicU64::new(0),
    inode: AtomicU64::new(0),
};

/// Notes the first mapping and the descriptor, for forked children to release.
pub fn remember(base: usize, length: usize, descriptor: u32, identity: Identity) {
    INHERITED.length.store(length, Relaxed);
    INHERITED.descriptor.store(descriptor, Relaxed);
    INHERITED.device.store(identity.device, Relaxed);
    INHERITED.inode.store(identity.inode, Relaxed);
    INHERITED.base.store(base, Relaxed);
}

/// Notes another descriptor of the same file.
pub fn remember_descriptor(descriptor: u32) {
    INHERITED.descriptor.store(descriptor, Relaxed);
}

/// Releases the descriptor of the parent's trace and the mapping that starts with the header. A
/// hook that was interrupted by the signal handler which forked may still write one slot there, so
/// private zeros take the place of the mapping.
pub fn release() {
    let base = INHERITED.base.swap(0, Relaxed);
    if base == 0 {
        return;
    }
    // SAFETY: the parent's trace. A slot that this process may still write there belongs to no
    // file.
    unsafe { memory::detach(base, INHERITED.length.load(Relaxed)) };
    let descriptor = Fd(INHERITED.descriptor.load(Relaxed) as i32);
    let (device, inode) = (INHERITED.device.load(Relaxed), INHERITED.inode.load(Relaxed));
    if files::identity(descriptor) == Ok(Identity { device, inode }) {
        files::close(descriptor);
    }
}
