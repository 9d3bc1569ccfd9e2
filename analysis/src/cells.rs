//! The cost of each place, thread and class of sizes over time: the figures of a range of time, for any
//! grouping of them.

use rustc_hash::FxHashMap;

use crate::cell::{Cell, Key};
use crate::change::{Birth, Cause, Death};
use crate::histogram::{class, digits};
use crate::live::Block;
use crate::peak::Peak;
use crate::place::PlaceId;
use crate::slices::Slices;
use crate::thread::ThreadId;

/// Cells that are told apart: 16 thousand take 120 MiB if all are in use all the time.
const MOST: usize = 1 << 14;

/// The costs of cells over time. Slices double their width as time goes on: their number is bounded, and
/// the figures of a slice are exact.
#[derive(Clone, Debug)]
pub struct Cells {
    time: Slices,
    /// The first one is for those beyond the bound.
    cells: Vec<Cell>,
    numbers: FxHashMap<Key, u32>,
    /// The last cell of each place.
    last: Vec<u32>,
    /// The places that are told apart, by number; all if there is none.
    wanted: Option<Vec<bool>>,
    /// Births of cells that are not told apart.
    beyond: u64,
}

impl Cells {
    /// Nothing lives at this Unix time in nanoseconds.
    pub fn new(start_ns: u64) -> Cells {
        let others = Key { place: PlaceId::NONE, thread: ThreadId::OTHERS, class: 0 };
        Cells {
            time: Slices::new(start_ns),
            cells: vec![Cell::new(others, 0)],
            numbers: FxHashMap::default(),
            last: Vec::new(),
            wanted: None,
            beyond: 0,
        }
    }

    /// The same for cells of these places; all others are one.
    pub fn of(start_ns: u64, places: impl IntoIterator<Item = PlaceId>) -> Cells {
        let mut wanted = Vec::new();
        for place in places {
            wanted.resize(wanted.len().max(place.number() + 1), false);
            wanted[place.number()] = true;
        }
        Cells { wanted: Some(wanted), ..Cells::new(start_ns) }
    }

    /// The same over the slices of a range, as [`Slices::of_range`] has them.
    pub fn in_range(self, since_ns: u64, until_ns: u64) -> Cells {
        Cells { time: Slices::of_range(self.time.start_ns(), since_ns, until_ns), ..self }
    }

    /// The slices of time.
    pub fn time(&self) -> &Slices {
        &self.time
    }

    /// Births of cells that are not told apart.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// All cells, the first one for those that are not told apart; the pass is over.
    pub fn into_cells(mut self) -> (Slices, Vec<Cell>) {
        self.time.complete();
        self.cells.iter_mut().for_each(|cell| cell.close_slices(&self.time));
        (self.time, self.cells)
    }

    fn find(&mut self, key: Key) -> usize {
        if let Some(&number) = self.numbers.get(&key) {
            return number as usize;
        }
        let is_wanted = |all: &Vec<bool>| all.get(key.place.number()) == Some(&true);
        if self.cells.len() > MOST || !self.wanted.as_ref().is_none_or(is_wanted) {
            return 0;
        }
        let number = self.cells.len();
        self.cells.push(Cell::new(key, self.time.current()));
        self.numbers.insert(key, number as u32);
        number
    }

    #[inline]
    fn number(&mut self, block: &Block) -> usize {
        let key = Key { place: block.place, thread: block.thread, class: class(block.size) as u8 };
        let place = key.place.number();
        if let Some(&last) = self.last.get(place)
            && self.cells[last as usize].key == key
        {
            return last as usize;
        }
        let number = self.find(key);
        if self.last.len() <= place {
            self.last.resize(place + 1, 0);
        }
        self.last[place] = number as u32;
        number
    }

    /// A change has happened; `peak` has counted it.
    #[inline]
    fn go_to(&mut self, time_ns: u64, peak: &Peak, is_birth: bool) {
        if self.time.is_behind(time_ns) {
            self.extend(time_ns);
        }
        self.time.see(time_ns, peak, is_birth);
    }

