//! System calls on memory.

use core::ffi::c_void;

use super::files::Fd;
use super::syscall::{Result, call};

/// Size of a page, on x86-64.
pub const PAGE: usize = 4096;

/// Maps a range of the file, shared, readable and writable, at an address of the kernel's choice.
pub fn map(fd: Fd, offset: u64, length: usize) -> Result<*mut u8> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let args =
        [0, length, protection as usize, libc::MAP_SHARED as usize, fd.0 as usize, offset as usize];
    // SAFETY: a fresh address range is given out; no existing memory changes.
    unsafe { call(libc::SYS_mmap, args) }.map(|address| address as *mut u8)
}

/// Maps private zeros, readable and writable.
pub fn map_private(length: usize) -> Result<*mut u8> {
    map_zeros(length, libc::PROT_READ | libc::PROT_WRITE)
}

/// Reserves a range of addresses, of which nothing can be read or written.
pub fn reserve(length: usize) -> Result<*mut u8> {
    map_zeros(length, libc::PROT_NONE)
}

fn map_zeros(length: usize, protection: i32) -> Result<*mut u8> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let args = [0, length, protection as usize, flags as usize, usize::MAX, 0];
    // SAFETY: a fresh address range is given out; no existing memory changes.
    unsafe { call(libc::SYS_mmap, args) }.map(|address| address as *mut u8)
}

/// As [`map`], from the start of the file, at this address.
///
/// # Safety
/// The range must be one of the caller's that nobody uses.
pub unsafe fn map_at(address: *mut u8, fd: Fd, length: usize) -> Result<()> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_FIXED;
    let args = [address as usize, length, protection as usize, flags as usize, fd.0 as usize, 0];
    // SAFETY: by contract.
    unsafe { call(libc::SYS_mmap, args) }.map(drop)
}

/// Maps once more what is mapped at the page `address`, and what follows it in the file, at an
/// address of the kernel's choice: for a length of 0 that is what `mremap` does with a shared
/// mapping.
///
/// # Safety
/// The page must be one of a shared mapping of the caller's, and stay so meanwhile.
pub unsafe fn duplicate(address: usize, length: usize) -> Result<*mut u8> {
    let args = [address, 0, length, libc::MREMAP_MAYMOVE as usize, 0, 0];
    // SAFETY: a fresh address range is given out; the mapping stays as it is.
    unsafe { call(libc::SYS_mremap, args) }.map(|address| address as *mut u8)
}

/// Makes a range one of which nothing can be read or written.
///
/// # Safety
/// The range must be a mapping that nobody uses.
pub unsafe fn forbid(address: usize, length: usize) {
    let args = [address, length, libc::PROT_NONE as usize, 0, 0, 0];
    // SAFETY: by contract. Nothing depends on the result.
    let _ = unsafe { call(libc::SYS_mprotect, args) };
}

/// Faults pages of a shared mapping in for writing, which reserves their space in the file, and
/// fails where a write would raise SIGBUS.
pub fn populate(address: usize, length: usize) -> Result<()> {
    if length > PAGE {
        // Read in one go, pages cost less than each at its fault. That it fails only costs time.
        let args = [address, length, libc::MADV_WILLNEED as usize, 0, 0, 0];
        // SAFETY: changes no byte.
        let _ = unsafe { call(libc::SYS_madvise, args) };
    }
    let args = [address, length, libc::MADV_POPULATE_WRITE as usize, 0, 0, 0];
    // SAFETY: changes no byte.
    unsafe { call(libc::SYS_madvise, args) }.map(drop)
}

/// Replaces a mapping by private zeros.
///
/// # Safety
/// Nobody may need the contents of the range.
pub unsafe fn detach(address: usize, length: usize) {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
    let args = [address, length, protection as usize, flags as usize, usize::MAX, 0];
    // SAFETY: by contract.
    let _ = unsafe { call(libc::SYS_mmap, args) };
}

/// Fills a range with zeros.
///
/// # Safety
/// The range must be writable, and nobody may use it meanwhile.
pub unsafe fn zero(address: *mut u8, length: usize) {
    // SAFETY: by contract.
    unsafe { core::ptr::write_bytes(address, 0, length) };
}

/// Unmaps a range.
///
/// # Safety
/// The range must be a mapping that nobody uses any more.
pub unsafe fn unmap(address: usize, length: usize) {
    // SAFETY: by contract.
    let _ = unsafe { call(libc::SYS_munmap, [address, length, 0, 0, 0, 0]) };
}

/// Gives advice about a range.
///
/// # Safety
/// The advice must be sound for what lies in the range.
pub unsafe fn advise(address: *const c_void, length: usize, advice: i32) -> Result<()> {
    let args = [address as usize, length, advice as usize, 0, 0, 0];
    // SAFETY: by contract.
    unsafe { call(libc::SYS_madvise, args) }.map(drop)
}

/// Sets the protection of pages.
///
/// # Safety
/// Nobody needs what the new protection forbids.
pub unsafe fn protect(address: usize, length: usize, protection: i32) -> Result<()> {
    // SAFETY: by contract.
    unsafe { call(libc::SYS_mprotect, [address, length, protection as usize, 0, 0, 0]) }.map(drop)
}
