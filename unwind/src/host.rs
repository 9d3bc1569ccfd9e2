//! The services that the unwinder needs of the process that it is in.

use crate::find::FindObject;
use crate::site::{Kind, Site};

/// The host process, as the tracer knows it. All of it may be called in a signal handler, and
/// while another call of it is interrupted.
pub trait Host {
    /// Zeroed private memory, aligned to pages and never given back; null if there is none.
    ///
    /// It must lie in memory that a forked child sees as zeros, if the [`Unwinder`] does.
    ///
    /// [`Unwinder`]: crate::Unwinder
    fn memory(&self, bytes: usize) -> *mut u8;

    /// A new site, before any stack holds it: once for each number, rarely under two numbers for
    /// one address. `false` if it could not be noted: then the number is not used.
    ///
    /// `address` is what is to be looked up in tables of symbols: the return address minus one, or
    /// the very address at which a signal interrupted the code.
    fn site(&self, site: Site, address: usize, kind: Kind, generation: u32) -> bool;

    /// glibc's `_dl_find_object` (since 2.35), which takes no lock and allocates nothing, if the host
    /// has one. Without it the kernel is asked for the modules.
    fn find_object(&self) -> Option<FindObject> {
        None
    }

    /// Whether system calls may be made: `open`, `read`, `ioctl` and `close` on `/proc/self/maps`,
    /// `getpid` and `process_vm_readv` on the own process, `sigaltstack` without a change.
    fn system_calls(&self) -> bool {
        true
    }
}
