//! Ticks to Unix time.

use mallook_format::ring::BlockCopy;
use mallook_format::{Clock, FileHeader};

use crate::decode::{Decoder, Tie};
use crate::{Blocks, Trace};

/// A rate that no clock has, in nanoseconds a tick: a tie that implies one is damaged.
const PLAUSIBLE_RATE: std::ops::RangeInclusive<f64> = 0.05..=20.0;
/// Ties closer than this say nothing about the rate, in nanoseconds.
const CLOSE: u64 = 20_000;
/// Bits behind the point of a rate.
const SHIFT: u32 = 32;

/// Traces of up to so many blocks are searched for ties within blocks as well; of longer ones, so
/// many blocks tell which ties agree with each other before the first event is shown.
const FIRST_BLOCKS: u64 = 64;

/// Converts the ticks of one trace to Unix nanoseconds: linear between any two ties of its clock,
/// with the overall rate before the first and behind the last.
#[derive(Clone, Debug)]
pub struct ClockMap {
    segments: Vec<Segment>,
    ties: Ties,
    /// Unix time minus `CLOCK_MONOTONIC`, in nanoseconds: to be added, and to be taken away.
    offset: (u64, u64),
    /// The ticks are nanoseconds: ties say nothing.
    exact: bool,
}

/// From here to the next segment.
#[derive(Clone, Copy, Debug)]
struct Segment {
    ticks: u64,
    ns: u64,
    /// Nanoseconds a tick, fixed point.
    rate: u64,
}

/// The ties of the first blocks of a trace.
fn first_ties(trace: &Trace) -> Vec<Tie> {
    let mut ties = Vec::new();
    let mut copy = Box::new(BlockCopy::EMPTY);
    let places = trace.places();
    for block in Blocks::between(trace, 1, 1 + places.min(FIRST_BLOCKS)) {
        ties.push((block.base_ticks, block.base_ns));
        if places <= FIRST_BLOCKS && trace.source().copy_block(block.index, &mut copy) {
            ties.extend(Decoder::ties(&copy, block.parity));
        }
    }
    ties
}

impl ClockMap {
    /// The map of the first blocks of a trace; it is to be extended block by block, in the order in
    /// which they start.
    pub(crate) fn first(trace: &Trace) -> ClockMap {
        ClockMap::new(trace.header(), first_ties(trace))
    }

    /// The map of all blocks of a trace, whose ties are these.
    pub(crate) fn of(trace: &Trace, mut ties: Vec<Tie>) -> ClockMap {
        ties.sort_unstable();
        let mut map = ClockMap::first(trace);
        ties.into_iter().for_each(|tie| map.extend(tie));
        map
    }

    /// Builds the map from ties in any order.
    fn new(header: &FileHeader, mut ties: Vec<Tie>) -> ClockMap {
        let (unix, monotonic) = (header.realtime_ns, header.monotonic_ns);
        let offset = (unix.saturating_sub(monotonic), monotonic.saturating_sub(unix));
        if Clock::from_raw(header.clock) == Some(Clock::Monotonic) {
            let segments = vec![Segment { ticks: 0, ns: 0, rate: 1 << SHIFT }];
            return ClockMap { segments, ties: Ties::default(), offset, exact: true };
        }
        ties.push((header.ticks, header.monotonic_ns));
        ties.sort_unstable();
        let mut kept = Ties::default();
        let mut sound = Vec::new();
        for tie in ties {
            match kept.judge(tie) {
                Verdict::Sound => sound.push(tie),
                Verdict::StartAgain => sound = vec![tie],
                Verdict::Damaged => {}
            }
        }
        let overall = kept.overall();
        // Before the first tie, counting back from it.
        let before = (u128::from(kept.first.0) * u128::from(overall)) >> SHIFT;
        let ns = u128::from(kept.first.1).saturating_sub(before) as u64;
        let segments = vec![Segment { ticks: 0, ns, rate: overall }];
        let mut map = ClockMap { segments, ties: kept, offset, exact: false };
        sound.into_iter().for_each(|tie| map.push(tie));
        map
    }

    /// Takes note of a later tie, unless it contradicts the others.
    pub(crate) fn extend(&mut self, tie: Tie) {
        if !self.exact && tie.0 > self.ties.last.0 && self.ties.judge(tie) != Verdict::Damaged {
            self.push(tie);
        }
    }

    fn push(&mut self, tie: Tie) {
        // The first segment stands before all ties.
        if self.segments.len() > 1
            && let Some(last) = self.segments.last_mut()
        {
            last.rate = rate((last.ticks, last.ns), tie);
        }
        self.segments.push(Segment { ticks: tie.0, ns: tie.1, rate: self.ties.overall() });
    }

    /// The Unix time of these ticks, in nanoseconds. Grows with the ticks.
    pub fn unix_ns(&self, ticks: u64) -> u64 {
        self.to_unix(self.monotonic_ns(ticks))
    }

    fn to_unix(&self, monotonic_ns: u64) -> u64 {
        monotonic_ns.saturating_add(self.offset.0).saturating_sub(self.offset.1)
    }

    /// The ticks' time on `CLOCK_MONOTONIC`, in nanoseconds. Grows with the ticks.
    pub fn monotonic_ns(&self, ticks: u64) -> u64 {
        self.stretch(ticks).ns(ticks)
    }

