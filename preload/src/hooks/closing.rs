//! `dlclose`: what is known of the code at an address is not so any more.

use core::ffi::{c_int, c_void};

use crate::record::call::modules_changed;

use super::next;
use super::optional;

/// Its result does not depend on its caller, unlike that of `dlopen`.
///
/// # Safety
/// As in POSIX.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn dlclose(handle: *mut c_void) -> c_int {
    next::resolve_once();
    let next = match optional::DLCLOSE.next() {
        0 => optional::DLCLOSE.late(),
        next => Some(next),
    };
    // Where nobody defines it, there is no handle.
    let Some(next) = next else { return -1 };
    // SAFETY: the address of a function of this type.
    let close: unsafe extern "C" fn(*mut c_void) -> c_int = unsafe { core::mem::transmute(next) };
    // SAFETY: by contract.
    let result = unsafe { close(handle) };
    modules_changed();
    result
}
