//! Ranges of code that were found in `/proc/self/maps`: seqlocks, written by whoever finds one.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

const RANGES: usize = 256;
/// Low bits of a stamp that count writes.
const COUNT: u32 = 32;

/// A range of code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Its first address.
    pub start: usize,
    /// The address after it.
    pub end: usize,
    /// Where its file starts; 0 if it is none.
    pub file: usize,
}

#[derive(Debug)]
struct Entry {
    /// Generation + 1 and a count of writes; 0 in the upper half while it is being written.
    stamp: AtomicU64,
    start: AtomicUsize,
    end: AtomicUsize,
    file: AtomicUsize,
}

impl Entry {
    const fn new() -> Entry {
        Entry {
            stamp: AtomicU64::new(0),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            file: AtomicUsize::new(0),
        }
    }

    /// The range, if it is of this generation and was not written meanwhile. `meanwhile` is called in the
    /// middle of it.
    #[inline(always)]
    fn read(&self, generation: u32, meanwhile: impl Fn()) -> Option<Range> {
        // Acquire: with the release in `add`, so that the fields are those of the stamp.
        let stamp = self.stamp.load(Ordering::Acquire);
        let start = self.start.load(Ordering::Relaxed);
        meanwhile();
        let end = self.end.load(Ordering::Relaxed);
        let file = self.file.load(Ordering::Relaxed);
        // Acquire: the fields were read before the stamp is looked at again; a writer's fence
        // of `add` is before its fields.
        fence(Ordering::Acquire);
        let whole = self.stamp.load(Ordering::Relaxed) == stamp
            && stamp >> COUNT == u64::from(generation) + 1;
        whole.then_some(Range { start, end, file })
    }
}

/// The ranges of the present generation, the last ones if there are many. All zero is empty.
#[derive(Debug)]
pub struct Ranges {
    next: AtomicUsize,
    entries: [Entry; RANGES],
}

impl Ranges {
    /// None yet.
    pub const fn new() -> Ranges {
        Ranges { next: AtomicUsize::new(0), entries: [const { Entry::new() }; RANGES] }
    }

    /// The range that holds an address.
    pub fn find(&self, address: usize, generation: u32) -> Option<Range> {
        let used = self.next.load(Ordering::Relaxed).min(RANGES);
        let mut all = self.entries.iter().take(used);
        all.find_map(|entry| {
            let range = entry.read(generation, || ())?;
            (range.start <= address && address < range.end).then_some(range)
        })
    }

    /// Adds a range, in place of the oldest one if there is no room.
    pub fn add(&self, range: Range, generation: u32) {
        let place = self.next.fetch_add(1, Ordering::Relaxed) % RANGES;
        let Some(entry) = self.entries.get(place) else { return };
        let old = entry.stamp.load(Ordering::Relaxed);
        let count = (old as u32).wrapping_add(1);
        if old >> COUNT == 0 && old != 0 {
            // Somebody writes it, or was interrupted for ever.
            return;
        }
        let writing = u64::from(count.max(1));
        let exchanged =
            entry.stamp.compare_exchange(old, writing, Ordering::Relaxed, Ordering::Relaxed);
        if exchanged.is_err() {
            return;
        }
        // Release: the stamp is taken away before the fields change; with the fence of `find`.
        fence(Ordering::Release);
        entry.start.store(range.start, Ordering::Relaxed);
        entry.end.store(range.end, Ordering::Relaxed);
        entry.file.store(range.file, Ordering::Relaxed);
        let stamp = (u64::from(generation) + 1) << COUNT | writing;
        // Release: with the acquire of `find`.
        entry.stamp.store(stamp, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_generation() {
        let ranges = Ranges::new();
        let range = Range { start: 100, end: 200, file: 7 };
        ranges.add(range, 3);
        assert_eq!(ranges.find(100, 3), Some(range));
        assert_eq!(ranges.find(199, 3), Some(range));
        assert_eq!(ranges.find(200, 3), None);
        assert_eq!(ranges.find(150, 4), None);
        for index in 0..RANGES {
            ranges.add(Range { start: 1000 + index, end: 1001 + index, file: 0 }, 4);
        }
        assert_eq!(ranges.find(150, 3), None);
        assert!((0..RANGES).all(|index| ranges.find(1000 + index, 4).is_some()));
    }

    /// A range around 1000 whose fields tell whether they belong together.
    fn around(by: usize) -> Range {
        Range { start: 1000 - by, end: 1000 + by, file: by }
    }

    #[test]
    fn fields_belong_together() {
        let ranges = Ranges::new();
        ranges.add(around(1), 0);
        let entry = &ranges.entries[0];
        assert_eq!(entry.read(0, || ()), Some(around(1)));
        let write = || {
            ranges.next.store(0, Ordering::Relaxed);
            ranges.add(around(2), 0);
        };
        assert_eq!(entry.read(0, write), None);
        assert_eq!(entry.read(0, || ()), Some(around(2)));
    }

    #[test]
    fn what_somebody_writes_is_left_alone() {
        let ranges = Ranges::new();
        ranges.add(around(1), 0);
        // Interrupted for ever.
        let stamp = ranges.entries[0].stamp.fetch_and(u64::from(u32::MAX), Ordering::Relaxed);
        ranges.next.store(0, Ordering::Relaxed);
        ranges.add(around(2), 0);
        assert_eq!(ranges.find(1000, 0), None);
        ranges.entries[0].stamp.store(stamp, Ordering::Relaxed);
        assert_eq!(ranges.find(1000, 0), Some(around(1)));
    }
}
