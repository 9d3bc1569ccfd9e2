//! The live memory over time, in a fixed number of intervals with the least and the most of each.

use crate::amount::Amount;

/// Intervals at the most; there are at least half of them, if the time is long enough.
const MOST: usize = 2000;
/// The width of the first intervals is 1024 ns.
const FIRST_SHIFT: u32 = 10;

/// An interval of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// The least that lived, by bytes and by blocks, before or after any event of the interval.
    pub least: Amount,
    /// The most that lived.
    pub most: Amount,
    /// Births.
    pub births: u64,
    /// The bytes of those.
    pub born_bytes: u64,
    /// Deaths.
    pub deaths: u64,
}

impl Interval {
    fn at(live: Amount) -> Interval {
        Interval { least: live, most: live, ..Interval::default() }
    }

    #[inline]
    fn see(&mut self, live: Amount) {
        self.least.bytes = self.least.bytes.min(live.bytes);
        self.least.blocks = self.least.blocks.min(live.blocks);
        self.most.bytes = self.most.bytes.max(live.bytes);
        self.most.blocks = self.most.blocks.max(live.blocks);
    }

    /// Both, one after the other.
    pub fn joined(mut self, later: &Interval) -> Interval {
        self.see(later.least);
        self.see(later.most);
        self.births += later.births;
        self.born_bytes = self.born_bytes.wrapping_add(later.born_bytes);
        self.deaths += later.deaths;
        self
    }
}

/// The live memory over time. Intervals double their width as time goes on: their number is bounded, and no
/// change is left out.
#[derive(Clone, Debug)]
pub struct Timeline {
    start_ns: u64,
    shift: u32,
    done: Vec<Interval>,
    /// The interval behind those that are done.
    current: Interval,
    live: Amount,
}

impl Timeline {
    /// Nothing lives at this Unix time in nanoseconds, with which the first interval starts. What is
    /// before it belongs to that.
    pub fn new(start_ns: u64) -> Timeline {
        Timeline {
            start_ns,
            shift: FIRST_SHIFT,
            done: Vec::new(),
            current: Interval::default(),
            live: Amount::default(),
        }
    }

    /// The Unix time in nanoseconds with which the first interval starts.
    pub fn start_ns(&self) -> u64 {
        self.start_ns
    }

    /// The width of an interval in nanoseconds.
    pub fn width_ns(&self) -> u64 {
        1 << self.shift
    }

    /// All intervals up to the last event; each starts where the one before it ends.
    pub fn intervals(&self) -> impl ExactSizeIterator<Item = &Interval> {
        let all = 0..self.done.len() + 1;
        all.map(|place| self.done.get(place).unwrap_or(&self.current))
    }

    /// So much lives from this Unix time in nanoseconds on.
    #[inline]
    fn go_to(&mut self, time_ns: u64) {
        let place = time_ns.saturating_sub(self.start_ns) >> self.shift;
        // Times do not go back but in damaged traces, and where clocks of processes differ.
        if place > self.done.len() as u64 {
            self.finish(time_ns);
        }
    }

    #[cold]
    #[inline(never)]
    fn finish(&mut self, time_ns: u64) {
        let since_ns = time_ns.saturating_sub(self.start_ns);
        self.done.push(std::mem::replace(&mut self.current, Interval::at(self.live)));
        while since_ns >> self.shift >= MOST as u64 {
            self.widen();
        }
        while (self.done.len() as u64) < since_ns >> self.shift {
            self.done.push(Interval::at(self.live));
        }
    }

    /// Joins intervals in pairs. The current one has no events yet.
    fn widen(&mut self) {
        self.shift += 1;
        if self.done.len() % 2 == 1 {
            self.done.push(Interval::at(self.live));
        }
        for place in 0..self.done.len() / 2 {
            self.done[place] = self.done[2 * place].joined(&self.done[2 * place + 1]);
        }
        self.done.truncate(self.done.len() / 2);
    }

    /// A block was born, in the place of another one if it `is_grown`, and so much lives now.
    #[inline]
    pub fn birth(&mut self, time_ns: u64, size: u64, live: Amount, is_grown: bool) {
        self.go_to(time_ns);
        self.live = live;
        let current = &mut self.current;
        current.births += 1;
        current.born_bytes = current.born_bytes.wrapping_add(size);
        current.most.bytes = current.most.bytes.max(live.bytes);
        current.most.blocks = current.most.blocks.max(live.blocks);
        if is_grown {
            current.see(live);
        }
    }

    /// A block has died, and so much lives now; unless a birth follows in the same event.
    #[inline]
    pub fn death(&mut self, time_ns: u64, live: Amount, is_over: bool) {
        self.go_to(time_ns);
        self.live = live;
        self.current.deaths += 1;
        if is_over {
            let least = &mut self.current.least;
            least.bytes = least.bytes.min(live.bytes);
            least.blocks = least.blocks.min(live.blocks);
        }
    }

    /// A process has ended, and so much lives now: intervals behind this one start with it.
    pub fn end(&mut self, time_ns: u64, live: Amount) {
        self.go_to(time_ns);
        self.live = live;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_interval_has_its_least_and_most(
            steps in prop::collection::vec((0u64..5_000_000, any::<bool>(), 0u64..1000), 1..1500),
        ) {
            let mut timeline = Timeline::new(1000);
            let (mut time, mut live, mut points) = (1000, Amount::default(), Vec::new());
            for (passed, is_birth, size) in steps {
                time += passed;
                match is_birth {
                    true => live.add(size),
                    false => live.remove(size.min(live.bytes)),
                }
                live.blocks = live.bytes / 7;
                points.push((time, live, is_birth));
                match is_birth {
                    true => timeline.birth(time, size, live, false),
                    false => timeline.death(time, live, true),
                }
            }
            let intervals: Vec<_> = timeline.intervals().copied().collect();
            prop_assert!(intervals.len() <= MOST);
            let place = |time: u64| ((time - 1000) / timeline.width_ns()) as usize;
            prop_assert_eq!(intervals.len(), place(time) + 1);
            let mut before = Amount::default();
            let mut points = points.into_iter().peekable();
            for (number, found) in intervals.iter().enumerate() {
                let mut expected = Interval::at(before);
                while let Some((_, live, is_birth)) = points.next_if(|it| place(it.0) == number) {
                    expected.see(live);
                    match is_birth {
                        true => expected.births += 1,
                        false => expected.deaths += 1,
                    }
                    before = live;
                }
                prop_assert_eq!(*found, Interval { born_bytes: found.born_bytes, ..expected });
            }
        }
    }
}
