//! One moment, and batches of them.

use mallook_format::Kind;

use crate::trace::ClockSync;

/// One moment or marker of a thread, its prefixes included. An alignment that is no power of two
/// comes before its moment, as a moment of its own with the alignment in the place of the address
/// ([`Kind::WideAlignment`]). So do its call stack ([`Moment::stack`]), and the number of moments that
/// were overwritten ([`Moment::gap`]).
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
    /// This number of moments of the process `tid` that came before this time has been overwritten. No moment
    /// of a trace is of this kind.
    pub fn gap(ticks: u64, tid: u32, count: u64) -> Moment {
        Moment { ticks, address: count, size: 0, tid, kind: Moment::GAP, aux: 0, late: 0 }
    }

    /// The call stack of a moment, by the number of a [`Stacks`](crate::Stacks). It has the time of its
    /// moment, and comes before it and behind all others of its thread.
    pub fn stack(number: u32, of: &Moment) -> Moment {
        Moment { address: number.into(), size: 0, kind: Moment::STACK, aux: 0, ..*of }
    }

    /// A mark of the process `tid`, at its place, with its Unix time in nanoseconds. `ticks` are those
    /// of a moment beside it.
    pub fn mark(ticks: u64, tid: u32, place: u32, unix_ns: u64) -> Moment {
        Moment {
            ticks,
            address: place.into(),
            size: unix_ns,
            tid,
            kind: Moment::MARK,
            aux: 0,
            late: 0,
        }
    }

    /// The kind of [`Moment::mark`].
    pub const MARK: Kind = Kind::Ticks;
    /// The kind of [`Moment::stack`].
    pub const STACK: Kind = Kind::Stack;

    /// The kind of [`Moment::gap`].
    pub const GAP: Kind = Kind::Nanos;

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

    /// Where there are no moments now, there will be later ones.
    fn goes_on(&self) -> bool {
        false
    }
}
