//! The name of the trace: `PREFIX.PID.EPOCH.COUNTER`.

use core::cell::UnsafeCell;
use core::ffi::CStr;

use crate::report::Decimal;
use crate::sys::{self, Errno};

const PATH_BYTES: usize = 4096;
/// Three numbers, three dots, a zero.
const NUMBER_BYTES: usize = 64;
/// Names that are tried for a file.
const MOST_NAMES: u64 = 100_000;

struct Name {
    /// The prefix, absolute where the current directory is known; then the numbers and a zero.
    path: [u8; PATH_BYTES + NUMBER_BYTES],
    prefix: usize,
}

/// Stays in forked children: they write where their parent did, wherever they have gone.
struct Shared(UnsafeCell<Name>);

// SAFETY: only the thread that opens the process's session writes, and others read after they saw
// the session open.
unsafe impl Sync for Shared {}

static NAME: Shared =
    Shared(UnsafeCell::new(Name { path: [0; PATH_BYTES + NUMBER_BYTES], prefix: 0 }));

/// Sets the prefix; a relative one counts from the current directory.
///
/// # Safety
/// The caller is the thread that opens the session.
pub unsafe fn set_prefix(prefix: &[u8]) {
    // SAFETY: by contract nobody else uses it now.
    let name = unsafe { &mut *NAME.0.get() };
    let mut length = 0;
    if !prefix.starts_with(b"/")
        && let Ok(directory) = sys::current_directory(&mut name.path[..PATH_BYTES])
        && name.path.first() == Some(&b'/')
    {
        length = directory.saturating_sub(1);
        append(&mut name.path, &mut length, b"/");
    }
    append(&mut name.path, &mut length, prefix);
    append(&mut name.path, &mut { length }, b"\0");
    name.prefix = length;
}

/// Puts bytes at the end; what does not fit is cut off, and then the name is refused.
fn append(path: &mut [u8], length: &mut usize, bytes: &[u8]) {
    let rest = path.get_mut(*length..).unwrap_or_default();
    for (place, byte) in rest.iter_mut().zip(bytes) {
        *place = *byte;
    }
    *length += bytes.len().min(rest.len());
}

/// The present name.
///
/// # Safety
/// The caller is opening the session, or has seen it opened.
pub unsafe fn path() -> &'static CStr {
    // SAFETY: by contract nobody writes now.
    let name = unsafe { &*NAME.0.get() };
    CStr::from_bytes_until_nul(&name.path).unwrap_or_default()
}

/// Tries names with rising counters as long as they exist.
///
/// # Safety
/// The caller is the thread that opens the session.
pub unsafe fn with_new_name<T>(
    pid: u32,
    epoch: u64,
    mut create: impl FnMut(&CStr) -> Result<T, Errno>,
) -> Result<T, Errno> {
    // SAFETY: by contract nobody else uses it now.
    let name = unsafe { &mut *NAME.0.get() };
    if name.prefix >= PATH_BYTES {
        return Err(Errno(libc::ENAMETOOLONG));
    }
    let mut counter = 0;
    loop {
        let mut length = name.prefix;
        for number in [u64::from(pid), epoch, counter] {
            append(&mut name.path, &mut length, b".");
            append(&mut name.path, &mut length, Decimal::new(number).bytes());
        }
        append(&mut name.path, &mut length, b"\0");
        match create(CStr::from_bytes_until_nul(&name.path).unwrap_or_default()) {
            Err(Errno(libc::EEXIST)) if counter < MOST_NAMES => counter += 1,
            result => return result,
        }
    }
}

/// Does something with the directory of the traces.
///
/// # Safety
/// The caller is the thread that opens the session.
pub unsafe fn in_directory<T>(work: impl FnOnce(&CStr) -> T) -> T {
    // SAFETY: by contract nobody else uses it now.
    let name = unsafe { &mut *NAME.0.get() };
    let prefix = name.path.get(..name.prefix).unwrap_or_default();
    let Some(slash) = prefix.iter().rposition(|&byte| byte == b'/') else { return work(c".") };
    let Some(behind) = name.path.get_mut(slash + 1) else { return work(c".") };
    // The path ends behind the slash for as long as it takes.
    let first = core::mem::replace(behind, 0);
    let result = work(CStr::from_bytes_until_nul(&name.path).unwrap_or_default());
    if let Some(behind) = name.path.get_mut(slash + 1) {
        *behind = first;
    }
    result
}
