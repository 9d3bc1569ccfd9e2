//! The file `PREFIX.control`, which tells programs that start whether they pause.

use mallook_format::{CONTROL_FILE, says_paused};

use crate::host::files::{self, Fd};

use super::path;

/// The setting in the file; `None` if there is no file, or if it is not the user's. `trace` is a trace
/// that this process has made.
///
/// # Safety
/// The caller is the thread that opens the session.
pub unsafe fn is_paused(trace: Fd) -> Option<bool> {
    // A link, or a pipe that waits, may be anyone's.
    let flags =
        libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NOCTTY | libc::O_NONBLOCK;
    // SAFETY: by contract.
    let file = unsafe { path::beside(b".control", |path| files::open(path, flags, 0)) }.ok()?;
    // A longer one is somebody else's.
    let mut text = [0; CONTROL_FILE + 1];
    let length =
        if files::is_of_owner_of(file, trace) { files::read(file, &mut text) } else { Ok(0) };
    files::close(file);
    says_paused(text.get(..length.ok()?)?)
}
