//! Allocation functions that know where they were called from, for call stacks: all of those that
//! are called seldom, and the frequent ones where there are call stacks, or it is not known yet.

use core::ffi::{c_int, c_void};
use core::ptr;

use mallook_format::{Kind, REALLOC_FRESH};

use crate::host::errno;
use crate::record::call::{Call, Caller, record_birth, record_death};
use crate::record::hot::record;

use super::next;
use super::trampoline::with_caller;

type Pointer = *mut c_void;

with_caller! {
    fn malloc(size: usize) -> Pointer => malloc_from;
    fn calloc(count: usize, size: usize) -> Pointer => calloc_from;
    fn realloc(old: Pointer, size: usize) -> Pointer => realloc_from;
    fn free(block: Pointer) -> () => free_from;
    #[cfg_attr(not(test), unsafe(no_mangle))]
    fn reallocarray(old: Pointer, count: usize, size: usize) -> Pointer => reallocarray_from;
    #[cfg_attr(not(test), unsafe(no_mangle))]
    fn cfree(block: Pointer) -> () => cfree_from;
    #[cfg_attr(not(test), unsafe(no_mangle))]
    fn free_sized(block: Pointer, size: usize) -> () => free_sized_from;
    #[cfg_attr(not(test), unsafe(no_mangle))]
    fn free_aligned_sized(block: Pointer, alignment: usize, size: usize) -> ()
        => free_aligned_sized_from;
    #[cfg_attr(not(test), unsafe(no_mangle))]
    fn posix_memalign(place: *mut Pointer, alignment: usize, size: usize) -> c_int
        => posix_memalign_from;
    #[cfg_attr(not(test), unsafe(no_mangle))]
    fn aligned_alloc(alignment: usize, size: usize) -> Pointer => aligned_alloc_from;
    #[cfg_attr(not(test), unsafe(no_mangle))]
    fn memalign(alignment: usize, size: usize) -> Pointer => memalign_from;
    #[cfg_attr(not(test), unsafe(no_mangle))]
    fn valloc(size: usize) -> Pointer => valloc_from;
    #[cfg_attr(not(test), unsafe(no_mangle))]
    fn pvalloc(size: usize) -> Pointer => pvalloc_from;
}

/// Both moments of a reallocation by `function`; `born` records the second one.
///
/// # Safety
/// As `realloc`.
#[inline(always)]
pub unsafe fn reallocate(
    function: unsafe extern "C" fn(Pointer, usize) -> Pointer,
    death: Kind,
    old: Pointer,
    size: usize,
    born: impl FnOnce(u8, usize) -> usize,
) -> Pointer {
    if old.is_null() {
        // SAFETY: by contract.
        let new = unsafe { function(old, size) };
        return born(REALLOC_FRESH, new as usize) as Pointer;
    }
    record(death, 0, old as usize, size);
    // SAFETY: by contract.
    let new = unsafe { function(old, size) };
    born(0, new as usize) as Pointer
}

/// # Safety
/// As `malloc`; so that of all others as that of the function that it stands for.
unsafe extern "C" fn malloc_from(
    size: usize,
    _: usize,
    _: usize,
    _: usize,
    caller: Caller,
) -> Pointer {
    // SAFETY: by contract.
    let new = unsafe { next::MALLOC.get()(size) };
    if record_birth(&Call::new(Kind::Malloc, new as usize, size), caller) {
        next::MALLOC.set_plain();
    }
    new
}

unsafe extern "C" fn calloc_from(
    count: usize,
    size: usize,
    _: usize,
    _: usize,
    caller: Caller,
) -> Pointer {
    // SAFETY: by contract.
    let new = unsafe { next::CALLOC.get()(count, size) };
    let size = count.saturating_mul(size);
    if record_birth(&Call::new(Kind::Calloc, new as usize, size), caller) {
        next::CALLOC.set_plain();
    }
    new
}

unsafe extern "C" fn realloc_from(
    old: Pointer,
    size: usize,
    _: usize,
    _: usize,
    caller: Caller,
) -> Pointer {
    let born = |aux, new| {
        if record_birth(&Call { aux, ..Call::new(Kind::Realloc, new, size) }, caller) {
            next::REALLOC.set_plain();
        }
        new
    };
    // SAFETY: by contract.
    unsafe { reallocate(next::REALLOC.get(), Kind::ReallocDeath, old, size, born) }
}

