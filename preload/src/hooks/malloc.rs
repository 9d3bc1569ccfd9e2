//! The allocation functions that programs call most. Each forwards to the next definition and
//! records: a death before the call, a birth after it. Where calls are recorded with their call
//! stacks, and as long as that is not known, they step [aside].

use core::ffi::c_void;

use mallook_format::{Kind, Slot};

use crate::record::cold::record_cold;
use crate::record::hot::{record, record_hot};

use super::{aside, next};

type Pointer = *mut c_void;

/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn malloc(size: usize) -> Pointer {
    let Some(function) = next::MALLOC.plain() else {
        // SAFETY: by contract.
        return unsafe { aside::malloc(size) };
    };
    // SAFETY: by contract.
    let new = unsafe { function(size) };
    record(Kind::Malloc, 0, new as usize, size) as Pointer
}

/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn calloc(count: usize, size: usize) -> Pointer {
    let Some(function) = next::CALLOC.plain() else {
        // SAFETY: by contract.
        return unsafe { aside::calloc(count, size) };
    };
    // SAFETY: by contract.
    let new = unsafe { function(count, size) };
    record(Kind::Calloc, 0, new as usize, count.saturating_mul(size)) as Pointer
}

/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn realloc(old: Pointer, size: usize) -> Pointer {
    let Some(function) = next::REALLOC.plain() else {
        // SAFETY: by contract.
        return unsafe { aside::realloc(old, size) };
    };
    let born = |aux, new| record(Kind::Realloc, aux, new, size);
    // SAFETY: by contract.
    unsafe { aside::reallocate(function, Kind::ReallocDeath, old, size, born) }
}

/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn free(block: Pointer) {
    if !next::FREE.is_plain() {
        // SAFETY: by contract.
        return unsafe { aside::free(block) };
    }
    if !block.is_null() && !record_hot(Kind::Free, 0, block as usize, 0) {
        // SAFETY: by contract.
        return unsafe { free_cold(block) };
    }
    // SAFETY: it is resolved.
    let free = unsafe { next::FREE.resolved() };
    // SAFETY: by contract.
    unsafe { free(block) }
}

/// The rest of `free`, in a function of its own: so `free` ends in a jump and needs no stack.
///
/// # Safety
/// As `free`.
#[cold]
#[inline(never)]
unsafe extern "C" fn free_cold(block: Pointer) {
    record_cold(Slot::word0(Kind::Free, 0, 0), block as usize, 0);
    // SAFETY: by contract.
    unsafe { next::FREE.get()(block) }
}
