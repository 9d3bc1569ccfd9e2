//! The peak: the largest live size after any event, and the first moment that reached it.

use crate::amount::Amount;

/// The live memory, its peak, and the time of the peak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peak {
    /// The live memory now.
    pub live: Amount,
    /// The live memory when it had the most bytes.
    pub most: Amount,
    /// When that was first so, in Unix nanoseconds; 0 if nothing has ever lived.
    pub time_ns: u64,
    changes: u64,
    change: u64,
}

impl Peak {
    /// A block is born, and its event is over.
    #[inline]
    pub fn birth(&mut self, size: u64, time_ns: u64) {
        self.changes += 1;
        self.live.add(size);
        if self.live.bytes > self.most.bytes {
            (self.most, self.time_ns, self.change) = (self.live, time_ns, self.changes);
        }
    }

    /// A block dies. Only births make a peak, and a reallocation is over with its birth.
    #[inline]
    pub fn death(&mut self, size: u64) {
        self.changes += 1;
        self.live.remove(size);
    }

    /// Number of changes so far.
    #[inline]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The number of the change that has made the peak.
    #[inline]
    pub fn change(&self) -> u64 {
        self.change
    }
}