/// Composed from `realloc`, as glibc does it: its own would call back into our `realloc`.
unsafe extern "C" fn reallocarray_from(
    old: Pointer,
    count: usize,
    size: usize,
    _: usize,
    caller: Caller,
) -> Pointer {
    let product = count.checked_mul(size);
    let requested = product.unwrap_or(usize::MAX);
    let born = |aux, new| {
        record_birth(&Call { aux, ..Call::new(Kind::Reallocarray, new, requested) }, caller);
        new
    };
    let function = if product.is_some() { next::PLAIN_REALLOC.get() } else { overflow };
    // SAFETY: by contract.
    unsafe { reallocate(function, Kind::ReallocarrayDeath, old, requested, born) }
}

/// A reallocation to a size that no number holds.
unsafe extern "C" fn overflow(_: Pointer, _: usize) -> Pointer {
    errno::set(libc::ENOMEM);
    ptr::null_mut()
}

unsafe extern "C" fn free_from(block: Pointer, _: usize, _: usize, _: usize, caller: Caller) {
    let function = next::FREE.get();
    if !block.is_null() && record_death(&Call::new(Kind::Free, block as usize, 0), caller) {
        next::FREE.set_plain();
    }
    // SAFETY: by contract.
    unsafe { function(block) }
}

/// The old name of `free` on SunOS; glibc keeps it for old programs.
unsafe extern "C" fn cfree_from(block: Pointer, _: usize, _: usize, _: usize, caller: Caller) {
    if !block.is_null() {
        record_death(&Call::new(Kind::Cfree, block as usize, 0), caller);
    }
    // SAFETY: by contract.
    unsafe { next::PLAIN_FREE.get()(block) }
}

/// As in C23.
unsafe extern "C" fn free_sized_from(
    block: Pointer,
    size: usize,
    _: usize,
    _: usize,
    caller: Caller,
) {
    if !block.is_null() {
        record_death(&Call::new(Kind::FreeSized, block as usize, size), caller);
    }
    // SAFETY: by contract.
    unsafe { next::FREE_SIZED.get()(block, size) }
}

/// As in C23.
unsafe extern "C" fn free_aligned_sized_from(
    block: Pointer,
    alignment: usize,
    size: usize,
    _: usize,
    caller: Caller,
) {
    if !block.is_null() {
        let call = Call::new(Kind::FreeAlignedSized, block as usize, size);
        record_death(&call.aligned(alignment), caller);
    }
    // SAFETY: by contract.
    unsafe { next::FREE_ALIGNED_SIZED.get()(block, alignment, size) }
}

unsafe extern "C" fn posix_memalign_from(
    place: *mut Pointer,
    alignment: usize,
    size: usize,
    _: usize,
    caller: Caller,
) -> c_int {
    // SAFETY: by contract.
    let error = unsafe { next::POSIX_MEMALIGN.get()(place, alignment, size) };
    // SAFETY: on success the pointer was stored there; on failure it is left alone.
    let new = if error == 0 { (unsafe { *place }) as usize } else { 0 };
    record_birth(&Call::new(Kind::PosixMemalign, new, size).aligned(alignment), caller);
    error
}

unsafe extern "C" fn aligned_alloc_from(
    alignment: usize,
    size: usize,
    _: usize,
    _: usize,
    caller: Caller,
) -> Pointer {
    // SAFETY: by contract.
    let new = unsafe { next::ALIGNED_ALLOC.get()(alignment, size) };
    let call = Call::new(Kind::AlignedAlloc, new as usize, size);
    record_birth(&call.aligned(alignment), caller);
    new
}

unsafe extern "C" fn memalign_from(
    alignment: usize,
    size: usize,
    _: usize,
    _: usize,
    caller: Caller,
) -> Pointer {
    // SAFETY: by contract.
    let new = unsafe { next::MEMALIGN.get()(alignment, size) };
    record_birth(&Call::new(Kind::Memalign, new as usize, size).aligned(alignment), caller);
    new
}

unsafe extern "C" fn valloc_from(
    size: usize,
    _: usize,
    _: usize,
    _: usize,
    caller: Caller,
) -> Pointer {
    // SAFETY: by contract.
    let new = unsafe { next::VALLOC.get()(size) };
    record_birth(&Call::new(Kind::Valloc, new as usize, size), caller);
    new
}

unsafe extern "C" fn pvalloc_from(
    size: usize,
    _: usize,
    _: usize,
    _: usize,
    caller: Caller,
) -> Pointer {
    // SAFETY: by contract.
    let new = unsafe { next::PVALLOC.get()(size) };
    record_birth(&Call::new(Kind::Pvalloc, new as usize, size), caller);
    new
}
