//! The file `PREFIX.control`, which tells programs that start whether they pause.

use mallook_format::{CONTROL_FILE, says_paused};

use crate::host::files::{self, Fd, Version};

use super::path;

/// The setting in the file; two are the same if nobody has written the file between.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Programs that start pause.
    pub pauses: bool,
    version: Version,
}

impl Setting {
    /// The setting in the file; `None` if there is no such file.
    ///
    /// # Safety
    /// The caller is the thread that opens the session.
    pub unsafe fn read() -> Option<Setting> {
        // A link, or a pipe that waits, may be anyone's.
        let flags =
            libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NOCTTY | libc::O_NONBLOCK;
        // SAFETY: by contract.
        let file = unsafe { path::beside(b".control", |path| files::open(path, flags, 0)) }.ok()?;
        // A longer one is somebody else's.
        let mut text = [0; CONTROL_FILE + 1];
        let version = files::version(file);
        let length = if version.is_some() { files::read(file, &mut text) } else { Ok(0) };
        files::close(file);
        Some(Setting { pauses: says_paused(text.get(..length.ok()?)?)?, version: version? })
    }

    /// The file is root's, or of the user who owns this trace, which the process has made.
    pub fn is_trusted(&self, trace: Fd) -> bool {
        let owner = self.version.owner;
        owner == 0 || files::version(trace).is_some_and(|trace| trace.owner == owner)
    }
}