    #[cold]
    #[inline(never)]
    fn extend(&mut self, time_ns: u64) {
        while self.time.are_narrow(time_ns) {
            // Cells close the slices that there are.
            let before = self.time.clone();
            let second = self.time.widen();
            self.cells.iter_mut().for_each(|cell| cell.widen(&before, &second));
        }
        self.time.extend(time_ns);
    }

    /// A block is born.
    #[inline]
    pub fn birth(&mut self, birth: &Birth, peak: &Peak) {
        self.go_to(birth.at.time_ns, peak, true);
        let number = self.number(birth.block);
        self.beyond += u64::from(number == 0);
        let (cell, size) = (&mut self.cells[number], birth.block.size);
        let slice = cell.touch(&self.time, peak);
        slice.births += 1;
        slice.born_bytes = slice.born_bytes.saturating_add(size);
        cell.live = cell.live.saturating_add(size);
    }

    /// A block dies.
    #[inline]
    pub fn death(&mut self, death: &Death, is_temporary: bool, peak: &Peak) {
        self.go_to(death.at.time_ns, peak, false);
        let number = self.number(death.block);
        let cell = &mut self.cells[number];
        let slice = cell.touch(&self.time, peak);
        if death.cause != Cause::Replaced {
            slice.deaths += 1;
            slice.age_ns = slice.age_ns.saturating_add(death.age_ns());
            slice.temporary += u64::from(is_temporary);
        }
        let is_known = death.cause != Cause::Replaced;
        let digits = is_known.then(|| digits(death.age_ns()) as u8);
        cell.has_lived(death.block, digits, peak, self.time.counts(death.block.birth_ns));
        cell.live = cell.live.saturating_sub(death.block.size);
    }

