//! Stand-ins for functions that nobody defines: composed from others where that is possible, a
//! failure otherwise.

use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::host::{errno, syscall};

type Pointer = *mut c_void;
type Strings = *const *const c_char;

/// The address of `free`. Relaxed: it is there before any function here can be called.
static FREE: AtomicUsize = AtomicUsize::new(0);

/// Notes the `free` that those of C23 are composed from.
pub fn set_free(address: usize) {
    FREE.store(address, Ordering::Relaxed);
}

/// # Safety
/// As `free`.
unsafe fn free_by(block: Pointer) {
    let address = FREE.load(Ordering::Relaxed);
    // SAFETY: the address of a function with this type, or none.
    let free: Option<unsafe extern "C" fn(Pointer)> = unsafe { core::mem::transmute(address) };
    if let Some(free) = free {
        // SAFETY: by contract.
        unsafe { free(block) }
    }
}

fn out_of_memory() -> Pointer {
    errno::set(libc::ENOMEM);
    core::ptr::null_mut()
}
pub unsafe extern "C" fn malloc(_size: usize) -> Pointer {
    out_of_memory()
}
pub unsafe extern "C" fn calloc(_count: usize, _size: usize) -> Pointer {
    out_of_memory()
}
pub unsafe extern "C" fn realloc(_old: Pointer, _size: usize) -> Pointer {
    out_of_memory()
}
pub unsafe extern "C" fn memalign(_alignment: usize, _size: usize) -> Pointer {
    out_of_memory()
}
pub unsafe extern "C" fn free(_block: Pointer) {}
pub unsafe extern "C" fn free_sized(block: Pointer, _size: usize) {
    // SAFETY: as the caller's; C23 7.24.3.5 defines this as `free` with a hint.
    unsafe { free_by(block) }
}
pub unsafe extern "C" fn free_aligned_sized(block: Pointer, _alignment: usize, _size: usize) {
    // SAFETY: as the caller's; C23 7.24.3.4 defines this as `free` with hints.
    unsafe { free_by(block) }
}
pub unsafe extern "C" fn posix_memalign(_: *mut Pointer, _: usize, _: usize) -> c_int {
    libc::ENOMEM
}

fn not_there() -> c_int {
    errno::set(libc::ENOSYS);
    -1
}
pub unsafe extern "C" fn fork() -> libc::pid_t {
    not_there()
}
pub unsafe extern "C" fn execve(_: *const c_char, _: Strings, _: Strings) -> c_int {
    not_there()
}
pub unsafe extern "C" fn execveat(
    directory: c_int,
    path: *const c_char,
    arguments: Strings,
    environment: Strings,
    flags: c_int,
) -> c_int {
    // SAFETY: as the caller's; glibc before 2.34 has the call but no function for it.
    let result = unsafe {
        syscall::call(
            libc::SYS_execveat,
            [
                directory as usize,
                path as usize,
                arguments as usize,
                environment as usize,
                flags as usize,
                0,
            ],
        )
    };
    errno::set(result.err().map_or(0, |errno| errno.0));
    -1
}
pub unsafe extern "C" fn fexecve(_: c_int, _: Strings, _: Strings) -> c_int {
    not_there()
}
pub unsafe extern "C" fn execv(_: *const c_char, _: Strings) -> c_int {
    not_there()
}
pub unsafe extern "C" fn spawn() -> c_int {
    libc::ENOSYS
}
pub unsafe extern "C" fn popen(_: *const c_char, _: *const c_char) -> Pointer {
    not_there();
    core::ptr::null_mut()
}
pub unsafe extern "C" fn one_id(_: libc::uid_t) -> c_int {
    not_there()
}
pub unsafe extern "C" fn two_ids(_: libc::uid_t, _: libc::uid_t) -> c_int {
    not_there()
}
pub unsafe extern "C" fn three_ids(_: libc::uid_t, _: libc::uid_t, _: libc::uid_t) -> c_int {
    not_there()
}
pub unsafe extern "C" fn setgroups(_: usize, _: *const libc::gid_t) -> c_int {
    not_there()
}
pub unsafe extern "C" fn initgroups(_: *const c_char, _: libc::gid_t) -> c_int {
    not_there()
}
pub unsafe extern "C" fn chroot(_: *const c_char) -> c_int {
    not_there()
}
pub unsafe extern "C" fn unshare(_: c_int) -> c_int {
    not_there()
}
pub unsafe extern "C" fn setns(_: c_int, _: c_int) -> c_int {
    not_there()
}
pub unsafe extern "C" fn pivot_root(_: *const c_char, _: *const c_char) -> c_int {
    not_there()
}
pub unsafe extern "C" fn setrlimit(_: c_int, _: *const c_void) -> c_int {
    not_there()
}
pub unsafe extern "C" fn prlimit(_: libc::pid_t, _: c_int, _: *const c_void, _: Pointer) -> c_int {
    not_there()
}
pub unsafe extern "C" fn pthread_getcpuclockid(
    _: libc::pthread_t,
    _: *mut libc::clockid_t,
) -> c_int {
    libc::ESRCH
}
pub unsafe extern "C" fn exit(code: c_int) {
    // SAFETY: ends the process.
    let _ = unsafe { syscall::call(libc::SYS_exit_group, [code as usize, 0, 0, 0, 0, 0]) };
}
pub unsafe extern "C" fn prctl(_: c_int) -> c_int {
    not_there()
}
pub unsafe extern "C" fn syscall(_: libc::c_long) -> libc::c_long {
    not_there().into()
}
pub unsafe extern "C" fn pthread_setname_np(_: libc::pthread_t, _: *const c_char) -> c_int {
    libc::ENOSYS
}
pub unsafe extern "C" fn execl(_: *const c_char, _: *const c_char) -> c_int {
    not_there()
}
