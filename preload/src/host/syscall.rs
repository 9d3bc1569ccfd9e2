//! Raw system calls. They never touch `errno`, never allocate and are no cancellation points.

use libc::c_long;

/// The error number of a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// The error in words.
    pub fn describe(self) -> &'static [u8] {
        match self.0 {
            libc::ENOENT => b"no such directory",
            libc::EACCES | libc::EPERM => b"not permitted",
            libc::ENOSPC => b"no space left",
            libc::EDQUOT => b"quota exceeded",
            libc::EROFS => b"read-only file system",
            libc::EMFILE | libc::ENFILE => b"too many open files",
            libc::EOPNOTSUPP | libc::ENODEV | libc::EINVAL => b"not supported there",
            libc::ENOMEM => b"no memory",
            libc::ENAMETOOLONG => b"name too long",
            libc::EFBIG => b"too large",
            _ => b"error",
        }
    }

    /// Whether what is missing may be there later.
    pub fn may_pass(self) -> bool {
        let passing = [libc::ENOSPC, libc::EDQUOT, libc::ENOMEM, libc::EAGAIN];
        passing.contains(&self.0) || matches!(self.0, libc::EMFILE | libc::ENFILE)
    }
}

/// The result of a system call.
pub type Result<T> = core::result::Result<T, Errno>;

/// A system call with up to six arguments.
///
/// # Safety
/// As the system call itself.
#[inline]
pub unsafe fn call(number: c_long, args: [usize; 6]) -> Result<usize> {
    let result: isize;
    // SAFETY: the kernel's calling convention on x86-64: arguments in these registers, rcx and r11
    // clobbered; the caller vouches for the effect on memory.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    if (-4095..0).contains(&result) { Err(Errno(-result as i32)) } else { Ok(result as usize) }
}

/// Repeats a call that a signal interrupted.
pub fn uninterrupted<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(Errno(libc::EINTR)) => {}
            result => return result,
        }
    }
}
