//! The cost of a part of all memory (a size, a thread, a place): its live memory, and its share of the peak
//! of the whole.

use crate::amount::Amount;
use crate::change::{Cause, Death};
use crate::peak::Peak;

/// The cost of a part of all memory.
///
/// A birth touches one line of the cache, a death two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Account {
    /// The live memory now; none when all traces have ended.
    pub live: Amount,
    /// The live memory at the last peak, if `changed` is later.
    then: Amount,
    /// The number of the last change.
    changed: u64,
    /// Births, and the sum of their sizes, those that were freed included.
    pub born: Amount,
    /// The most bytes that have lived at once, whenever that was; 0 of a sum of accounts.
    pub own_maximum: u64,
    /// Deaths, without those that are not in the trace.
    pub deaths: u64,
    /// The sum of their lifetimes, in nanoseconds.
    pub age_ns: u64,
    /// Blocks that were freed at once, by the thread that had made them.
    pub temporary: u64,
    /// The live memory when the processes ended.
    pub at_end: Amount,
}

const _: () = assert!(size_of::<Account>() == 128, "two lines of the cache");

impl Account {
    /// A block of this size is born; `peak` has counted it.
    #[inline]
    pub fn birth(&mut self, size: u64, peak: &Peak) {
        self.remember(peak);
        self.born.add(size);
        self.live.add(size);
        self.own_maximum = self.own_maximum.max(self.live.bytes);
    }

    /// One of its blocks dies; `peak` has counted that.
    #[inline]
    pub fn death(&mut self, death: &Death, is_temporary: bool, peak: &Peak) {
        self.remember(peak);
        self.live.remove(death.block.size);
        if death.cause == Cause::Replaced {
            return;
        }
        self.deaths += 1;
        self.age_ns = self.age_ns.saturating_add(death.age_ns());
        self.temporary += u64::from(is_temporary);
    }

    /// One of its blocks is alive when its process ends; `peak` has counted that.
    #[inline]
    pub fn left(&mut self, size: u64, peak: &Peak) {
        self.remember(peak);
        self.live.remove(size);
        self.at_end.add(size);
    }

    /// Keeps the live memory before a change, which may be the share of the peak.
    #[inline]
    fn remember(&mut self, peak: &Peak) {
        // The peak that this change may have made is overwritten by the next change.
        if self.changed <= peak.change() {
            self.then = self.live;
        }
        self.changed = peak.changes();
    }

    /// Its share of the peak.
    #[inline]
    pub fn at_peak(&self, peak: &Peak) -> Amount {
        if self.changed > peak.change() { self.then } else { self.live }
    }

    /// Takes the account of another part into this one, of which `own_maximum` is not known then; the
    /// pass is over.
    pub fn add(&mut self, other: &Account, peak: &Peak) {
        let then = self.at_peak(peak).plus(other.at_peak(peak));
        *self = Account {
            live: self.live.plus(other.live),
            then,
            changed: peak.changes(),
            born: self.born.plus(other.born),
            own_maximum: 0,
            deaths: self.deaths + other.deaths,
            age_ns: self.age_ns.saturating_add(other.age_ns),
            temporary: self.temporary + other.temporary,
            at_end: self.at_end.plus(other.at_end),
        };
    }

    /// The mean lifetime of blocks that have died, in nanoseconds; `None` if none has.
    pub fn mean_age_ns(&self) -> Option<u64> {
        self.age_ns.checked_div(self.deaths)
    }
}

/// The entry of this number in a list, which grows as needed.
#[inline]
pub(crate) fn numbered<T: Clone + Default>(list: &mut Vec<T>, number: usize) -> &mut T {
    if number >= list.len() {
        list.resize(number + 1, T::default());
    }
    &mut list[number]
}