    /// The stretch between two ties that these ticks fall into.
    fn stretch(&self, ticks: u64) -> Stretch {
        // The first segment starts at 0.
        let next = self.segments.partition_point(|segment| segment.ticks <= ticks);
        let start = next.checked_sub(1).and_then(|last| self.segments.get(last)).copied();
        let end = self.segments.get(next);
        Stretch {
            start: start.unwrap_or(Segment { ticks: 0, ns: 0, rate: 0 }),
            end_ticks: end.map_or(u64::MAX, |end| end.ticks),
            end_ns: end.map_or(u64::MAX, |end| end.ns),
        }
    }
}

/// What is known of the ties so far.
#[derive(Clone, Copy, Debug, Default)]
struct Ties {
    first: Tie,
    last: Tie,
    kept: usize,
    /// Ties in a row that contradict those that were kept.
    dropped: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Sound,
    /// It goes back, or implies a rate that no clock has.
    Damaged,
    /// Nothing agrees with what was kept: that is what is damaged.
    StartAgain,
}

impl Ties {
    fn judge(&mut self, tie: Tie) -> Verdict {
        let (ticks, ns) = (tie.0.wrapping_sub(self.last.0), tie.1.wrapping_sub(self.last.1));
        let plausible = ns < CLOSE || PLAUSIBLE_RATE.contains(&(ns as f64 / ticks as f64));
        let forwards = tie.0 > self.last.0;
        if self.kept == 0 || forwards && tie.1 >= self.last.1 && plausible {
            let first = if self.kept == 0 { tie } else { self.first };
            *self = Ties { first, last: tie, kept: self.kept + 1, dropped: 0 };
            return Verdict::Sound;
        }
        self.dropped += usize::from(forwards);
        if self.dropped <= self.kept {
            return Verdict::Damaged;
        }
        *self = Ties { first: tie, last: tie, kept: 1, dropped: 0 };
        Verdict::StartAgain
    }

    /// The rate from the first tie to the last.
    fn overall(&self) -> u64 {
        if self.last.0 > self.first.0 { rate(self.first, self.last) } else { 1 << SHIFT }
    }
}

/// The time between two ties.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    start: Segment,
    end_ticks: u64,
    end_ns: u64,
}

impl Stretch {
    fn holds(&self, ticks: u64) -> bool {
        (self.start.ticks..self.end_ticks).contains(&ticks)
    }

    fn ns(&self, ticks: u64) -> u64 {
        let passed = u128::from(ticks - self.start.ticks) * u128::from(self.start.rate);
        let passed = u64::try_from(passed >> SHIFT).unwrap_or(u64::MAX);
        self.start.ns.saturating_add(passed).min(self.end_ns)
    }
}

/// Converts ticks that mostly grow: it remembers where it was in the map, which may grow too.
#[derive(Clone, Debug)]
pub(crate) struct Converter {
    map: ClockMap,
    here: Stretch,
}

impl Converter {
    pub fn new(map: ClockMap) -> Converter {
        Converter { here: map.stretch(0), map }
    }

    /// As [`ClockMap::extend`].
    pub fn extend(&mut self, ties: impl Iterator<Item = Tie>) {
        ties.for_each(|tie| self.map.extend(tie));
        self.here = self.map.stretch(self.here.start.ticks);
    }

    /// As [`ClockMap::unix_ns`].
    #[inline]
    pub fn unix_ns(&mut self, ticks: u64) -> u64 {
        if !self.here.holds(ticks) {
            self.here = self.map.stretch(ticks);
        }
        self.map.to_unix(self.here.ns(ticks))
    }
}

/// The rate between two ties of which the second is later in ticks.
fn rate(start: Tie, end: Tie) -> u64 {
    let (ticks, ns) = (end.0 - start.0, end.1.saturating_sub(start.1));
    u64::try_from((u128::from(ns) << SHIFT) / u128::from(ticks.max(1))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;
    use proptest::prelude::*;

    use super::*;

    fn header(ticks: u64, monotonic_ns: u64) -> FileHeader {
        FileHeader {
            clock: Clock::Tsc as u32,
            ticks,
            monotonic_ns,
            realtime_ns: monotonic_ns + 1_000_000,
            ..FileHeader::zeroed()
        }
    }

    #[test]
    fn linear_between_and_beyond_ties() {
        let map = ClockMap::new(&header(1000, 500_000), vec![(3000, 501_000), (5000, 502_000)]);
        assert_eq!(map.unix_ns(1000), 1_500_000);
        assert_eq!(map.monotonic_ns(2000), 500_500);
        assert_eq!(map.monotonic_ns(7000), 503_000);
        assert_eq!(map.monotonic_ns(800), 499_900);
    }

    #[test]
    fn a_damaged_tie_does_not_count() {
        let ties: Vec<_> = (1..50).map(|i| (i * 2_000_000, i * 1_000_000)).collect();
        let good = ClockMap::new(&header(0, 0), ties.clone());
        for wrong in [(u64::MAX, 7), (7, u64::MAX), (3_000_000, 1 << 60), (1 << 60, 3_000_000)] {
            let mut ties = ties.clone();
            ties.push(wrong);
            let map = ClockMap::new(&header(0, 0), ties);
            for ticks in [2_000_001, 50_000_000, 98_000_000] {
                assert_eq!(map.monotonic_ns(ticks), good.monotonic_ns(ticks), "{wrong:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn never_goes_back(ties: Vec<(u64, u64)>, ticks: u64, ns: u64, mut at: Vec<u64>) {
            let map = ClockMap::new(&header(ticks, ns >> 1), ties);
            at.sort_unstable();
            let times: Vec<_> = at.iter().map(|&ticks| map.monotonic_ns(ticks)).collect();
            prop_assert!(times.is_sorted());
        }
    }
}
