//! Raw system calls. They never touch `errno`, never allocate and are no cancellation points.

use core::ffi::{CStr, c_void};
use core::mem::MaybeUninit;

use libc::c_long;

/// The negated error number of a failed call, as the kernel returns it, made positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// The usual reasons in words.
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
}

type Result<T> = core::result::Result<T, Errno>;

/// A system call with up to six arguments.
///
/// # Safety
/// As the system call itself.
#[inline]
unsafe fn call(number: c_long, args: [usize; 6]) -> Result<usize> {
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
fn uninterrupted<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(Errno(libc::EINTR)) => {}
            result => return result,
        }
    }
}

/// A file descriptor. Not closed on drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fd(pub i32);

/// What makes a file the same file.
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

/// Gives the file behind a descriptor, whose number is given in decimal, a name.
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

/// Duplicates the descriptor to the lowest free one from `least` on, closed on exec.
pub fn duplicate_from(fd: Fd, least: i32) -> Result<Fd> {
    let args = [fd.0 as usize, libc::F_DUPFD_CLOEXEC as usize, least as usize, 0, 0, 0];
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_fcntl, args) }.map(|fd| Fd(fd as i32))
}

pub fn close(fd: Fd) {
    // SAFETY: callers close only descriptors that they opened or whose identity they checked.
    let _ = unsafe { call(libc::SYS_close, [fd.0 as usize, 0, 0, 0, 0, 0]) };
}

pub fn identity(fd: Fd) -> Result<Identity> {
    let stat = status(fd)?;
    Ok(Identity { device: stat.st_dev, inode: stat.st_ino })
}

fn status(fd: Fd) -> Result<libc::stat> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the buffer has the size of the structure.
    unsafe { call(libc::SYS_fstat, [fd.0 as usize, stat.as_mut_ptr() as usize, 0, 0, 0, 0]) }?;
    // SAFETY: the call succeeded, so the kernel filled it.
    Ok(unsafe { stat.assume_init() })
}

/// Fills the buffer as far as the file goes; returns what was read.
pub fn read(fd: Fd, buffer: &mut [u8]) -> Result<usize> {
    let args = [fd.0 as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0];
    // SAFETY: the kernel writes into the buffer at most.
    uninterrupted(|| unsafe { call(libc::SYS_read, args) })
}

/// Writes what can be written. With signals blocked.
pub fn write(fd: Fd, bytes: &[u8]) {
    let args = [fd.0 as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0];
    // SAFETY: the kernel only reads the bytes. Nothing depends on the result.
    let _ = without_signals(|| unsafe { call(libc::SYS_write, args) });
}

/// Allocates space in the file; extends it where necessary, never shrinks it. With signals blocked.
pub fn allocate(fd: Fd, offset: u64, length: u64) -> Result<()> {
    let args = [fd.0 as usize, 0, offset as usize, length as usize, 0, 0];
    // SAFETY: no memory is involved.
    without_signals(|| uninterrupted(|| unsafe { call(libc::SYS_fallocate, args) })).map(drop)
}

/// Cuts the file, if it is longer.
///
/// # Safety
/// Nobody may touch a mapping of what is cut off.
pub unsafe fn truncate(fd: Fd, length: u64) -> Result<()> {
    if status(fd)?.st_size as u64 <= length {
        return Ok(());
    }
    let args = [fd.0 as usize, length as usize, 0, 0, 0, 0];
    // SAFETY: by contract.
    uninterrupted(|| unsafe { call(libc::SYS_ftruncate, args) }).map(drop)
}

/// The signals that a failing write sends to its own process, as bits of a signal set.
const WRITE_SIGNALS: u64 = 1 << (libc::SIGPIPE - 1) | 1 << (libc::SIGXFSZ - 1);

/// Makes a call, with signals blocked, and takes back the signal that it sends when it fails: the
/// host has written nothing and must not die of it.
fn without_signals<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = pending_signals();
    let result = call();
    if matches!(result, Err(Errno(libc::EPIPE | libc::EFBIG))) {
        let ours = pending_signals() & WRITE_SIGNALS & !before;
        if ours != 0 {
            take_signal(ours);
        }
    }
    result
}

fn pending_signals() -> u64 {
    let mut set = 0u64;
    let args = [&raw mut set as usize, size_of::<u64>(), 0, 0, 0, 0];
    // SAFETY: the kernel writes 8 bytes.
    let _ = unsafe { call(libc::SYS_rt_sigpending, args) };
    set
}

/// Takes one pending signal of the set, without waiting.
fn take_signal(set: u64) {
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let args = [&raw const set as usize, 0, &raw const now as usize, size_of::<u64>(), 0, 0];
    // SAFETY: the kernel reads the set and the time.
    let _ = unsafe { call(libc::SYS_rt_sigtimedwait, args) };
}

