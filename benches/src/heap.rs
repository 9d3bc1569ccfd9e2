//! The allocator as function pointers, so that all ways to it cost one indirect call.

use core::ffi::{CStr, c_void};
use core::hint::black_box;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// A block of memory.
pub type Block = *mut c_void;

/// The four functions that the workloads call.
#[derive(Clone, Copy, Debug)]
pub struct Heap {
    /// `malloc`.
    pub malloc: unsafe extern "C" fn(usize) -> Block,
    /// `calloc`.
    pub calloc: unsafe extern "C" fn(usize, usize) -> Block,
    /// `realloc`.
    pub realloc: unsafe extern "C" fn(Block, usize) -> Block,
    /// `free`.
    pub free: unsafe extern "C" fn(Block),
}

impl Heap {
    /// The functions that a program gets when it calls `malloc`.
    pub fn ordinary() -> Heap {
        // The compiler knows these functions and would leave out pairs of them.
        black_box(Heap {
            malloc: libc::malloc,
            calloc: libc::calloc,
            realloc: libc::realloc,
            free: libc::free,
        })
    }

    /// The C library's own functions, whoever was preloaded.
    ///
    /// # Errors
    /// The C library is not glibc.
    pub fn unhooked() -> Result<Heap> {
        let name = c"libc.so.6".as_ptr();
        // SAFETY: a C string; with NOLOAD nothing is loaded, so no code runs.
        let libc = unsafe { libc::dlopen(name, libc::RTLD_NOLOAD | libc::RTLD_LAZY) };
        ensure!(!libc.is_null(), "libc.so.6 is not loaded");
        Heap::found_in(libc)
    }

    fn found_in(scope: *mut c_void) -> Result<Heap> {
        let address = |name: &CStr| {
            // SAFETY: the scope is a handle, and the name a C string.
            let found = unsafe { libc::dlsym(scope, name.as_ptr()) };
            ensure!(!found.is_null(), "{name:?} not found");
            Ok(found)
        };
        let malloc = address(c"malloc")?;
        let calloc = address(c"calloc")?;
        let realloc = address(c"realloc")?;
        let free = address(c"free")?;
        Ok(Heap {
            // SAFETY: the function of this name in C has this type.
            malloc: unsafe {
                core::mem::transmute::<Block, unsafe extern "C" fn(usize) -> Block>(malloc)
            },
            // SAFETY: as above.
            calloc: unsafe {
                core::mem::transmute::<Block, unsafe extern "C" fn(usize, usize) -> Block>(calloc)
            },
            // SAFETY: as above.
            realloc: unsafe {
                core::mem::transmute::<Block, unsafe extern "C" fn(Block, usize) -> Block>(realloc)
            },
            // SAFETY: as above.
            free: unsafe { core::mem::transmute::<Block, unsafe extern "C" fn(Block)>(free) },
        })
    }

    /// The object that the functions are in.
    ///
    /// # Errors
    /// They are in several, or in none.
    pub fn object(&self) -> Result<PathBuf> {
        let [malloc, calloc, realloc, free] = [
            self.malloc as *const c_void,
            self.calloc as *const c_void,
            self.realloc as *const c_void,
            self.free as *const c_void,
        ]
        .map(object_of);
        let malloc = malloc.context("malloc is in no object")?;
        let same = [calloc, realloc, free].iter().all(|object| object.as_ref() == Some(&malloc));
        ensure!(same, "malloc and free are of different allocators");
        Ok(malloc)
    }
}

fn object_of(address: *const c_void) -> Option<PathBuf> {
    let mut info = core::mem::MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: the structure is written if the result is not 0.
    let found = unsafe { libc::dladdr(address, info.as_mut_ptr()) };
    // SAFETY: as above.
    let name = (found != 0).then(|| unsafe { info.assume_init() }.dli_fname)?;
    // SAFETY: the name of a loaded object is a C string that lives as long as it.
    let name = unsafe { CStr::from_ptr(name) };
    Some(Path::new(name.to_str().ok()?).to_owned())
}
