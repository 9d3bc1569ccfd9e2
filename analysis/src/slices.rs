//! Time in slices that double their width as it goes on, and the most that lived in each.

use crate::amount::Amount;
use crate::peak::Peak;

/// Slices at the most; there are at least half of them, if the time is long enough.
pub const MOST: usize = 120;
/// The width of the first slices is 1024 ns.
const FIRST_SHIFT: u32 = 10;

/// The peak of the live memory in a slice of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Top {
    /// The live memory then.
    pub most: Amount,
    /// When that was first so, in Unix nanoseconds; the start of the slice if that was before.
    pub time_ns: u64,
    /// The number of the change that has made it.
    pub(crate) change: u64,
}

/// Slices of time.
#[derive(Clone, Debug)]
pub struct Slices {
    start_ns: u64,
    shift: u32,
    tops: Vec<Top>,
    live: Amount,
    changes: u64,
    /// The first and the last time of a range that slices of their own are made of.
    range: Option<(u64, u64)>,
}

/// Slices of a range at the most.
const MOST_OF_RANGE: u64 = 100;

impl Slices {
    /// Nothing lives at this Unix time in nanoseconds, with which the first slice starts. What is before
    /// it belongs to that.
    pub fn new(start_ns: u64) -> Slices {
        let first = Top { time_ns: start_ns, ..Top::default() };
        Slices {
            start_ns,
            shift: FIRST_SHIFT,
            tops: vec![first],
            live: Amount::default(),
            changes: 0,
            range: None,
        }
    }

    /// The same, with slices that are those of a range, of which both ends are Unix times in nanoseconds
    /// and belong to it: the first slice is all that is before it, those behind it are the range, and the
    /// last one is all that comes later. Each slice of the range has the same width but the last one of
    /// it, which ends with it.
    pub fn of_range(start_ns: u64, since_ns: u64, until_ns: u64) -> Slices {
        let until_ns = until_ns.max(since_ns);
        let is_wide = |shift: &u32| (until_ns - since_ns) >> shift < MOST_OF_RANGE;
        let shift = (0..u64::BITS).find(is_wide).unwrap_or(0);
        Slices { shift, range: Some((since_ns, until_ns)), ..Slices::new(start_ns) }
    }

    /// How long after the start a time is, as slices count.
    #[inline]
    fn offset(&self, time_ns: u64) -> u64 {
        match self.range {
            None => time_ns.saturating_sub(self.start_ns),
            Some((since_ns, _)) if time_ns < since_ns => 0,
            Some((since_ns, until_ns)) if time_ns <= until_ns => {
                self.width_ns() + (time_ns - since_ns)
            }
            Some((since_ns, until_ns)) => (((until_ns - since_ns) >> self.shift) + 2) << self.shift,
        }
    }

    /// The Unix time in nanoseconds at which a slice starts.
    fn begin(&self, slice: u64) -> u64 {
        let Some((since_ns, until_ns)) = self.range else {
            return self.start_ns.saturating_add(slice << self.shift);
        };
        match slice {
            0 => self.start_ns,
            _ => since_ns.saturating_add((slice - 1) << self.shift).min(until_ns.saturating_add(1)),
        }
    }

    /// A block that is born then belongs to the figures: to those of a range, only one of the range.
    #[inline]
    pub(crate) fn counts(&self, time_ns: u64) -> bool {
        self.range.is_none_or(|(since_ns, until_ns)| (since_ns..=until_ns).contains(&time_ns))
    }

    /// Adds the slices up to the last one of the range, if that has been left out so far: nothing has
    /// happened in them.
    pub(crate) fn complete(&mut self) {
        if let Some((_, until_ns)) = self.range {
            self.extend(until_ns);
        }
    }

    /// The Unix time in nanoseconds with which the first slice starts.
    pub fn start_ns(&self) -> u64 {
        self.start_ns
    }

    /// The width of a slice in nanoseconds.
    pub fn width_ns(&self) -> u64 {
        1 << self.shift
    }

    /// The most that lived in each slice.
    pub fn tops(&self) -> &[Top] {
        &self.tops
    }

    /// The slice of the last event.
    #[inline]
    pub(crate) fn current(&self) -> usize {
        self.tops.len() - 1
    }

    /// The slice of a time; the last one if that is behind it.
    #[inline]
    pub(crate) fn slice_of(&self, time_ns: u64) -> usize {
        let slice = self.offset(time_ns) >> self.shift;
        slice.min(self.current() as u64) as usize
    }

    /// The time does not belong to the slices so far.
    #[inline]
    pub(crate) fn is_behind(&self, time_ns: u64) -> bool {
        self.offset(time_ns) >> self.shift > self.current() as u64
    }

    /// Slices have to be joined before there is one of this time.
    pub(crate) fn are_narrow(&self, time_ns: u64) -> bool {
        self.offset(time_ns) >> self.shift >= MOST as u64
    }

    /// Joins slices in pairs; of each, whether more lived in the second one.
    pub(crate) fn widen(&mut self) -> Vec<bool> {
        let most = |pair: &[Top]| pair.len() == 2 && pair[1].most.bytes > pair[0].most.bytes;
        let second: Vec<bool> = self.tops.chunks(2).map(most).collect();
        let chosen =
            self.tops.chunks(2).zip(&second).map(|(pair, &second)| pair[usize::from(second)]);
        self.tops = chosen.collect();
        self.shift += 1;
        second
    }

    /// Adds slices up to that of a time.
    pub(crate) fn extend(&mut self, time_ns: u64) {
        while self.is_behind(time_ns) {
            let start = self.begin(self.tops.len() as u64);
            self.tops.push(Top { most: self.live, time_ns: start, change: self.changes });
        }
    }

    /// A change has happened in the last slice; `peak` has counted it.
    #[inline]
    pub(crate) fn see(&mut self, time_ns: u64, peak: &Peak, is_birth: bool) {
        (self.live, self.changes) = (peak.live, peak.changes());
        let current = self.current();
        let top = &mut self.tops[current];
        if is_birth && self.live.bytes > top.most.bytes {
            *top = Top { most: self.live, time_ns, change: self.changes };
        }
    }
}
