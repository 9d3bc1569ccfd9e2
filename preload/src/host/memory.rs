//! System calls on memory.

use core::ffi::c_void;

use super::files::Fd;
use super::syscall::{Result, call};

/// Maps a range of the file, shared, readable and writable, at an address of the kernel's choice.
pub fn map(fd: Fd, offset: u64, length: usize) -> Result<*mut u8> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let args =
        [0, length, protection as usize, libc::MAP_SHARED as usize, fd.0 as usize, offset as usize];
    // SAFETY: a fresh address range is given out; no existing memory changes.
    unsafe { call(libc::SYS_mmap, args) }.map(|address| address as *mut u8)
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

/// Unmaps a range.
///
/// # Safety
/// The range must be a mapping that nobody uses any more.
pub unsafe fn unmap(address: *mut u8, length: usize) {
    // SAFETY: by contract.
    let _ = unsafe { call(libc::SYS_munmap, [address as usize, length, 0, 0, 0, 0]) };
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
