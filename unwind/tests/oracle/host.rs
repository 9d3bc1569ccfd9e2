//! A host that notes all sites.

use std::sync::Mutex;

use mallook_unwind::{FindObject, Host, Kind, Site};

/// The noted sites by their numbers.
#[derive(Default)]
pub struct Sites {
    noted: Mutex<Vec<(usize, Kind, u32)>>,
}

impl Sites {
    /// The address of a site; 0 of one that was not noted.
    pub fn address(&self, site: Site) -> usize {
        self.get(site).map_or(0, |it| it.0)
    }

    pub fn get(&self, site: Site) -> Option<(usize, Kind, u32)> {
        let index = site.0.checked_sub(Site::FIRST.0)? as usize;
        self.noted.lock().unwrap().get(index).copied()
    }
}

impl Host for Sites {
    fn memory(&self, bytes: usize) -> *mut u8 {
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh mapping.
        unsafe { libc::mmap(std::ptr::null_mut(), bytes, rights, flags, -1, 0) }.cast()
    }

    fn site(&self, site: Site, address: usize, kind: Kind, generation: u32) -> bool {
        let mut noted = self.noted.lock().unwrap();
        let index = (site.0 - Site::FIRST.0) as usize;
        if noted.len() <= index {
            noted.resize(index + 1, (0, Kind::Call, 0));
        }
        noted[index] = (address, kind, generation);
        true
    }

    fn find_object(&self) -> Option<FindObject> {
        find_object()
    }
}

/// glibc's function, if there is one.
pub fn find_object() -> Option<FindObject> {
    // SAFETY: a name.
    let place = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_dl_find_object".as_ptr()) };
    // SAFETY: null, or a function of this type.
    unsafe { core::mem::transmute::<*mut libc::c_void, Option<FindObject>>(place) }
}
