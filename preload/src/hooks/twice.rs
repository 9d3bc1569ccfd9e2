//! Copies of this library in one process, as where `LD_PRELOAD` names two paths: the first one
//! records, all others pass calls on, and are passed over by the first.

use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

use crate::host::elf::Object;
use crate::host::stderr;
use crate::session::{environment, other_copy};

/// The path of the first copy.
static PATH: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// Marks this library for its copies.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub extern "C" fn mallook_recorder() {}

/// Notes the copy that comes before this one.
pub fn found(first: &Object) {
    if !other_copy::is_found() {
        let path = first.path();
        LENGTH.store(path.len(), Relaxed);
        PATH.store(path.as_ptr().cast_mut(), Relaxed);
        other_copy::found();
    }
}

/// Says so, if there is one. At the start of a program, or when this copy is loaded.
#[cfg_attr(test, allow(dead_code, reason = "only the loader calls it"))]
pub fn say() {
    if other_copy::is_found() && !environment::is_privileged() {
        stderr::remember_stderr();
        // SAFETY: both are of a path of the loader's, which has the copy loaded now.
        let path = unsafe { core::slice::from_raw_parts(PATH.load(Relaxed), LENGTH.load(Relaxed)) };
        stderr::UNSEEN
            .say([&b"the recorder is loaded twice, and only the first one records: "[..], path]);
    }
}
