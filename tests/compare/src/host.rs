//! The needs of the unwinder: memory, and a table of the sites.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use mallook_unwind::{FindObject, Host, Kind, Site};

/// The address of each site, with its kind in the upper byte.
static SITES: [AtomicUsize; Site::LIMIT.0 as usize] =
    [const { AtomicUsize::new(0) }; Site::LIMIT.0 as usize];
const KIND_AT: u32 = 56;

/// glibc's `_dl_find_object`, 0 if there is none.
static FIND_OBJECT: AtomicUsize = AtomicUsize::new(0);

/// This process.
pub struct Own;

impl Own {
    /// Looks for the loader's function.
    pub fn start() {
        // SAFETY: a name.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_dl_find_object".as_ptr()) };
        FIND_OBJECT.store(found as usize, Relaxed);
    }
}

/// The address and the kind of a site; of one that has none 0.
pub fn site(site: Site) -> (usize, Option<Kind>) {
    let word = SITES.get(site.0 as usize).map_or(0, |it| it.load(Relaxed));
    let kinds = [Kind::Call, Kind::Signal, Kind::Guessed, Kind::End, Kind::NoRule];
    let kind = (word >> KIND_AT).checked_sub(1).and_then(|kind| kinds.get(kind)).copied();
    (word & ((1 << KIND_AT) - 1), kind)
}

/// Fresh zeros, or null.
pub fn zeros(bytes: usize) -> *mut u8 {
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a fresh mapping.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), bytes, rights, flags, -1, 0) };
    if address == libc::MAP_FAILED { std::ptr::null_mut() } else { address.cast() }
}

impl Host for Own {
    fn memory(&self, bytes: usize) -> *mut u8 {
        zeros(bytes)
    }

    fn site(&self, site: Site, address: usize, kind: Kind, _: u32) -> bool {
        let place = SITES.get(site.0 as usize);
        place.is_some_and(|place| {
            place.store(address | (kind as usize + 1) << KIND_AT, Relaxed);
            true
        })
    }

    fn find_object(&self) -> Option<FindObject> {
        let address = FIND_OBJECT.load(Relaxed);
        // SAFETY: 0, or the address of a function of this type.
        unsafe { std::mem::transmute::<usize, Option<FindObject>>(address) }
    }
}
