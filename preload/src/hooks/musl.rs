//! The functions of musl that call another public one, which would leave a second event: composed
//! from others, as musl does it.
//!
//! `calloc` calls `malloc` there; `posix_memalign`, `memalign` and `valloc` call `aligned_alloc`.

use core::ffi::{CStr, c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::host::elf::Object;
use crate::host::errno;
use crate::host::memory::PAGE;

type Pointer = *mut c_void;

/// musl's own functions, 0 where libc is another one; every thread stores the same.
static MALLOC: AtomicUsize = AtomicUsize::new(0);
static ALIGNED_ALLOC: AtomicUsize = AtomicUsize::new(0);

/// Memory is compared before it is cleared, in pieces of this size: fresh pages stay untouched.
const PIECE: usize = 4096;

/// The object is musl's libc.
pub fn is_musl(object: &Object) -> bool {
    let has = |name| object.function(name).is_some();
    has(c"__libc_start_main") && !has(c"gnu_get_libc_version")
}

/// The functions that are made of these two of musl's, and ours in their place.
pub fn composed(malloc: usize, aligned_alloc: usize) -> [(&'static CStr, usize); 4] {
    MALLOC.store(malloc, Relaxed);
    ALIGNED_ALLOC.store(aligned_alloc, Relaxed);
    [
        (c"calloc", calloc as *const () as usize),
        (c"posix_memalign", posix_memalign as *const () as usize),
        (c"memalign", memalign as *const () as usize),
        (c"valloc", valloc as *const () as usize),
    ]
}

unsafe extern "C" fn calloc(count: usize, size: usize) -> Pointer {
    type Malloc = unsafe extern "C" fn(usize) -> Pointer;
    let Some(product) = count.checked_mul(size) else {
        errno::set(libc::ENOMEM);
        return core::ptr::null_mut();
    };
    // SAFETY: musl's function, or this one would not be in the place of musl's.
    let malloc = unsafe { core::mem::transmute::<usize, Malloc>(MALLOC.load(Relaxed)) };
    // SAFETY: as the caller's.
    let new = unsafe { malloc(product) };
    if !new.is_null() {
        // SAFETY: the block has this size, and its bytes are those of the kernel or of whoever had
        // it before.
        let bytes = unsafe { core::slice::from_raw_parts_mut(new.cast::<u8>(), product) };
        for piece in bytes.chunks_mut(PIECE) {
            if piece.len() < PIECE || piece.iter().any(|&byte| byte != 0) {
                piece.fill(0);
            }
        }
    }
    new
}

unsafe extern "C" fn memalign(alignment: usize, size: usize) -> Pointer {
    type Aligned = unsafe extern "C" fn(usize, usize) -> Pointer;
    // SAFETY: musl's function, or this one would not be in the place of musl's.
    let aligned = unsafe { core::mem::transmute::<usize, Aligned>(ALIGNED_ALLOC.load(Relaxed)) };
    // SAFETY: as the caller's.
    unsafe { aligned(alignment, size) }
}

unsafe extern "C" fn posix_memalign(place: *mut Pointer, alignment: usize, size: usize) -> c_int {
    if alignment < size_of::<Pointer>() {
        return libc::EINVAL;
    }
    // SAFETY: as the caller's.
    let new = unsafe { memalign(alignment, size) };
    if new.is_null() {
        return errno::get();
    }
    // SAFETY: the caller's place for it.
    unsafe { *place = new };
    0
}

unsafe extern "C" fn valloc(size: usize) -> Pointer {
    // SAFETY: as the caller's.
    unsafe { memalign(PAGE, size) }
}
