//! The path of the trace: `PREFIX.PID.EPOCH.COUNTER`.

use core::cell::UnsafeCell;
use core::ffi::CStr;

use crate::host::decimal::Decimal;
use crate::host::files;
use crate::host::syscall::Errno;

const PATH_BYTES: usize = 4096;
/// Three numbers, three dots, a zero.
const NUMBER_BYTES: usize = 64;
/// Counters that are tried for a file.
const MOST_COUNTERS: u64 = 100_000;

struct Path {
    /// The prefix, absolute if the current directory is known; then the numbers and a zero.
    bytes: [u8; PATH_BYTES + NUMBER_BYTES],
    /// Length of the prefix in bytes.
    prefix: usize,
}

/// Not wiped on fork: children write next to their parent's trace, wherever they have gone.
struct Shared(UnsafeCell<Path>);

// SAFETY: only the thread that opens the process's session writes. Others read it after they have
// seen the session open.
unsafe impl Sync for Shared {}

static PATH: Shared =
    Shared(UnsafeCell::new(Path { bytes: [0; PATH_BYTES + NUMBER_BYTES], prefix: 0 }));

/// The directory of the traces, with a slash and a zero, or another path beside them.
struct Directory(UnsafeCell<[u8; PATH_BYTES + 1]>);

// SAFETY: only the thread that opens the process's session uses it.
unsafe impl Sync for Directory {}

static DIRECTORY: Directory = Directory(UnsafeCell::new([0; PATH_BYTES + 1]));

/// Sets the prefix; a relative one counts from the current directory.
///
/// # Safety
/// The caller is the thread that opens the session.
pub unsafe fn set_prefix(prefix: &[u8]) {
    // SAFETY: by contract nobody else uses it now.
    let path = unsafe { &mut *PATH.0.get() };
    let mut length = 0;
    if !prefix.starts_with(b"/")
        && let Ok(directory) = files::current_directory(&mut path.bytes[..PATH_BYTES])
        && path.bytes.first() == Some(&b'/')
    {
        length = directory.saturating_sub(1);
        append(&mut path.bytes, &mut length, b"/");
    }
    append(&mut path.bytes, &mut length, prefix);
    // A directory, in which names that start with a dot would be hidden.
    if prefix.ends_with(b"/") || prefix.ends_with(b"/.") || prefix == b"." {
        append(&mut path.bytes, &mut length, b"/mallook.out");
    }
    append(&mut path.bytes, &mut { length }, b"\0");
    path.prefix = length;
}

/// Appends bytes. Those that do not fit are cut off, and the path is refused later.
fn append(path: &mut [u8], length: &mut usize, bytes: &[u8]) {
    let rest = path.get_mut(*length..).unwrap_or_default();
    for (place, byte) in rest.iter_mut().zip(bytes) {
        *place = *byte;
    }
    *length += bytes.len().min(rest.len());
}

/// The present path.
///
/// # Safety
/// The caller is opening the session, or has seen it opened.
pub unsafe fn path() -> &'static CStr {
    // SAFETY: by contract nobody writes now.
    let path = unsafe { &*PATH.0.get() };
    CStr::from_bytes_until_nul(&path.bytes).unwrap_or_default()
}

/// Calls `create` with paths that do not exist yet: with rising counters until it does not say that
/// the path exists.
///
/// # Safety
/// The caller is the thread that opens the session.
pub unsafe fn with_new_path<T>(
    pid: u32,
    epoch: u64,
    mut create: impl FnMut(&CStr) -> Result<T, Errno>,
) -> Result<T, Errno> {
    // SAFETY: by contract nobody else uses it now.
    let path = unsafe { &mut *PATH.0.get() };
    if path.prefix >= PATH_BYTES {
        return Err(Errno(libc::ENAMETOOLONG));
    }
    let mut counter = 0;
    loop {
        let mut length = path.prefix;
        for number in [u64::from(pid), epoch, counter] {
            append(&mut path.bytes, &mut length, b".");
            append(&mut path.bytes, &mut length, Decimal::new(number).bytes());
        }
        append(&mut path.bytes, &mut length, b"\0");
        match create(CStr::from_bytes_until_nul(&path.bytes).unwrap_or_default()) {
            Err(Errno(libc::EEXIST)) if counter < MOST_COUNTERS => counter += 1,
            result => return result,
        }
    }
}

/// Calls `work` with the prefix of the traces and this behind it.
///
/// # Safety
/// The caller is the thread that opens the session.
pub unsafe fn beside<T>(
    suffix: &[u8],
    work: impl FnOnce(&CStr) -> Result<T, Errno>,
) -> Result<T, Errno> {
    // SAFETY: by contract nobody else uses it now.
    let path = unsafe { &*PATH.0.get() };
    // SAFETY: likewise.
    let copy = unsafe { &mut *DIRECTORY.0.get() };
    let mut length = 0;
    append(copy, &mut length, path.bytes.get(..path.prefix).unwrap_or_default());
    append(copy, &mut length, suffix);
    if length >= PATH_BYTES {
        return Err(Errno(libc::ENAMETOOLONG));
    }
    append(copy, &mut length, b"\0");
    work(CStr::from_bytes_until_nul(copy).unwrap_or_default())
}

/// Calls `work` with the directory of the traces. A copy of it: a child may be forked meanwhile, and
/// finds the path as it is here.
///
/// # Safety
/// The caller is the thread that opens the session.
pub unsafe fn in_directory<T>(work: impl FnOnce(&CStr) -> T) -> T {
    // SAFETY: by contract nobody else uses it now.
    let path = unsafe { &*PATH.0.get() };
    // SAFETY: likewise.
    let copy = unsafe { &mut *DIRECTORY.0.get() };
    let prefix = path.bytes.get(..path.prefix).unwrap_or_default();
    let Some(slash) = prefix.iter().rposition(|&byte| byte == b'/') else { return work(c".") };
    let mut length = 0;
    append(copy, &mut length, prefix.get(..=slash).unwrap_or_default());
    append(copy, &mut length, b"\0");
    work(CStr::from_bytes_until_nul(copy).unwrap_or(c"."))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A child that is forked meanwhile goes on with this memory.
    #[test]
    fn the_path_is_whole_while_its_directory_is_used() {
        // SAFETY: no other test uses the path.
        unsafe { set_prefix(b"/some/where/prefix") };
        // SAFETY: as above.
        let bytes = || unsafe { &(*PATH.0.get()).bytes };
        // SAFETY: as above.
        unsafe {
            in_directory(|directory| {
                assert_eq!(directory, c"/some/where/");
                assert!(bytes().starts_with(b"/some/where/prefix\0"));
            });
        };
    }
}
