//! Ticks to Unix time.

use mallook_format::{Clock, FileHeader};

/// A rate that no clock has, in nanoseconds a tick: a tie that implies one is damaged.
const PLAUSIBLE_RATE: std::ops::RangeInclusive<f64> = 0.05..=20.0;
/// Ties closer than this say nothing about the rate, in nanoseconds.
const CLOSE: u64 = 20_000;
/// Bits behind the point of a rate.
const SHIFT: u32 = 32;

/// Converts the ticks of one trace to Unix nanoseconds: linear between any two ties of its clock,
/// with the overall rate before the first and behind the last.
#[derive(Clone, Debug)]
pub struct ClockMap {
    segments: Vec<Segment>,
    /// Unix time minus `CLOCK_MONOTONIC`, in nanoseconds.
    offset: i128,
}

/// From here to the next segment.
#[derive(Clone, Copy, Debug)]
struct Segment {
    ticks: u64,
    ns: u64,
    /// Nanoseconds a tick, fixed point.
    rate: u64,
}

impl ClockMap {
    /// Builds the map from ties of ticks to `CLOCK_MONOTONIC` nanoseconds, in any order.
    pub(crate) fn new(header: &FileHeader, mut ties: Vec<(u64, u64)>) -> ClockMap {
        let offset = i128::from(header.realtime_ns) - i128::from(header.monotonic_ns);
        if Clock::from_raw(header.clock) == Some(Clock::Monotonic) {
            let rate = 1 << SHIFT;
            return ClockMap { segments: vec![Segment { ticks: 0, ns: 0, rate }], offset };
        }
        ties.push((header.ticks, header.monotonic_ns));
        ties.sort_unstable();
        let ties = plausible(ties);
        let overall = match (ties.first(), ties.last()) {
            (Some(&first), Some(&last)) if last.0 > first.0 => rate(first, last),
            _ => 1 << SHIFT,
        };
        let ends = ties.iter().skip(1).map(Some).chain([None]);
        let mut segments: Vec<Segment> = ties
            .iter()
            .zip(ends)
            .map(|(&start, end)| Segment {
                ticks: start.0,
                ns: start.1,
                rate: end.map_or(overall, |&end| rate(start, end)),
            })
            .collect();
        // Before the first tie, counting back from it.
        let first = segments.first().copied().unwrap_or(Segment { ticks: 0, ns: 0, rate: overall });
        let before = (u128::from(first.ticks) * u128::from(overall)) >> SHIFT;
        let ns = u128::from(first.ns).saturating_sub(before) as u64;
        segments.insert(0, Segment { ticks: 0, ns, rate: overall });
        ClockMap { segments, offset }
    }

    /// The Unix time of these ticks, in nanoseconds. Grows with the ticks.
    pub fn unix_ns(&self, ticks: u64) -> u64 {
        self.to_unix(self.monotonic_ns(ticks))
    }

    fn to_unix(&self, monotonic_ns: u64) -> u64 {
        (i128::from(monotonic_ns) + self.offset).clamp(0, u64::MAX.into()) as u64
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

/// Converts ticks that mostly grow: it remembers where it was in the map.
#[derive(Clone, Debug)]
pub(crate) struct Converter<'a> {
    map: &'a ClockMap,
    here: Stretch,
}

impl<'a> Converter<'a> {
    pub fn new(map: &'a ClockMap) -> Converter<'a> {
        Converter { map, here: map.stretch(0) }
    }

    /// As [`ClockMap::unix_ns`].
    pub fn unix_ns(&mut self, ticks: u64) -> u64 {
        if !self.here.holds(ticks) {
            self.here = self.map.stretch(ticks);
        }
        self.map.to_unix(self.here.ns(ticks))
    }
}

/// The rate between two ties of which the second is later in ticks.
fn rate(start: (u64, u64), end: (u64, u64)) -> u64 {
    let (ticks, ns) = (end.0 - start.0, end.1.saturating_sub(start.1));
    u64::try_from((u128::from(ns) << SHIFT) / u128::from(ticks.max(1))).unwrap_or(u64::MAX)
}

/// Drops the ties that contradict the others: times that go back, rates that no clock has.
fn plausible(ties: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    let mut kept: Vec<(u64, u64)> = Vec::with_capacity(ties.len());
    let mut dropped = 0usize;
    for tie in ties {
        let Some(&last) = kept.last() else {
            kept.push(tie);
            continue;
        };
        let (ticks, ns) = (tie.0 - last.0, tie.1.wrapping_sub(last.1));
        let rate = ns as f64 / ticks as f64;
        let sound = ticks > 0 && tie.1 >= last.1 && (ns < CLOSE || PLAUSIBLE_RATE.contains(&rate));
        if sound {
            kept.push(tie);
            dropped = 0;
        } else if ticks > 0 {
            // If nothing agrees with what we have kept, that is what is damaged.
            dropped += 1;
            if dropped > kept.len() {
                kept.clear();
                kept.push(tie);
                dropped = 0;
            }
        }
    }
    kept
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
