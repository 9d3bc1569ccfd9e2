//! The thread's `errno`, for the hooks: what the recorder does never touches it.

use core::ffi::c_int;

/// Its value.
pub fn get() -> c_int {
    // SAFETY: returns the address of the thread's errno.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    unsafe { *place }
}

/// Sets it, for a call that fails without any function below us having seen it.
pub fn set(value: c_int) {
    // SAFETY: returns the address of the thread's errno.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    unsafe { *place = value };
}
