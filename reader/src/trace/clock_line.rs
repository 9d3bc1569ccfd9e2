//! A clock that was set back: the counter of a virtual machine that was moved or restored.
//!
//! The second clock of the syncs, `CLOCK_MONOTONIC`, never goes back. Where the ticks do, by more than
//! a thread can be held up between its reads of both clocks, the counter has jumped: from there on
//! a shift is added to the ticks, so that they go on at the rate that they had.

use super::clock_sync::{ClockSync, PLAUSIBLE_RATE};

/// A counter that has gone back by more ticks than this has jumped: about half a second. Smaller jumps
/// are left to the order of blocks ([`Block::start_ticks`](super::Block::start_ticks)).
pub const FAR: u64 = 1 << 30;
/// Jumps that are told apart.
const MOST_JUMPS: usize = 64;
/// Ticks a nanosecond where nothing is known: no processor counts faster.
const FASTEST: f64 = 5.0;
/// Clock syncs closer than this say nothing about the rate, in nanoseconds.
const CLOSE: u64 = 20_000;

/// The ticks of a trace as one line: given its clock syncs, mostly in order of time.
#[derive(Clone, Debug, Default)]
pub struct ClockLine {
    first: Option<ClockSync>,
    /// The latest clock sync by nanoseconds, its ticks shifted.
    newest: ClockSync,
    /// A shift for each jump, the last one last.
    shifts: Vec<u64>,
}

impl ClockLine {
    /// `header`: the clock sync of the file's header.
    pub fn new(header: ClockSync) -> ClockLine {
        ClockLine { first: Some(header), ..ClockLine::default() }
    }

    /// How often the clock was set back.
    pub fn jumps(&self) -> u64 {
        self.shifts.len() as u64
    }

    /// The ticks that are to be added to those of this clock sync and of its block.
    pub fn shift(&mut self, sync: ClockSync) -> u64 {
        let is_newest = sync.ns >= self.newest.ns;
        let mut shift = 0;
        if !self.shifts.is_empty() {
            let expected = self.expected(sync.ns);
            let far = |shift: &u64| sync.ticks.wrapping_add(*shift).abs_diff(expected);
            let shifts = [0].into_iter().chain(self.shifts.iter().copied());
            shift = shifts.min_by_key(far).unwrap_or(0);
        }
        let mut ticks = sync.ticks.wrapping_add(shift);
        if is_newest && self.newest.ticks > FAR && ticks < self.newest.ticks - FAR {
            if self.shifts.len() == MOST_JUMPS {
                return shift;
            }
            ticks = self.expected(sync.ns);
            shift = ticks.wrapping_sub(sync.ticks);
            self.shifts.push(shift);
        }
        if is_newest {
            self.newest = ClockSync { ticks: ticks.max(self.newest.ticks), ns: sync.ns };
            self.first.get_or_insert(self.newest);
        }
        shift
    }

    /// Appends the line of a later part of the trace, whose first clock sync is given; returns what is
    /// to be added to its ticks.
    pub fn append(&mut self, first: ClockSync, later: &ClockLine) -> u64 {
        let shift = self.shift(first);
        for further in &later.shifts {
            if self.shifts.len() < MOST_JUMPS {
                self.shifts.push(further.wrapping_add(shift));
            }
        }
        if later.newest.ns >= self.newest.ns {
            self.newest = later.newest;
            self.newest.ticks = self.newest.ticks.wrapping_add(shift);
        }
        shift
    }

    /// The ticks at this time, at the rate of the clock so far.
    fn expected(&self, ns: u64) -> u64 {
        let first = self.first.unwrap_or_default();
        let span = self.newest.ns.saturating_sub(first.ns);
        let ticks = self.newest.ticks.saturating_sub(first.ticks);
        let rate = span as f64 / ticks as f64;
        let known = span >= CLOSE && PLAUSIBLE_RATE.contains(&rate);
        let ticks_a_ns = if known { rate.recip() } else { FASTEST };
        let passed = (ns.abs_diff(self.newest.ns) as f64 * ticks_a_ns) as u64;
        match ns >= self.newest.ns {
            true => self.newest.ticks.saturating_add(passed),
            false => self.newest.ticks.saturating_sub(passed),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sync(ticks: u64, ns: u64) -> ClockSync {
        ClockSync { ticks, ns }
    }

    #[test]
    fn ticks_go_on_where_the_counter_went_back() {
        let mut line = ClockLine::new(sync(20_000_000_000, 1_000_000));
        let mut last = 0;
        for step in 1..1000u64 {
            let jumped = if step < 500 { 0 } else { 15_000_000_000 };
            let now =
                sync(20_000_000_000 + step * 2_000_000 - jumped, 1_000_000 + step * 1_000_000);
            let ticks = now.ticks.wrapping_add(line.shift(now));
            assert!(ticks > last, "{step}");
            assert!(ticks.abs_diff(20_000_000_000 + step * 2_000_000) < 1_000, "{step}: {ticks}");
            last = ticks;
        }
        assert_eq!(line.jumps(), 1);
        // A block of before the jump, found late.
        assert_eq!(line.shift(sync(20_900_000_000, 451_000_000)), 0);
    }

    proptest! {
        /// A sound clock is never taken for one that was set back, whether threads are held up between the
        /// reads of two clocks or numbers are damaged.
        #[test]
        fn a_sound_clock_is_left_alone(
            start: u32,
            steps in prop::collection::vec((0u64..1 << 28, 0u64..1 << 28), 0..200),
        ) {
            let mut line = ClockLine::new(sync(start.into(), 0));
            let mut time = 0;
            for (passed, held_up) in steps {
                time += passed;
                let found = line.shift(sync(u64::from(start) + 2 * time, time + held_up / 2));
                prop_assert_eq!(found, 0);
            }
        }

        #[test]
        fn parts_add_up_to_the_whole(
            jumps in prop::collection::vec(any::<bool>(), 2..100),
            cut: prop::sample::Index,
        ) {
            let header = sync(1 << 40, 0);
            let mut back = 0;
            let syncs: Vec<_> = (1u64..).zip(&jumps).map(|(step, &jump)| {
                back += if jump && step % 7 == 0 { 1 << 34 } else { 0 };
                sync((1 << 40) + step * 2_000_000 - back, step * 1_000_000)
            }).collect();
            let mut whole = ClockLine::new(header);
            let shifts: Vec<_> = syncs.iter().map(|&it| whole.shift(it)).collect();
            let (early, late) = syncs.split_at(cut.index(syncs.len() - 1) + 1);
            let mut one = ClockLine::new(header);
            early.iter().for_each(|&it| _ = one.shift(it));
            let mut other = ClockLine::default();
            let found: Vec<_> = late.iter().map(|&it| other.shift(it)).collect();
            if let Some(&first) = late.first() {
                let between = one.append(first, &other);
                for (found, expected) in found.iter().zip(&shifts[early.len()..]) {
                    let both = found.wrapping_add(between);
                    prop_assert!(both.wrapping_sub(*expected).min(expected.wrapping_sub(both)) < FAR / 4);
                }
            }
            prop_assert_eq!(one.jumps(), whole.jumps());
        }
    }
}
