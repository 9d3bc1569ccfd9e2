//! Our descriptor of the file, which the host may close or replace at any time.

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, AtomicU64};

use mallook_format::Loss;

use crate::host::files::{self, Fd, Identity};
use crate::host::task;

use super::create::FLAGS;
use super::{inherited, path};

/// Our descriptors are kept above the host's, which are the lowest free ones.
const HIGH_DESCRIPTOR: u64 = 1000;
/// Attempts to work on the file while the host closes descriptors.
const TRIES: usize = 8;

/// The descriptor and the identity of the file. All zero while no file is open.
#[repr(C)]
pub struct Descriptor {
    /// `u32::MAX` for none.
    number: AtomicU32,
    device: AtomicU64,
    inode: AtomicU64,
}

/// The lowest descriptor that we use.
fn least_high() -> i32 {
    task::soft_limit(libc::RLIMIT_NOFILE).saturating_sub(8).min(HIGH_DESCRIPTOR) as i32
}

/// Moves a descriptor up, out of the host's range, if there is room.
fn move_up(file: Fd) -> Fd {
    match files::duplicate_from(file, least_high()) {
        Ok(high) => {
            files::close(file);
            high
        }
        Err(_) => file,
    }
}

/// A second descriptor of the file, which the host does not know, if `known` is one of this file;
/// `known` itself if there is no room for another.
fn duplicate(known: Fd, identity: Identity) -> Result<Fd, ()> {
    let second = files::duplicate_from(known, least_high());
    let file = second.unwrap_or(known);
    if files::identity(file) == Ok(identity) {
        return Ok(file);
    }
    if second.is_ok() {
        files::close(file);
    }
    Err(())
}

impl Descriptor {
    /// Notes the identity of the file.
    pub fn set_identity(&self, identity: Identity) {
        self.device.store(identity.device, Relaxed);
        self.inode.store(identity.inode, Relaxed);
    }

    /// The identity of the file.
    pub fn identity(&self) -> Identity {
        Identity { device: self.device.load(Relaxed), inode: self.inode.load(Relaxed) }
    }

    /// Keeps this descriptor for later work on the file.
    pub fn keep(&self, file: Fd) {
        self.number.store(move_up(file).0 as u32, Relaxed);
    }

    /// Closes this descriptor: the file is not worked on any more.
    pub fn give_up(&self, file: Fd) {
        files::close(file);
        self.number.store(u32::MAX, Relaxed);
    }

    /// The number of the descriptor, `u32::MAX` for none.
    pub fn number(&self) -> u32 {
        self.number.load(Relaxed)
    }

    /// Works on the file through a descriptor of our own, whose identity is checked before and
    /// after: a host that closes all descriptors, or puts a file of its own on ours, must not have
    /// that file written to.
    ///
    /// # Errors
    /// The descriptor is gone and the file cannot be opened again by its path, or the work failed.
    pub fn with_file<T>(&self, mut work: impl FnMut(Fd) -> Result<T, Loss>) -> Result<T, Loss> {
        let identity = self.identity();
        let mut result = Err(Loss::Descriptor);
        for _ in 0..TRIES {
            let known = Fd(self.number() as i32);
            let Ok(file) = duplicate(known, identity).or_else(|()| self.reopen(identity)) else {
                return Err(Loss::Descriptor);
            };
            result = work(file);
            if files::identity(file) == Ok(identity) {
                if file != known {
                    files::close(file);
                }
                break;
            }
            // The host has closed it meanwhile: once more.
        }
        result
    }

    /// Opens the file again by its path, and keeps the descriptor.
    fn reopen(&self, identity: Identity) -> Result<Fd, ()> {
        // SAFETY: the session is open, or this would not be called.
        let file = files::open(unsafe { path::path() }, FLAGS, 0).map_err(drop)?;
        if files::identity(file) != Ok(identity) {
            files::close(file);
            return Err(());
        }
        self.keep(file);
        inherited::remember_descriptor(self.number());
        duplicate(Fd(self.number() as i32), identity)
    }
}
