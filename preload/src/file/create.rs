//! Creates the file of a trace.

use crate::host::decimal::Decimal;
use crate::host::files::{self, Fd};
use crate::host::syscall::Errno;

use super::path;

/// Flags with which the file is opened under its path.
pub const FLAGS: i32 = libc::O_RDWR | libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NOCTTY;

/// How a file is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Without a name, which it gets later: it has a header before anybody can see it.
    Unnamed,
    /// With its name.
    Named,
}

/// A file that was created.
pub struct Created {
    pub file: Fd,
    way: Way,
}

/// Creates a file.
///
/// # Safety
/// The caller is the thread that opens the session.
pub unsafe fn create(way: Way, pid: u32, epoch: u64) -> Result<Created, Errno> {
    let file = match way {
        Way::Unnamed => {
            // Without /proc it could not get a name later.
            files::read_link(c"/proc/self/exe", &mut [0])?;
            let flags = libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC;
            // SAFETY: by contract.
            unsafe { path::in_directory(|directory| files::open(directory, flags, 0o600)) }?
        }
        Way::Named => {
            let flags = FLAGS | libc::O_CREAT | libc::O_EXCL;
            // SAFETY: by contract.
            unsafe { path::with_new_path(pid, epoch, |path| files::open(path, flags, 0o600)) }?
        }
    };
    Ok(Created { file, way })
}

impl Created {
    /// Gives the file its name, unless it has one.
    ///
    /// # Safety
    /// As [`create`].
    pub unsafe fn give_name(&self, pid: u32, epoch: u64) -> Result<(), Errno> {
        if self.way == Way::Named {
            return Ok(());
        }
        let link =
            |path: &_| files::link_descriptor(Decimal::new(self.file.0 as u64).bytes(), path);
        // SAFETY: by contract.
        unsafe { path::with_new_path(pid, epoch, link) }
    }

    /// Undoes the creation.
    ///
    /// # Safety
    /// As [`create`].
    pub unsafe fn discard(&self) {
        files::close(self.file);
        if self.way == Way::Named {
            // SAFETY: by contract.
            files::unlink(unsafe { path::path() });
        }
    }
}
