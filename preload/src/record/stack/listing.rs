//! What the unwinder needs of the recorder: memory, and a place for its sites.

use mallook_format::ring::Opening;
use mallook_format::{BlockKind, Site, SiteKind, SiteSlot};
use mallook_unwind::{FindObject, Host, Unwinder};

use crate::file::sites::SiteLog;
use crate::host::confined::is_confined;
use crate::host::loaded::{self, Loaded};
use crate::host::slow_path::SlowPath;
use crate::host::{clock, wiped_memory};
use crate::session::lifecycle::Session;

use super::modules::Modules;

/// What the threads of a process share for their call stacks. All zero: nothing yet.
#[repr(C)]
pub struct Listing {
    pub unwinder: Unwinder,
    modules: Modules,
    log: SiteLog,
}

impl Listing {
    /// Makes room for sites to come, while the process still lets us make system calls.
    pub fn prepare(&self, session: &Session) {
        self.log.prepare(&session.file);
    }
}

/// The listing, and the session whose file it writes to.
#[derive(Clone, Copy)]
pub struct Lister<'a> {
    pub listing: &'a Listing,
    pub session: &'a Session,
}

impl Host for Lister<'_> {
    fn memory(&self, bytes: usize) -> *mut u8 {
        if is_confined() {
            return core::ptr::null_mut();
        }
        match wiped_memory::map(bytes) {
            Ok(address) => {
                wiped_memory::keep(address, bytes);
                address
            }
            Err(_) => core::ptr::null_mut(),
        }
    }

    fn site(
        &self,
        site: mallook_unwind::Site,
        address: usize,
        kind: mallook_unwind::Kind,
        generation: u32,
    ) -> bool {
        // Signals are blocked, so nothing comes between that wants a site as well.
        let Some(_inside) = SlowPath::enter() else { return false };
        self.list(Site(site.0), address, site_kind(kind), generation).is_some()
    }

    fn find_object(&self) -> Option<FindObject> {
        loaded::find_object()
    }

    fn system_calls(&self) -> bool {
        !is_confined()
    }
}

fn site_kind(kind: mallook_unwind::Kind) -> SiteKind {
    match kind {
        mallook_unwind::Kind::Call => SiteKind::Call,
        mallook_unwind::Kind::Signal => SiteKind::Signal,
        mallook_unwind::Kind::Guessed => SiteKind::Guessed,
        mallook_unwind::Kind::End => SiteKind::Outermost,
        mallook_unwind::Kind::NoRule => SiteKind::NoRule,
    }
}

impl Lister<'_> {
    /// Records a site, and its module before it.
    fn list(&self, site: Site, address: usize, kind: SiteKind, generation: u32) -> Option<()> {
        let Lister { listing: Listing { modules, log, .. }, session } = self;
        let (file, opening) = (&session.file, || self.opening());
        let module = match Loaded::at(address, !is_confined()) {
            Some(loaded) => modules.number(file, log, &loaded, generation, opening)?,
            None => 0,
        };
        let slot = SiteSlot { site, address: address as u64, kind: kind as u8, module }.slot();
        log.append(file, 1, |_| slot, opening).ok()
    }

    /// What a block of sites begins with.
    fn opening(&self) -> Opening {
        let sync = clock::sync(self.session.clock());
        Opening {
            kind: BlockKind::Sites,
            base_ticks: sync.ticks,
            base_ns: sync.monotonic_ns,
            owner: self.session.pid().into(),
            name: [0; 2],
        }
    }
}
