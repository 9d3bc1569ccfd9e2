//! The exported allocation functions. Each forwards to the next definition and records: a death
//! before the call, a birth after it.

use core::ffi::{c_int, c_void};
use core::ptr;

use mallook_format::{Kind, REALLOC_FRESH, Slot};

use crate::host::errno;
use crate::record::cold::{record_cold, record_odd_alignment};
use crate::record::hot::{record, record_hot};

use super::next;

type Pointer = *mut c_void;

/// Records a birth by a function that was asked for an alignment.
#[inline]
fn record_aligned(kind: Kind, alignment: usize, address: usize, size: usize) {
    if alignment.is_power_of_two() {
        record(kind, alignment.trailing_zeros() as u8, address, size);
    } else {
        record_odd_alignment(kind, alignment, address, size);
    }
}

/// Both moments of a reallocation by `function`.
///
/// # Safety
/// As `realloc`.
#[inline(always)]
unsafe fn reallocate(
    function: unsafe extern "C" fn(Pointer, usize) -> Pointer,
    [birth, death]: [Kind; 2],
    old: Pointer,
    size: usize,
) -> Pointer {
    if old.is_null() {
        // SAFETY: by contract.
        let new = unsafe { function(old, size) };
        return record(birth, REALLOC_FRESH, new as usize, size) as Pointer;
    }
    record(death, 0, old as usize, size);
    // SAFETY: by contract.
    let new = unsafe { function(old, size) };
    record(birth, 0, new as usize, size) as Pointer
}

/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn malloc(size: usize) -> Pointer {
    // SAFETY: by contract.
    let new = unsafe { next::MALLOC.get()(size) };
    record(Kind::Malloc, 0, new as usize, size) as Pointer
}

/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn calloc(count: usize, size: usize) -> Pointer {
    // SAFETY: by contract.
    let new = unsafe { next::CALLOC.get()(count, size) };
    record(Kind::Calloc, 0, new as usize, count.saturating_mul(size)) as Pointer
}

/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn realloc(old: Pointer, size: usize) -> Pointer {
    // SAFETY: by contract.
    unsafe { reallocate(next::REALLOC.get(), [Kind::Realloc, Kind::ReallocDeath], old, size) }
}

/// Composed from `realloc`, as glibc does it: its own would call back into our `realloc`.
///
/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn reallocarray(old: Pointer, count: usize, size: usize) -> Pointer {
    let (birth, death) = (Kind::Reallocarray, Kind::ReallocarrayDeath);
    let Some(product) = count.checked_mul(size) else {
        let fresh = if old.is_null() { REALLOC_FRESH } else { 0 };
        if !old.is_null() {
            record(death, 0, old as usize, usize::MAX);
        }
        record(birth, fresh, 0, usize::MAX);
        errno::set(libc::ENOMEM);
        return ptr::null_mut();
    };
    // SAFETY: by contract.
    unsafe { reallocate(next::PLAIN_REALLOC.get(), [birth, death], old, product) }
}

/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn free(block: Pointer) {
    let hot = next::FREE.is_resolved()
        && (block.is_null() || record_hot(Kind::Free, 0, block as usize, 0));
    if !hot {
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
    if !block.is_null() {
        record_cold(Slot::word0(Kind::Free, 0, 0), block as usize, 0);
    }
    // SAFETY: by contract.
    unsafe { next::FREE.get()(block) }
}

/// The old name of `free` on SunOS; glibc keeps it for old programs.
///
/// # Safety
/// As `free`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn cfree(block: Pointer) {
    if !block.is_null() {
        record(Kind::Cfree, 0, block as usize, 0);
    }
    // SAFETY: by contract.
    unsafe { next::PLAIN_FREE.get()(block) }
}

/// # Safety
/// As in C23.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn free_sized(block: Pointer, size: usize) {
    if !block.is_null() {
        record(Kind::FreeSized, 0, block as usize, size);
    }
    // SAFETY: by contract.
    unsafe { next::FREE_SIZED.get()(block, size) }
}

/// # Safety
/// As in C23.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn free_aligned_sized(block: Pointer, alignment: usize, size: usize) {
    if !block.is_null() {
        record_aligned(Kind::FreeAlignedSized, alignment, block as usize, size);
    }
    // SAFETY: by contract.
    unsafe { next::FREE_ALIGNED_SIZED.get()(block, alignment, size) }
}

/// # Safety
/// As in POSIX.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn posix_memalign(
    place: *mut Pointer,
    alignment: usize,
    size: usize,
) -> c_int {
    // SAFETY: by contract.
    let error = unsafe { next::POSIX_MEMALIGN.get()(place, alignment, size) };
    // SAFETY: on success the pointer was stored there; on failure it is left alone.
    let new = if error == 0 { (unsafe { *place }) as usize } else { 0 };
    record_aligned(Kind::PosixMemalign, alignment, new, size);
    error
}

/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn aligned_alloc(alignment: usize, size: usize) -> Pointer {
    // SAFETY: by contract.
    let new = unsafe { next::ALIGNED_ALLOC.get()(alignment, size) };
    record_aligned(Kind::AlignedAlloc, alignment, new as usize, size);
    new
}

/// # Safety
/// As in glibc.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn memalign(alignment: usize, size: usize) -> Pointer {
    // SAFETY: by contract.
    let new = unsafe { next::MEMALIGN.get()(alignment, size) };
    record_aligned(Kind::Memalign, alignment, new as usize, size);
    new
}

/// # Safety
/// As in glibc.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn valloc(size: usize) -> Pointer {
    // SAFETY: by contract.
    let new = unsafe { next::VALLOC.get()(size) };
    record(Kind::Valloc, 0, new as usize, size);
    new
}

/// # Safety
/// As in glibc.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn pvalloc(size: usize) -> Pointer {
    // SAFETY: by contract.
    let new = unsafe { next::PVALLOC.get()(size) };
    record(Kind::Pvalloc, 0, new as usize, size);
    new
}
