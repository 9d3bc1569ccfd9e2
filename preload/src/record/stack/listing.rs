//! The services that the unwinder needs of the recorder: memory, and a place for its sites.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

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

/// The memory of the unwinder's tables, by the logarithm of its size, 0 for none. Not wiped on fork: a
/// child uses the mappings that it inherits, whose contents are wiped.
static PIECES: [AtomicUsize; u32::BITS as usize] =
    [const { AtomicUsize::new(0) }; u32::BITS as usize];

/// The state that the threads of a process share for their call stacks. All zero: nothing yet.
#[repr(C)]
pub struct Listing {
    pub unwinder: Unwinder,
    /// The pieces of [`PIECES`] that this process uses, a bit each.
    pieces: AtomicU32,
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
        let size = bytes.next_power_of_two().trailing_zeros();
        let bit = 1u32.checked_shl(size).unwrap_or(0);
        let is_first = bit != 0 && self.listing.pieces.fetch_or(bit, Ordering::Relaxed) & bit == 0;
        let piece = PIECES.get(size as usize).filter(|_| is_first);
        // Acquire: with the release below.
        match piece.map_or(0, |piece| piece.load(Ordering::Acquire)) {
            0 => map(bytes, piece),
            inherited => inherited as *mut u8,
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

/// Maps memory for a table, and lets children use it again.
#[cold]
fn map(bytes: usize, piece: Option<&AtomicUsize>) -> *mut u8 {
    if is_confined() {
        return core::ptr::null_mut();
    }
    let length = bytes.next_power_of_two();
    let Ok(address) = wiped_memory::map(length) else { return core::ptr::null_mut() };
    wiped_memory::keep(address, length);
    if let Some(piece) = piece {
        // Release: the kernel knows what to do with it in a child.
        piece.store(address as usize, Ordering::Release);
    }
    address
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

    /// The opening of a block of sites.
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