    /// A block is alive when its process ends. It counts at the end of the slice in which that is.
    #[inline]
    pub fn left(&mut self, time_ns: u64, block: &Block, peak: &Peak) {
        self.go_to(time_ns, peak, false);
        let born = self.time.slice_of(block.birth_ns);
        let number = self.number(block);
        let cell = &mut self.cells[number];
        cell.touch(&self.time, peak);
        let place = born.saturating_sub(cell.first);
        if let Some(slice) = cell.slices.get_mut(place) {
            slice.left_bytes = slice.left_bytes.saturating_add(block.size);
        }
        cell.has_lived(block, None, peak, self.time.counts(block.birth_ns));
        cell.live = cell.live.saturating_sub(block.size);
        cell.gone = cell.gone.saturating_add(block.size);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mallook_reader::{Call, Event, EventKind, Kind};
    use proptest::prelude::*;

    use super::*;
    use crate::cell::Slice;
    use crate::pass::{Figures, Wanted};
    use crate::replay::Replay;

    const START: u64 = 1000;

    /// Times of births and deaths, with the size and the thread.
    type Life = (u64, Option<u64>, u64, u32);

    /// Blocks that are born one after the other, each of which dies after a number of steps.
    fn lives(steps: Vec<(u64, u32, u64, usize)>) -> Vec<Life> {
        let mut time = START;
        let mut times: Vec<u64> = steps
            .iter()
            .map(|step| {
                time += 2 * step.0 + 2;
                time
            })
            .collect();
        times.push(time + 10);
        let life = |(number, &(_, thread, size, steps)): (usize, &(u64, u32, u64, usize))| {
            // A death is at an odd time: between the births.
            let death = times.get(number + steps + 1).map(|time| (time | 1).wrapping_sub(2));
            (times[number], death.filter(|_| steps < 30), size, thread)
        };
        steps.iter().enumerate().map(life).collect()
    }

    fn figures(lives: &[Life]) -> Figures {
        let mut events = Vec::new();
        for (number, &(birth, death, size, thread)) in (1..).zip(lives) {
            let mut push = |time_ns, call: Call| {
                let call = call.with_address(number * 16);
                let kind = EventKind::Call(call);
                events.push(Event { time_ns, pid: 1, tid: thread, trace: 0, stack: None, kind });
            };
            push(birth, Call::new(Kind::Malloc).with_size(size));
            if let Some(death) = death {
                push(death, Call::new(Kind::Free));
            }
        }
        events.sort_by_key(|event| event.time_ns);
        let mut figures = Figures::new(&[START], Wanted { cells: true, ..Wanted::default() });
        let mut replay = Replay::new(1);
        events.iter().for_each(|event| replay.event(event, &mut figures));
        replay.end(0, &mut figures);
        figures
    }

    proptest! {
        #[test]
        fn slices_say_what_lived(
            steps in prop::collection::vec((0u64..3000, 1u32..4, 1u64..600, 0usize..40), 1..700),
        ) {
            let lives = lives(steps);
            let figures = figures(&lives);
            let peak = figures.totals.peak().most.bytes;
            let (time, cells) = figures.cells.unwrap().into_cells();
            let width = time.width_ns();
            prop_assert!(time.tops().len() <= crate::slices::MOST);
            prop_assert_eq!(time.tops().iter().map(|top| top.most.bytes).max(), Some(peak));
            let of = |time: u64| ((time - START) / width) as usize;
            let alive = |at: u64| {
                let is = |life: &&Life| life.0 <= at && life.1.is_none_or(|death| death > at);
                let mut sums = BTreeMap::<(u32, u8), u64>::new();
                lives.iter().filter(is).for_each(|it| *sums.entry((it.3, class(it.2) as u8)).or_default() += it.2);
                sums
            };
            let mut left = 0;
            for (slice, top) in time.tops().iter().enumerate() {
                let end = START + (slice as u64 + 1) * width - 1;
                let (at_top, at_end) = (alive(top.time_ns), alive(end));
                prop_assert_eq!(at_top.values().sum::<u64>(), top.most.bytes);
                let births = lives.iter().filter(|life| of(life.0) == slice).map(|life| alive(life.0));
                let most = births.map(|it| it.values().sum::<u64>()).max().unwrap_or(0);
                prop_assert!(most <= top.most.bytes);
                let (mut tops, mut ends) = (0, 0);
                for cell in &cells[1..] {
                    let Some(place) = slice.checked_sub(cell.first) else { continue };
                    let found = cell.slices[place];
                    // The thread and the class tell cells apart, with the size.
                    tops += found.at_top;
                    ends += found.at_end;
                    left += found.left_bytes;
                }
                prop_assert_eq!(tops, top.most.bytes);
                prop_assert_eq!(ends, at_end.values().sum::<u64>());
                let sum = |of: fn(&Slice) -> u64| -> u64 {
                    let slices = cells.iter().filter_map(|it| it.slices.get(slice.checked_sub(it.first)?));
                    slices.map(of).sum()
                };
                let born = lives.iter().filter(|life| of(life.0) == slice);
                prop_assert_eq!(sum(|it| it.births), born.clone().count() as u64);
                prop_assert_eq!(sum(|it| it.born_bytes), born.map(|life| life.2).sum::<u64>());
                let dead = lives.iter().filter(|life| life.1.is_some_and(|death| of(death) == slice));
                prop_assert_eq!(sum(|it| it.deaths), dead.clone().count() as u64);
                let ages = dead.map(|life| life.1.unwrap() - life.0);
                prop_assert_eq!(sum(|it| it.age_ns), ages.sum::<u64>());
            }
            let never = lives.iter().filter(|life| life.1.is_none());
            prop_assert_eq!(left, never.map(|life| life.2).sum::<u64>());
            let at_peak: u64 = figures.lives.unwrap().iter().map(|it| it.2.at_peak(figures.totals.peak()).bytes).sum();
            prop_assert_eq!(at_peak, peak);
        }
    }

    #[test]
    fn places_that_are_not_wanted_are_one() {
        let lives = lives((0..100).map(|size| (1, 1, size + 1, 1)).collect());
        let figures = figures(&lives);
        let all = figures.cells.unwrap();
        assert_eq!((all.beyond(), all.cells.len()), (0, 101));
        let wanted = [all.cells[1].key.place, all.cells[2].key.place];
        let mut some = Cells::of(START, wanted);
        let keys: Vec<_> = all.cells[1..].iter().map(|cell| some.find(cell.key)).collect();
        assert_eq!(keys.iter().filter(|&&number| number != 0).count(), 2);
    }
}
