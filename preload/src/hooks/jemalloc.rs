//! jemalloc's own functions, `mallocx` and its kin. Alignment and zeroing are flags there.
//!
//! `nallocx` and `sallocx` change nothing, and are not hooked. Where there is no jemalloc, a program
//! that was bound to ours all the same gets what it asks for from `malloc`.

use core::ffi::{c_int, c_void};

use mallook_format::Kind;

use crate::record::call::{Call, Caller, record_birth};
use crate::record::hot::record;
use crate::record::since::{has_recorded, position};

use super::next;
use super::operators::Release;
use super::optional::{self, Optional};
use super::trampoline::with_caller;
use super::{aside, malloc};

type Pointer = *mut c_void;

/// `MALLOCX_LG_ALIGN_MASK` and `MALLOCX_ZERO` of jemalloc's manual page.
const ALIGNMENT: c_int = 0x3f;
const ZERO: c_int = 0x40;

/// The binary logarithm of the alignment, 0 for none.
fn power(flags: c_int) -> u8 {
    (flags & ALIGNMENT) as u8
}

/// The next function; `None` if there is none.
fn next(function: &Optional) -> Option<usize> {
    next::resolve_once();
    Some(function.next()).filter(|&next| next != 0).or_else(|| function.late())
}

with_caller! {
    #[cfg_attr(not(test), unsafe(no_mangle))]
    fn mallocx(size: usize, flags: c_int) -> Pointer => mallocx_from;
    #[cfg_attr(not(test), unsafe(no_mangle))]
    fn rallocx(old: Pointer, size: usize, flags: c_int) -> Pointer => rallocx_from;
    #[cfg_attr(not(test), unsafe(no_mangle))]
    fn xallocx(block: Pointer, size: usize, extra: usize, flags: c_int) -> usize => xallocx_from;
}

unsafe extern "C" fn mallocx_from(
    size: usize,
    flags: c_int,
    _: usize,
    _: usize,
    caller: Caller,
) -> Pointer {
    type Function = unsafe extern "C" fn(usize, c_int) -> Pointer;
    let Some(next) = next(&optional::MALLOCX) else {
        // SAFETY: by contract.
        return unsafe { from_malloc(size, flags) };
    };
    // SAFETY: a function of this name, whose type it is.
    let function = unsafe { core::mem::transmute::<usize, Function>(next) };
    let start = position();
    // SAFETY: by contract.
    let new = unsafe { function(size, flags) };
    if !has_recorded(start, new as usize, true) {
        let call = Call::new(Kind::Mallocx, new as usize, size);
        record_birth(&Call { aux: power(flags), ..call }, caller);
    }
    new
}

unsafe extern "C" fn rallocx_from(
    old: Pointer,
    size: usize,
    flags: c_int,
    _: usize,
    caller: Caller,
) -> Pointer {
    type Function = unsafe extern "C" fn(Pointer, usize, c_int) -> Pointer;
    let Some(next) = next(&optional::RALLOCX) else {
        // SAFETY: by contract; of alignment and zeroing, `realloc` knows nothing.
        return unsafe { malloc::realloc(old, size) };
    };
    record(Kind::RallocxDeath, 0, old as usize, size);
    // SAFETY: a function of this name, whose type it is.
    let function = unsafe { core::mem::transmute::<usize, Function>(next) };
    // SAFETY: by contract.
    let new = unsafe { function(old, size, flags) };
    record_birth(&Call::new(Kind::Rallocx, new as usize, size), caller);
    new
}

/// Resizes a block where it is. It belongs to the caller all the time, so both moments are recorded
/// when the outcome is known: the real size, which is less than asked for where that fails.
unsafe extern "C" fn xallocx_from(
    block: Pointer,
    size: usize,
    extra: usize,
    flags: c_int,
    caller: Caller,
) -> usize {
    type Function = unsafe extern "C" fn(Pointer, usize, usize, c_int) -> usize;
    let Some(next) = next(&optional::XALLOCX) else { return 0 };
    // SAFETY: a function of this name, whose type it is.
    let function = unsafe { core::mem::transmute::<usize, Function>(next) };
    // SAFETY: by contract.
    let real = unsafe { function(block, size, extra, flags) };
    record(Kind::XallocxDeath, 0, block as usize, size);
    let new = if real < size { 0 } else { block as usize };
    record_birth(&Call::new(Kind::Xallocx, new, size), caller);
    real
}

/// # Safety
/// As in jemalloc.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn dallocx(block: Pointer, flags: c_int) {
    let (function, kind) = (&optional::DALLOCX, Kind::Dallocx);
    let release = Release { function, kind, aux: power(flags), size: 0 };
    // SAFETY: by contract.
    unsafe { release.call(block, [flags as usize, 0]) }
}

/// # Safety
/// As in jemalloc.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn sdallocx(block: Pointer, size: usize, flags: c_int) {
    let (function, kind) = (&optional::SDALLOCX, Kind::Sdallocx);
    let release = Release { function, kind, aux: power(flags), size };
    // SAFETY: by contract.
    unsafe { release.call(block, [size, flags as usize]) }
}

/// `mallocx` without jemalloc.
unsafe fn from_malloc(size: usize, flags: c_int) -> Pointer {
    let zero = flags & ZERO != 0;
    if power(flags) > 4 {
        // SAFETY: by contract.
        let new = unsafe { aside::memalign(1 << power(flags), size) };
        if zero && !new.is_null() {
            // SAFETY: the block has this size.
            unsafe { new.cast::<u8>().write_bytes(0, size) };
        }
        return new;
    }
    if zero {
        // SAFETY: as `calloc`.
        unsafe { malloc::calloc(1, size) }
    } else {
        // SAFETY: as `malloc`.
        unsafe { malloc::malloc(size) }
    }
}
