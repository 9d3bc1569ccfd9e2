//! All memory of the recorder that belongs to one process, assembled: zero in a forked child, by
//! the kernel's doing (`MADV_WIPEONFORK`, Linux 4.14), whatever any thread was doing when it
//! forked, and whether or not libc knew about it. Zero means "not started yet" everywhere. Thread
//! buffers beyond the first ones lie in pieces of their own ([`super::table`]).

use crate::host::{memory, wiped_memory};
use crate::session::lifecycle::Session;

use super::owner::ThreadBuffers;
use super::stack::listing::Listing;

/// The process-private memory.
#[repr(C, align(4096))]
pub struct Wiped {
    /// First, where the hot path finds them without an offset.
    pub buffers: ThreadBuffers,
    pub session: Session,
    pub listing: Listing,
}

/// The one instance. In `.bss`: private and anonymous, as wiping requires; untouched pages cost
/// nothing.
// SAFETY: all-zero bytes are valid for every field, which are atomics.
pub static WIPED: Wiped = unsafe { core::mem::MaybeUninit::zeroed().assume_init() };

/// Makes the kernel zero the memory in forked children. Where it refuses, the hook of `fork` does.
pub fn wipe_on_fork() {
    let start = &raw const WIPED;
    // SAFETY: the range is a static of our own, aligned to pages and a multiple of them in size;
    // the advice changes nothing in this process.
    let _ = unsafe { memory::advise(start.cast(), size_of::<Wiped>(), libc::MADV_WIPEONFORK) };
    wiped_memory::keep(start.cast_mut().cast(), size_of::<Wiped>());
}