/// Maps a range of the file, shared, readable and writable, where the kernel likes.
pub fn map(fd: Fd, offset: u64, length: usize) -> Result<*mut u8> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let args =
        [0, length, protection as usize, libc::MAP_SHARED as usize, fd.0 as usize, offset as usize];
    // SAFETY: a fresh address range is given out; no existing memory changes.
    unsafe { call(libc::SYS_mmap, args) }.map(|address| address as *mut u8)
}

/// Puts private zeros in the place of a mapping.
///
/// # Safety
/// What is stored in the range must not matter to anybody.
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

/// A system clock.
pub fn clock(clock: libc::clockid_t) -> libc::timespec {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes the structure.
    let _ = unsafe {
        call(libc::SYS_clock_gettime, [clock as usize, &raw mut time as usize, 0, 0, 0, 0])
    };
    time
}

/// A call without arguments that cannot fail.
fn number_of(number: c_long) -> u32 {
    // SAFETY: only used for calls that take nothing and touch no memory.
    unsafe { call(number, [0; 6]) }.unwrap_or(0) as u32
}

pub fn pid() -> u32 {
    number_of(libc::SYS_getpid)
}

pub fn parent_pid() -> u32 {
    number_of(libc::SYS_getppid)
}

pub fn tid() -> u32 {
    number_of(libc::SYS_gettid)
}

pub fn yield_now() {
    number_of(libc::SYS_sched_yield);
}

/// Whether the thread is gone. In doubt it is not.
pub fn thread_is_dead(pid: u32, tid: u32) -> bool {
    // SAFETY: signal 0 is not delivered, the call only looks the thread up.
    let result = unsafe { call(libc::SYS_tgkill, [pid as usize, tid as usize, 0, 0, 0, 0]) };
    result == Err(Errno(libc::ESRCH))
}

/// The calling thread's name, padded with zeros.
pub fn thread_name() -> [u64; 2] {
    let mut name = [0u64; 2];
    let args = [libc::PR_GET_NAME as usize, name.as_mut_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the kernel writes 16 bytes.
    let _ = unsafe { call(libc::SYS_prctl, args) };
    name
}

/// Whether the processor lets this process read the time-stamp counter.
pub fn tsc_is_readable() -> bool {
    let mut mode = 0i32;
    let args = [libc::PR_GET_TSC as usize, &raw mut mode as usize, 0, 0, 0, 0];
    // SAFETY: the kernel writes an int.
    let result = unsafe { call(libc::SYS_prctl, args) };
    result.is_ok() && mode == libc::PR_TSC_ENABLE
}

/// The soft limit of a resource; `u64::MAX` for none.
pub fn soft_limit(resource: u32) -> u64 {
    let mut limit = libc::rlimit64 { rlim_cur: u64::MAX, rlim_max: u64::MAX };
    let args = [0, resource as usize, 0, &raw mut limit as usize, 0, 0];
    // SAFETY: the kernel writes the structure.
    let _ = unsafe { call(libc::SYS_prlimit64, args) };
    limit.rlim_cur
}

/// The current directory, with its terminating zero; returns its length with the zero.
pub fn current_directory(buffer: &mut [u8]) -> Result<usize> {
    let args = [buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0, 0];
    // SAFETY: the kernel writes into the buffer at most.
    unsafe { call(libc::SYS_getcwd, args) }
}

/// Where a symbolic link points to; returns the length.
pub fn read_link(path: &CStr, buffer: &mut [u8]) -> Result<usize> {
    let args = [path.as_ptr() as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0];
    // SAFETY: the path is a C string, the kernel writes into the buffer at most.
    unsafe { call(libc::SYS_readlink, args) }
}

/// The host name, padded with zeros.
pub fn hostname() -> [u8; 64] {
    let mut names = MaybeUninit::<libc::utsname>::zeroed();
    // SAFETY: the buffer has the size of the structure.
    let _ = unsafe { call(libc::SYS_uname, [names.as_mut_ptr() as usize, 0, 0, 0, 0, 0]) };
    // SAFETY: arrays of bytes, zeroed before.
    let names = unsafe { names.assume_init() };
    core::array::from_fn(|i| names.nodename[i] as u8)
}

/// While it lives, the calling thread gets no signal.
pub struct SignalsBlocked {
    before: u64,
}

impl SignalsBlocked {
    pub fn new() -> SignalsBlocked {
        let mut before = 0;
        set_mask(libc::SIG_SETMASK, &u64::MAX, Some(&mut before));
        SignalsBlocked { before }
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        set_mask(libc::SIG_SETMASK, &self.before, None);
    }
}

fn set_mask(how: i32, new: &u64, old: Option<&mut u64>) {
    let old = old.map_or(core::ptr::null_mut(), core::ptr::from_mut);
    let args =
        [how as usize, core::ptr::from_ref(new) as usize, old as usize, size_of::<u64>(), 0, 0];
    // SAFETY: the kernel's signal set is 8 bytes; it reads the new one and writes the old one.
    let _ = unsafe { call(libc::SYS_rt_sigprocmask, args) };
}
