//! Memory that is zero in a forked child: by the kernel's doing (`MADV_WIPEONFORK`, Linux 4.14), or
//! by hand where it refuses that (gVisor) or says yes and does nothing (qemu-user).

use core::sync::atomic::{AtomicUsize, Ordering};

use super::memory;
use super::syscall::Result;

/// Ranges at most.
const RANGES: usize = 96;

/// The ranges: address and length, 0 for none. Not wiped.
static MAPPED: [[AtomicUsize; 2]; RANGES] =
    [const { [AtomicUsize::new(0), AtomicUsize::new(0)] }; RANGES];

/// Maps zeros that are zero in a forked child as well, once they are [kept](keep).
pub fn map(length: usize) -> Result<*mut u8> {
    let address = memory::map_private(length)?;
    // SAFETY: a fresh mapping; the advice changes nothing in this process. If it is refused, the
    // memory is wiped by hand.
    let _ = unsafe { memory::advise(address.cast(), length, libc::MADV_WIPEONFORK) };
    Ok(address)
}

/// Makes a range one that is wiped by hand where the kernel does not do it. It stays mapped for
/// the life of the process. Does nothing the second time.
pub fn keep(address: *mut u8, length: usize) {
    let address = address as usize;
    for [first, size] in &MAPPED {
        // Relaxed: a child that is forked before the length is there has nothing to wipe: the
        // range is used after this.
        match first.compare_exchange(0, address, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return size.store(length, Ordering::Relaxed),
            Err(other) if other == address => return,
            Err(_) => {}
        }
    }
}

/// Zeroes every range, in a forked child where the kernel has not done it.
///
/// # Safety
/// The process has one thread, which needs nothing of what is there.
pub unsafe fn zero_all() {
    for [address, length] in &MAPPED {
        let address = address.load(Ordering::Relaxed);
        if address != 0 {
            // SAFETY: a range that is kept, so it is mapped and writable; nobody uses it, by
            // contract.
            unsafe { memory::zero(address as *mut u8, length.load(Ordering::Relaxed)) };
        }
    }
}
