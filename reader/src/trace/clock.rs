//! Ticks to Unix time.

use mallook_format::ring::BlockCopy;
use mallook_format::{Clock, FileHeader};

use super::blocks::Blocks;
use super::clock_sync::{ClockSync, RATE_BITS, Syncs, Verdict, rate, syncs_within};
use super::file::Trace;

/// Blocks whose clock syncs are compared with each other before the first event is shown. In traces
/// of up to this many blocks the syncs within blocks count, too.
pub const FIRST_BLOCKS: u64 = 64;

/// Converts the ticks of one trace to Unix nanoseconds: linear between two clock syncs, with the
/// overall rate before the first one and after the last one.
#[derive(Clone, Debug)]
pub struct ClockMap {
    segments: Vec<Segment>,
    syncs: Syncs,
    /// Unix time minus `CLOCK_MONOTONIC`, in nanoseconds: to be added, and to be taken away.
    offset: (u64, u64),
    /// The ticks are nanoseconds: clock syncs say nothing.
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

/// The clock syncs of the first blocks of a trace.
fn first_syncs(trace: &Trace) -> Vec<ClockSync> {
    let mut syncs = Vec::new();
    let mut copy = Box::new(BlockCopy::EMPTY);
    let places = trace.places();
    for block in Blocks::between(trace, 1, 1 + places.min(FIRST_BLOCKS)) {
        syncs.push(block.clock_sync());
        if places <= FIRST_BLOCKS && trace.source().copy_block(block.index, &mut copy) {
            syncs.extend(syncs_within(&copy, block.parity, block.shift));
        }
    }
    syncs
}

impl ClockMap {
    /// The map of a whole trace, from the headers of all its blocks.
    pub fn of(trace: &Trace) -> ClockMap {
        let blocks = Blocks::between(trace, 1, trace.places() + 1);
        ClockMap::with_syncs(trace, blocks.map(|block| block.clock_sync()).collect())
    }

    /// The map of the first blocks of a trace; [`ClockMap::extend`] adds the others in the order in
    /// which they start.
    pub(crate) fn first(trace: &Trace) -> ClockMap {
        ClockMap::new(&trace.header(), first_syncs(trace))
    }

    /// The map of a whole trace, from the clock syncs of all its blocks in any order.
    pub(crate) fn with_syncs(trace: &Trace, mut syncs: Vec<ClockSync>) -> ClockMap {
        syncs.sort_unstable();
        let mut map = ClockMap::first(trace);
        syncs.into_iter().for_each(|sync| map.extend(sync));
        map
    }

    /// The map of clock syncs in any order.
    fn new(header: &FileHeader, mut syncs: Vec<ClockSync>) -> ClockMap {
        let (unix, monotonic) = (header.realtime_ns, header.monotonic_ns);
        let offset = (unix.saturating_sub(monotonic), monotonic.saturating_sub(unix));
        if Clock::from_raw(header.clock) == Some(Clock::Monotonic) {
            let segments = vec![Segment { ticks: 0, ns: 0, rate: 1 << RATE_BITS }];
            return ClockMap { segments, syncs: Syncs::default(), offset, exact: true };
        }
        syncs.push(ClockSync { ticks: header.ticks, ns: header.monotonic_ns });
        syncs.sort_unstable();
        let mut kept = Syncs::default();
        let mut sound = Vec::new();
        for sync in syncs {
            match kept.judge(sync) {
                Verdict::Sound => sound.push(sync),
                Verdict::StartAgain => sound = vec![sync],
                Verdict::Damaged => {}
            }
        }
        let overall = kept.overall();
        // Before the first clock sync, counting back from it.
        let before = (u128::from(kept.first.ticks) * u128::from(overall)) >> RATE_BITS;
        let ns = u128::from(kept.first.ns).saturating_sub(before) as u64;
        let segments = vec![Segment { ticks: 0, ns, rate: overall }];
        let mut map = ClockMap { segments, syncs: kept, offset, exact: false };
        sound.into_iter().for_each(|sync| map.push(sync));
        map
    }

    /// Adds a later clock sync, unless it contradicts the others.
    pub(crate) fn extend(&mut self, sync: ClockSync) {
        let is_later = sync.ticks > self.syncs.last.ticks;
        if !self.exact && is_later && self.syncs.judge(sync) != Verdict::Damaged {
            self.push(sync);
        }
    }

