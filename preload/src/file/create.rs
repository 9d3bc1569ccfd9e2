//! Creates the file of a trace.

use crate::host::decimal::Decimal;
use crate::host::files::{self, Fd};
use crate::host::syscall::Errno;

use super::path;

/// Flags with which the file is opened under its path.
pub const FLAGS: i32 = libc::O_RDWR | libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NOCTTY;

/// A file that was created, and may have no name yet.
pub struct Created {
    pub file: Fd,
    named: bool,
}

/// Creates a file, without a name if the file system supports that: then it has a header before
/// anybody can see it.
///
/// # Safety
/// The caller is the thread that opens the session.
pub unsafe fn create(pid: u32, epoch: u64) -> Result<Created, Errno> {
    let flags = libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC;
    // Without /proc it could not get a name later.
    let has_proc = files::read_link(c"/proc/self/exe", &mut [0]).is_ok();
    // SAFETY: by contract.
    let unnamed =
        || unsafe { path::in_directory(|directory| files::open(directory, flags, 0o600)) };
    if has_proc && let Ok(file) = unnamed() {
        return Ok(Created { file, named: false });
    }
    let create = |path: &_| files::open(path, FLAGS | libc::O_CREAT | libc::O_EXCL, 0o600);
    // SAFETY: by contract.
    let file = unsafe { path::with_new_path(pid, epoch, create) }?;
    Ok(Created { file, named: true })
}

impl Created {
    /// Gives the file its name, unless it has one.
    ///
    /// # Safety
    /// As [`create`].
    pub unsafe fn give_name(&mut self, pid: u32, epoch: u64) -> Result<(), Errno> {
        if self.named {
            return Ok(());
        }
        let link =
            |path: &_| files::link_descriptor(Decimal::new(self.file.0 as u64).bytes(), path);
        // SAFETY: by contract.
        unsafe { path::with_new_path(pid, epoch, link) }?;
        self.named = true;
        Ok(())
    }

    /// Undoes the creation.
    ///
    /// # Safety
    /// As [`create`].
    pub unsafe fn discard(&self) {
        files::close(self.file);
        if self.named {
            // SAFETY: by contract.
            files::unlink(unsafe { path::path() });
        }
    }
}
