//! System calls on files and descriptors.

use core::ffi::CStr;
use core::mem::MaybeUninit;

use super::signals::without_write_signals;
use super::syscall::{Result, call, uninterrupted};

/// A file descriptor. Not closed on drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fd(pub i32);

/// The identity of a file: equal for two descriptors of the same file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub device: u64,
    pub inode: u64,
}

pub fn open(path: &CStr, flags: i32, mode: u32) -> Result<Fd> {
    let at = [libc::AT_FDCWD as usize, path.as_ptr() as usize, flags as usize, mode as usize, 0, 0];
    // SAFETY: the path is a C string.
    uninterrupted(|| unsafe { call(libc::SYS_openat, at) }).map(|fd| Fd(fd as i32))
}

pub fn unlink(path: &CStr) {
    // SAFETY: the path is a C string. Nothing depends on the result.
    let _ = unsafe {
        call(libc::SYS_unlinkat, [libc::AT_FDCWD as usize, path.as_ptr() as usize, 0, 0, 0, 0])
    };
}

/// Gives the file of a descriptor a path. `number` is the descriptor in decimal.
pub fn link_descriptor(number: &[u8], path: &CStr) -> Result<()> {
    let mut link = *b"/proc/self/fd/\0\0\0\0\0\0\0\0\0\0\0\0";
    let places = link.iter_mut().skip(b"/proc/self/fd/".len());
    places.zip(number.iter().take(11)).for_each(|(place, digit)| *place = *digit);
    let args = [
        libc::AT_FDCWD as usize,
        link.as_ptr() as usize,
        libc::AT_FDCWD as usize,
        path.as_ptr() as usize,
        libc::AT_SYMLINK_FOLLOW as usize,
        0,
    ];
    // SAFETY: both are C strings.
    unsafe { call(libc::SYS_linkat, args) }.map(drop)
}

pub fn close(fd: Fd) {
    // SAFETY: callers close only descriptors that they opened or whose identity they checked.
    let _ = unsafe { call(libc::SYS_close, [fd.0 as usize, 0, 0, 0, 0, 0]) };
}

pub fn identity(fd: Fd) -> Result<Identity> {
    let stat = status(fd)?;
    Ok(Identity { device: stat.st_dev, inode: stat.st_ino })
}

/// Whether the file's length takes space although nothing was written: its file system knows no
/// holes.
pub fn has_no_holes(fd: Fd) -> bool {
    status(fd).is_ok_and(|stat| stat.st_blocks.saturating_mul(512) >= stat.st_size)
}

/// Whether the file system may put what overwrites a page elsewhere, so that the page needs new
/// space: in doubt it does.
pub fn copies_on_write(fd: Fd) -> bool {
    /// ext2 to ext4, tmpfs, ramfs (`include/uapi/linux/magic.h`).
    const IN_PLACE: [i64; 3] = [0xef53, 0x0102_1994, 0x8584_58f6];
    !kind(fd).is_some_and(|kind| IN_PLACE.contains(&kind))
}

/// Asks btrfs to overwrite an empty file in place: else each page that was written back, as after
/// some seconds, needs new space for its next slot, and on a full disk that is SIGBUS.
pub fn overwrite_in_place(fd: Fd) {
    const BTRFS: i64 = 0x9123_683e;
    /// `FS_IOC_GETFLAGS`, `FS_IOC_SETFLAGS`, `FS_NOCOW_FL` (`include/uapi/linux/fs.h`).
    const GET: usize = 0x8008_6601;
    const SET: usize = 0x4008_6602;
    const NO_COPY: usize = 0x0080_0000;
    if kind(fd) != Some(BTRFS) {
        return;
    }
    let mut flags = 0usize;
    let control = |request: usize, flags: &mut usize| {
        let args = [fd.0 as usize, request, core::ptr::from_mut(flags) as usize, 0, 0, 0];
        // SAFETY: both read or write an int, though their numbers say a long.
        unsafe { call(libc::SYS_ioctl, args) }
    };
    if control(GET, &mut flags).is_ok() {
        flags |= NO_COPY;
        // Without it the trace is as good while there is space.
        let _ = control(SET, &mut flags);
    }
}

