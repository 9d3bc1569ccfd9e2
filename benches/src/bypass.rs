//! Memory for the bench itself, which must not show up in the trace that it makes.

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::c_void;

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_memalign(alignment: usize, size: usize) -> *mut c_void;
    fn __libc_free(block: *mut c_void);
}

/// The alignment of glibc's `malloc` on x86-64.
const ALIGNMENT: usize = 16;

/// A global allocator that calls glibc by the names that nobody hooks.
#[derive(Debug)]
pub struct Bypass;

// SAFETY: glibc's allocator under its other names, which give what `GlobalAlloc` asks for: memory of
// the size and alignment of the layout, or null.
unsafe impl GlobalAlloc for Bypass {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > ALIGNMENT {
            // SAFETY: alignments of layouts are powers of two.
            return unsafe { __libc_memalign(layout.align(), layout.size()) }.cast();
        }
        // SAFETY: any size may be asked for.
        unsafe { __libc_malloc(layout.size()) }.cast()
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: by contract a block of ours.
        unsafe { __libc_free(block.cast()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= ALIGNMENT {
            // SAFETY: any size may be asked for.
            return unsafe { __libc_calloc(1, layout.size()) }.cast();
        }
        // SAFETY: by contract.
        let block = unsafe { self.alloc(layout) };
        if !block.is_null() {
            // SAFETY: a new block of this size.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() <= ALIGNMENT {
            // SAFETY: by contract a block of ours.
            return unsafe { __libc_realloc(block.cast(), size) }.cast();
        }
        // SAFETY: by contract the size, rounded up to the alignment, does not overflow.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the size is not 0, by contract.
        let new = unsafe { self.alloc(wanted) };
        if !new.is_null() {
            // SAFETY: both blocks have that number of bytes, and they are different ones.
            unsafe { block.copy_to_nonoverlapping(new, layout.size().min(size)) };
            // SAFETY: by contract a block of ours.
            unsafe { self.dealloc(block, layout) };
        }
        new
    }
}
