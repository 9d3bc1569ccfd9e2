//! The cost of the blocks of one place, one thread and one class of sizes, in slices of time.

use crate::amount::Amount;
use crate::histogram::class;
use crate::live::Block;
use crate::peak::Peak;
use crate::place::PlaceId;
use crate::slices::Slices;
use crate::thread::ThreadId;

/// The common properties of the blocks of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Where they come from.
    pub place: PlaceId,
    /// The thread that has made them.
    pub thread: ThreadId,
    /// Their sizes are up to this power of two, and above half of it: its number as in
    /// [`Powers`](crate::Powers).
    pub class: u8,
}

/// A cell in a slice of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Births.
    pub births: u64,
    /// Their bytes.
    pub born_bytes: u64,
    /// The bytes of those that were never freed.
    pub left_bytes: u64,
    /// Deaths.
    pub deaths: u64,
    /// The sum of their lifetimes, in nanoseconds.
    pub age_ns: u64,
    /// Deaths of temporary blocks.
    pub temporary: u64,
    /// Live bytes when the most bytes lived in the slice, of all cells together.
    pub at_top: u64,
    /// Live bytes at its end.
    pub at_end: u64,
}

/// Blocks of a cell, of one class of sizes, whose lifetimes have the same number of decimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lived {
    /// The class of sizes, as in [`Key`].
    pub class: u8,
    /// The digits of the lifetime in nanoseconds; `None` if they were never freed.
    pub digits: Option<u8>,
    /// Births.
    pub born: Amount,
    then: Amount,
    change: u64,
}

impl Lived {
    /// Their share of the peak.
    pub fn at_peak(&self, peak: &Peak) -> Amount {
        if self.change == peak.change() { self.then } else { Amount::default() }
    }
}

/// The cost of a cell over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The common properties of its blocks.
    pub key: Key,
    /// The number of its first slice.
    pub first: usize,
    /// Its slices from then on.
    pub slices: Vec<Slice>,
    /// How long its blocks have lived: those that were born in the time that is looked at. In order.
    pub lived: Vec<Lived>,
    /// The live bytes now.
    pub(crate) live: u64,
    /// The live bytes before the last change.
    then: u64,
    /// The number of that change.
    changed: u64,
    /// The bytes that lived when processes ended in the present slice.
    pub(crate) gone: u64,
}

impl Cell {
    pub(crate) fn new(key: Key, first: usize) -> Cell {
        let slices = vec![Slice::default()];
        Cell { key, first, slices, lived: Vec::new(), live: 0, then: 0, changed: 0, gone: 0 }
    }

    /// Says what lived in the slices up to the last one.
    pub(crate) fn close_slices(&mut self, time: &Slices) {
        let (seen, current) = (self.first + self.slices.len() - 1, time.current());
        let at_top = match time.tops().get(seen) {
            Some(top) if self.changed > top.change => self.then,
            _ => self.live,
        };
        if seen < current {
            self.gone = 0;
        }
        if let Some(slice) = self.slices.last_mut() {
            (slice.at_top, slice.at_end) = (at_top, self.live.saturating_add(self.gone));
        }
        let later = Slice { at_top: self.live, at_end: self.live, ..Slice::default() };
        self.slices.resize(self.slices.len() + current.saturating_sub(seen), later);
    }

    /// The slice of a change that `peak` and `time` have counted.
    #[inline]
    pub(crate) fn touch(&mut self, time: &Slices, peak: &Peak) -> &mut Slice {
        let current = time.current();
        if self.first + self.slices.len() <= current {
            self.close_slices(time);
        }
        // The most that this change may have made is overwritten by the next change, as in accounts.
        if self.changed <= time.tops()[current].change {
            self.then = self.live;
        }
        self.changed = peak.changes();
        let place = current.saturating_sub(self.first).min(self.slices.len() - 1);
        &mut self.slices[place]
    }

    /// A block has died after a time of `digits` digits, or was never freed.
    #[inline]
    pub(crate) fn has_lived(
        &mut self,
        block: &Block,
        digits: Option<u8>,
        peak: &Peak,
        is_born: bool,
    ) {
        let key = (class(block.size) as u8, digits);
        let place = match self.lived.binary_search_by_key(&key, |it| (it.class, it.digits)) {
            Ok(place) => place,
            Err(place) => {
                let (born, then) = Default::default();
                self.lived.insert(place, Lived { class: key.0, digits, born, then, change: 0 });
                place
            }
        };
        let lived = &mut self.lived[place];
        if is_born {
            lived.born.add(block.size);
        }
        if lived.change != peak.change() {
            (lived.then, lived.change) = (Amount::default(), peak.change());
        }
        // It dies later, and was born at the peak or before it.
        if block.birth_ns <= peak.time_ns {
            lived.then.add(block.size);
        }
    }

    /// Joins slices in pairs; what lived at the most of each is that of the second one, or the first.
    pub(crate) fn widen(&mut self, time: &Slices, second: &[bool]) {
        self.close_slices(time);
        if self.first % 2 == 1 {
            self.slices.insert(0, Slice::default());
        }
        self.first /= 2;
        let second = second.get(self.first..).unwrap_or_default();
        let join = |(pair, &second): (&[Slice], &bool)| {
            let (one, other) = (pair[0], pair.get(1).copied());
            let Some(other) = other else { return one };
            Slice {
                births: one.births + other.births,
                born_bytes: one.born_bytes.saturating_add(other.born_bytes),
                left_bytes: one.left_bytes.saturating_add(other.left_bytes),
                deaths: one.deaths + other.deaths,
                age_ns: one.age_ns.saturating_add(other.age_ns),
                temporary: one.temporary + other.temporary,
                at_top: if second { other.at_top } else { one.at_top },
                at_end: other.at_end,
            }
        };
        self.slices = self.slices.chunks(2).zip(second).map(join).collect();
        self.then = self.slices.last().map_or(0, |slice| slice.at_top);
    }
}