/// The magic number of the file system.
fn kind(fd: Fd) -> Option<i64> {
    let mut stat = MaybeUninit::<libc::statfs>::uninit();
    let args = [fd.0 as usize, stat.as_mut_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the buffer has the size of the structure.
    unsafe { call(libc::SYS_fstatfs, args) }.ok()?;
    // SAFETY: the call succeeded, so the kernel filled it.
    Some(unsafe { stat.assume_init() }.f_type)
}

fn status(fd: Fd) -> Result<libc::stat> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the buffer has the size of the structure.
    unsafe { call(libc::SYS_fstat, [fd.0 as usize, stat.as_mut_ptr() as usize, 0, 0, 0, 0]) }?;
    // SAFETY: the call succeeded, so the kernel filled it.
    Ok(unsafe { stat.assume_init() })
}

/// The owner and the version of a regular file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// The user who owns the file.
    pub owner: u32,
    inode: u64,
    /// When it was changed the last time: seconds and nanoseconds.
    changed: [i64; 2],
}

/// The version of this file, which another one, or one that was written again, does not have; `None` if it is
/// no regular file.
pub fn version(fd: Fd) -> Option<Version> {
    let stat = status(fd).ok()?;
    let (owner, inode, changed) = (stat.st_uid, stat.st_ino, [stat.st_ctime, stat.st_ctime_nsec]);
    (stat.st_mode & libc::S_IFMT == libc::S_IFREG).then_some(Version { owner, inode, changed })
}

/// Fills the buffer as far as the file goes; returns the number of bytes that were read.
pub fn read(fd: Fd, buffer: &mut [u8]) -> Result<usize> {
    let args = [fd.0 as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0];
    // SAFETY: the kernel writes into the buffer at most.
    uninterrupted(|| unsafe { call(libc::SYS_read, args) })
}

/// Whether a short write would not wait.
pub fn takes_bytes(fd: Fd) -> bool {
    let mut look = libc::pollfd { fd: fd.0, events: libc::POLLOUT, revents: 0 };
    let args = [&raw mut look as usize, 1, 0, 0, 0, 0];
    // SAFETY: one structure, which the kernel reads and writes. It does not wait.
    let ready = unsafe { call(libc::SYS_poll, args) };
    ready == Ok(1) && look.revents & libc::POLLOUT != 0
}

/// Writes as many of the bytes as it can. With signals blocked.
pub fn write(fd: Fd, bytes: &[u8]) {
    let args = [fd.0 as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0];
    // SAFETY: the kernel only reads the bytes. Nothing depends on the result.
    let _ = without_write_signals(|| unsafe { call(libc::SYS_write, args) });
}

/// Allocates space in the file; extends it where necessary, never shrinks it. With signals blocked.
pub fn allocate(fd: Fd, offset: u64, length: u64) -> Result<()> {
    let args = [fd.0 as usize, 0, offset as usize, length as usize, 0, 0];
    // SAFETY: no memory is involved.
    without_write_signals(|| uninterrupted(|| unsafe { call(libc::SYS_fallocate, args) })).map(drop)
}

/// Sets the length of the file. With signals blocked.
///
/// # Safety
/// Nobody may touch a mapping of a part that is cut off.
pub unsafe fn set_length(fd: Fd, length: u64) -> Result<()> {
    let args = [fd.0 as usize, length as usize, 0, 0, 0, 0];
    // SAFETY: by contract.
    let set = || uninterrupted(|| unsafe { call(libc::SYS_ftruncate, args) });
    without_write_signals(set).map(drop)
}

/// The current directory, with its terminating zero; returns its length with the zero.
pub fn current_directory(buffer: &mut [u8]) -> Result<usize> {
    let args = [buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0, 0];
    // SAFETY: the kernel writes into the buffer at most.
    unsafe { call(libc::SYS_getcwd, args) }
}

/// Reads the target of a symbolic link; returns its length.
pub fn read_link(path: &CStr, buffer: &mut [u8]) -> Result<usize> {
    let args = [path.as_ptr() as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0];
    // SAFETY: the path is a C string, the kernel writes into the buffer at most.
    unsafe { call(libc::SYS_readlink, args) }
}
