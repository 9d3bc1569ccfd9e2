//! Mappings of the file, each between two pages that nobody may touch: a program that writes past a
//! block of its own gets its fault, and not a trace with its bytes in it.

use crate::host::files::Fd;
use crate::host::memory::{self, PAGE};
use crate::host::syscall::{Errno, Result};

use super::inherited;

/// Maps the start of the file.
pub fn map_start(file: Fd, length: usize) -> Result<usize> {
    let reserved = memory::reserve(length + 2 * PAGE)? as usize;
    let address = reserved + PAGE;
    // SAFETY: a part of a range that was just given out.
    unsafe { memory::map_at(address as *mut u8, file, length) }.inspect_err(|_| {
        // SAFETY: as above.
        unsafe { memory::unmap(reserved, length + 2 * PAGE) };
    })?;
    // Holes are not read ahead: that would make large folios, which may take space as a whole, and
    // each page of which costs more in a large mapping.
    // SAFETY: changes no byte.
    let _ = unsafe { memory::advise(address as *const _, length, libc::MADV_RANDOM) };
    inherited::note(address, length);
    Ok(address)
}

/// Maps a later part of the file without a descriptor: `length` bytes, which begin `skip` bytes
/// behind the start of a page that is mapped at `known`, one page at least.
///
/// # Safety
/// The page must be one of a mapping of the file, and stay so meanwhile.
pub unsafe fn map_behind(known: usize, skip: usize, length: usize) -> Result<usize> {
    // SAFETY: by contract.
    let start = unsafe { memory::duplicate(known, skip + length + PAGE) }?;
    Ok(fence(start as usize, skip, length))
}

/// Maps a part of the file that begins one page after its start at least.
pub fn map_part(file: Fd, offset: u64, length: usize) -> Result<usize> {
    let before = offset.checked_sub(PAGE as u64).ok_or(Errno(libc::EINVAL))?;
    let start = memory::map(file, before, length + 2 * PAGE)?;
    Ok(fence(start as usize, PAGE, length))
}

/// Leaves `length` bytes of a fresh mapping, those after `skip`, and a page on either side, which
/// it forbids.
fn fence(start: usize, skip: usize, length: usize) -> usize {
    let address = start + skip;
    if skip > PAGE {
        // SAFETY: a part of a mapping that nobody knows.
        unsafe { memory::unmap(start, skip - PAGE) };
    }
    for guard in [address - PAGE, address + length] {
        // SAFETY: as above.
        unsafe { memory::forbid(guard, PAGE) };
    }
    // As in `map_start`: read ahead, holes become zeros in pages that are several times as many.
    // SAFETY: changes no byte.
    let _ = unsafe { memory::advise(address as *const _, length, libc::MADV_RANDOM) };
    inherited::note(address, length);
    address
}

/// Unmaps what one of the others has mapped.
///
/// # Safety
/// Nobody may use the mapping any more.
pub unsafe fn unmap(address: usize, length: usize) {
    inherited::forget(address);
    // SAFETY: by contract; the guards belong to the mapping.
    unsafe { memory::unmap(address - PAGE, length + 2 * PAGE) };
}
