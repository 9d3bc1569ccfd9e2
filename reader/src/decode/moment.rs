//! One moment, and batches of them.

use mallook_format::Kind;

use crate::trace::ClockSync;

/// One moment or marker of a thread, its prefixes included. An alignment that is no power of two
/// comes before its moment, as a moment of its own with the alignment in the place of the address
/// ([`Kind::WideAlignment`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The time on the trace's clock.
    pub ticks: u64,
    pub address: u64,
    pub size: u64,
    pub tid: u32,
    pub kind: Kind,
    pub aux: u8,
    /// How far, and how often, it was moved behind moments that it had overtaken: 0 if never.
    pub late: u8,
}

impl Moment {
    /// It is the birth or death of an address. A failed allocation has no address.
    pub fn has_address(&self) -> bool {
        self.address != 0 && self.kind.is_moment()
    }
}

const _: () = assert!(size_of::<Moment>() == 32, "moments go from thread to thread");

/// Moments in order of time, and the clock syncs that their times need.
#[derive(Debug, Default)]
pub struct Batch {
    pub moments: Vec<Moment>,
    /// Clock syncs up to and including the first one after the moments.
    pub clock_syncs: Vec<ClockSync>,
}

impl Batch {
    pub fn clear(&mut self) {
        self.moments.clear();
        self.clock_syncs.clear();
    }

    /// Takes everything out of a later batch.
    pub fn append(&mut self, later: &mut Batch) {
        self.moments.append(&mut later.moments);
        self.clock_syncs.append(&mut later.clock_syncs);
    }
}

/// A source of moments in order of time.
pub trait Moments {
    /// Appends the next moments; `false` if there are none now.
    fn more(&mut self, batch: &mut Batch) -> bool;
}