    fn push(&mut self, sync: ClockSync) {
        // The first segment stands before all clock syncs.
        if self.segments.len() > 1
            && let Some(last) = self.segments.last_mut()
        {
            last.rate = rate(ClockSync { ticks: last.ticks, ns: last.ns }, sync);
        }
        let rate = self.syncs.overall();
        self.segments.push(Segment { ticks: sync.ticks, ns: sync.ns, rate });
    }

    /// The Unix time of these ticks, in nanoseconds. Grows with the ticks.
    pub fn unix_ns(&self, ticks: u64) -> u64 {
        self.to_unix(self.monotonic_ns(ticks))
    }

    fn to_unix(&self, monotonic_ns: u64) -> u64 {
        unix_ns(monotonic_ns, self.offset)
    }

    /// The ticks' time on `CLOCK_MONOTONIC`, in nanoseconds. Grows with the ticks.
    pub fn monotonic_ns(&self, ticks: u64) -> u64 {
        self.stretch(ticks).ns(ticks)
    }

    /// The stretch between two clock syncs that these ticks fall into.
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

/// The time between two clock syncs.
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
        let passed = u64::try_from(passed >> RATE_BITS).unwrap_or(u64::MAX);
        self.start.ns.saturating_add(passed).min(self.end_ns)
    }
}

/// Converts ticks that mostly grow: it remembers its place in the map, which may grow, too.
#[derive(Clone, Debug)]
pub struct Converter {
    map: ClockMap,
    here: Stretch,
}

impl Converter {
    pub fn new(map: ClockMap) -> Converter {
        Converter { here: map.stretch(0), map }
    }

    /// As [`ClockMap::extend`].
    pub fn extend(&mut self, syncs: impl Iterator<Item = ClockSync>) {
        syncs.for_each(|sync| self.map.extend(sync));
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

    /// Makes Unix times of these ticks, one after the other.
    pub fn convert<'a>(&mut self, all: impl Iterator<Item = &'a mut u64>) {
        // In registers, not in memory.
        let (mut here, offset) = (self.here, self.map.offset);
        for ticks in all {
            if !here.holds(*ticks) {
                here = self.map.stretch(*ticks);
            }
            *ticks = unix_ns(here.ns(*ticks), offset);
        }
        self.here = here;
    }
}

/// The Unix time of a time on `CLOCK_MONOTONIC`, which is so much later and so much earlier, in nanoseconds.
fn unix_ns(monotonic_ns: u64, (later, earlier): (u64, u64)) -> u64 {
    monotonic_ns.saturating_add(later).saturating_sub(earlier)
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;
    use proptest::prelude::*;

    use super::*;

    fn syncs(pairs: impl IntoIterator<Item = (u64, u64)>) -> Vec<ClockSync> {
        pairs.into_iter().map(|(ticks, ns)| ClockSync { ticks, ns }).collect()
    }

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
    fn linear_between_and_beyond_clock_syncs() {
        let given = syncs([(3000, 501_000), (5000, 502_000)]);
        let map = ClockMap::new(&header(1000, 500_000), given);
        assert_eq!(map.unix_ns(1000), 1_500_000);
        assert_eq!(map.monotonic_ns(2000), 500_500);
        assert_eq!(map.monotonic_ns(7000), 503_000);
        assert_eq!(map.monotonic_ns(800), 499_900);
    }

    #[test]
    fn a_damaged_clock_sync_does_not_count() {
        let sound = syncs((1..50).map(|i| (i * 2_000_000, i * 1_000_000)));
        let good = ClockMap::new(&header(0, 0), sound.clone());
        for wrong in [(u64::MAX, 7), (7, u64::MAX), (3_000_000, 1 << 60), (1 << 60, 3_000_000)] {
            let map = ClockMap::new(&header(0, 0), [sound.clone(), syncs([wrong])].concat());
            for ticks in [2_000_001, 50_000_000, 98_000_000] {
                assert_eq!(map.monotonic_ns(ticks), good.monotonic_ns(ticks), "{wrong:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn never_goes_back(given: Vec<(u64, u64)>, ticks: u64, ns: u64, mut at: Vec<u64>) {
            let map = ClockMap::new(&header(ticks, ns >> 1), syncs(given));
            at.sort_unstable();
            let times: Vec<_> = at.iter().map(|&ticks| map.monotonic_ns(ticks)).collect();
            prop_assert!(times.is_sorted());
        }
    }
}
