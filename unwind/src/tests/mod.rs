//! Hosts for unit tests.

use crate::{FindObject, Host, Kind, Site};

/// A host with memory.
pub struct Plain;

impl Host for Plain {
    fn memory(&self, bytes: usize) -> *mut u8 {
        let zeros = vec![0u64; bytes / 8 + 512].leak();
        (zeros.as_mut_ptr() as usize).next_multiple_of(4096) as *mut u8
    }

    fn site(&self, _: Site, _: usize, _: Kind, _: u32) -> bool {
        true
    }

    fn find_object(&self) -> Option<FindObject> {
        // SAFETY: a name.
        let place = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_dl_find_object".as_ptr()) };
        // SAFETY: null, or a function of this type.
        unsafe { core::mem::transmute::<*mut libc::c_void, Option<FindObject>>(place) }
    }
}

/// A host without anything.
pub struct Confined;

impl Host for Confined {
    fn memory(&self, _: usize) -> *mut u8 {
        core::ptr::null_mut()
    }

    fn site(&self, _: Site, _: usize, _: Kind, _: u32) -> bool {
        false
    }

    fn system_calls(&self) -> bool {
        false
    }
}

mod generations;
mod hostile;
mod rows;
mod steps;
mod synthetic;
