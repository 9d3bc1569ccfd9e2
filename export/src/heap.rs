//! The heap of each process, and what events do to it.

use std::fmt;

use mallook_analysis::{
    Analysis, Birth, Block, Cause, Death, Moment, Origin, Place, PlaceId, Replay,
};
use mallook_reader::{Call, Event, Grouped};

/// A change of a heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A block dies. That of a reallocation is followed by the birth of the new one.
    Death(Block, Cause),
    /// A block is born, of another one if a reallocation has made it.
    Birth(Block, Option<Origin>),
    /// An allocation fails.
    Failure,
    /// A block at this address dies whose birth is not in the trace.
    Unknown(u64),
}

/// The live blocks of the processes.
#[derive(Debug)]
pub struct LiveBlocks {
    replay: Replay,
    changes: Changes,
}

/// The changes of an event.
#[derive(Debug, Default)]
struct Changes {
    list: Vec<Change>,
    omitted: Omitted,
}

impl LiveBlocks {
    /// Nothing lives yet in the processes of these traces.
    pub fn new(traces: usize) -> LiveBlocks {
        LiveBlocks { replay: Replay::new(traces), changes: Changes::default() }
    }

    /// The changes of an event, in order.
    pub fn changes(&mut self, event: &Event) -> &[Change] {
        self.changes.list.clear();
        self.replay.event(event, &mut self.changes);
        &self.changes.list
    }

    /// Where a block comes from.
    pub fn place(&self, place: PlaceId) -> Place {
        self.replay.places().get(place)
    }

    /// The calls so far that a file may have no place for.
    pub fn omitted(&self) -> Omitted {
        self.changes.omitted
    }
}

impl Analysis for Changes {
    fn birth(&mut self, birth: &Birth) {
        self.list.push(Change::Birth(*birth.block, birth.from));
    }

    fn death(&mut self, death: &Death) {
        self.omitted.unseen += u64::from(death.cause == Cause::Replaced);
        self.list.push(Change::Death(*death.block, death.cause));
    }

    fn failure(&mut self, _: &Moment, _: &Call) {
        self.omitted.failed += 1;
        self.list.push(Change::Failure);
    }

    fn unknown_death(&mut self, _: &Moment, address: u64) {
        self.omitted.unknown += 1;
        self.list.push(Change::Unknown(address));
    }
}

/// Calls that are not in a file as they are in the trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Omitted {
    /// Allocations that failed, where the format has no place for them.
    pub failed: u64,
    /// Releases of blocks that are not known, where the format has no place for them.
    pub unknown: u64,
    /// Blocks that end where the next one at their address begins, since their release is not in the
    /// trace, or is the end of a reallocation that another thread has overtaken.
    pub unseen: u64,
    /// Blocks that were left out since there are too many for the format.
    pub thinned: u64,
}

impl Omitted {
    /// Everything is in the file as it was.
    pub fn is_empty(&self) -> bool {
        *self == Omitted::default()
    }
}

impl fmt::Display for Omitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("failed calls left out", self.failed),
            ("releases of unknown blocks left out", self.unknown),
            ("blocks that end where the next one at their address begins", self.unseen),
            ("blocks left out, for which others count more", self.thinned),
        ];
        let mut separator = "";
        for (what, count) in parts {
            if count != 0 {
                write!(f, "{separator}{what}: {}", Grouped(count))?;
                separator = "; ";
            }
        }
        Ok(())
    }
}
