//! Whether a process still writes its trace.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Whether the process still has the file mapped: it has neither ended nor replaced itself.
///
/// `false` for a process that we may not look at, or that is in another PID namespace.
pub fn has_mapped(pid: u32, path: &Path) -> bool {
    let Ok(file) = path.metadata() else { return false };
    let Ok(maps) = std::fs::read_to_string(format!("/proc/{pid}/maps")) else { return false };
    let device = format!("{:02x}:{:02x}", libc::major(file.dev()), libc::minor(file.dev()));
    // proc(5): address, permissions, offset, device, inode, path. A file that was named after it
    // was opened has no path there.
    maps.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(3);
        fields.next() == Some(&device)
            && fields.next().and_then(|inode| inode.parse().ok()) == Some(file.ino())
    })
}
