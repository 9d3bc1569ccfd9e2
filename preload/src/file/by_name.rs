//! The file under its name: no descriptor is kept, which a host could find, close or replace.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use mallook_format::Loss;

use crate::host::confined::is_confined;
use crate::host::files::{self, Fd, Identity};

use super::create::FLAGS;
use super::path;

/// Attempts to work on the file while the host closes descriptors that are not its own.
const TRIES: usize = 4;

/// The identity of the file. All zero while no file is open.
#[repr(C)]
pub struct ByName {
    device: AtomicU64,
    inode: AtomicU64,
}

impl ByName {
    /// Notes the identity of the file.
    pub fn set(&self, identity: Identity) {
        self.device.store(identity.device, Relaxed);
        self.inode.store(identity.inode, Relaxed);
    }

    /// Opens the file, works on it and closes it. Its identity is checked before the work and
    /// after: another file may have its name, and a host that closes all descriptors may close this
    /// one, too, and put a file of its own in its place. With signals blocked.
    ///
    /// # Errors
    /// The file is not under its name any more, or may not be opened, or the work failed.
    pub fn with_file<T>(&self, mut work: impl FnMut(Fd) -> Result<T, Loss>) -> Result<T, Loss> {
        if is_confined() {
            return Err(Loss::Confined);
        }
        let (device, inode) = (self.device.load(Relaxed), self.inode.load(Relaxed));
        let ours = Identity { device, inode };
        let mut result = Err(Loss::Name);
        for _ in 0..TRIES {
            // SAFETY: the session is open, or this would not be called.
            let opened = files::open(unsafe { path::path() }, FLAGS, 0);
            let file = opened.map_err(|_| Loss::Name)?;
            match files::identity(file) {
                Ok(found) if found == ours => result = work(file),
                Ok(_) => {
                    files::close(file);
                    return Err(Loss::Name);
                }
                // The host has closed it meanwhile: once more.
                Err(_) => continue,
            }
            if files::identity(file) == Ok(ours) {
                files::close(file);
                break;
            }
        }
        result
    }
}
