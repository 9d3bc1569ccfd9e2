//! Clock syncs: instants on both clocks, and which of them are plausible.

use mallook_format::ring::BlockCopy;
use mallook_format::{Kind, Slot};

/// Rates that a clock can have, in nanoseconds a tick: a clock sync that implies another one is
/// damaged.
pub const PLAUSIBLE_RATE: std::ops::RangeInclusive<f64> = 0.05..=20.0;
/// Clock syncs closer than this say nothing about the rate, in nanoseconds.
const CLOSE: u64 = 20_000;
/// Fractional bits of a rate.
pub const RATE_BITS: u32 = 32;

/// One instant on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClockSync {
    /// The trace's clock, in ticks.
    pub ticks: u64,
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    pub ns: u64,
}

/// The first and the last accepted clock sync.
#[derive(Clone, Copy, Debug, Default)]
pub struct Syncs {
    pub first: ClockSync,
    pub last: ClockSync,
    kept: usize,
    /// Clock syncs in a row that contradict the kept ones.
    dropped: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It agrees with the accepted ones.
    Sound,
    /// It goes back, or implies a rate that no clock has.
    Damaged,
    /// More clock syncs contradict the kept ones than were kept: the kept ones are damaged.
    StartAgain,
}

impl Syncs {
    /// Whether the next clock sync agrees with the accepted ones; it is accepted if it does.
    pub fn judge(&mut self, sync: ClockSync) -> Verdict {
        let ticks = sync.ticks.wrapping_sub(self.last.ticks);
        let ns = sync.ns.wrapping_sub(self.last.ns);
        let plausible = ns < CLOSE || PLAUSIBLE_RATE.contains(&(ns as f64 / ticks as f64));
        let forwards = sync.ticks > self.last.ticks;
        if self.kept == 0 || forwards && sync.ns >= self.last.ns && plausible {
            let first = if self.kept == 0 { sync } else { self.first };
            *self = Syncs { first, last: sync, kept: self.kept + 1, dropped: 0 };
            return Verdict::Sound;
        }
        self.dropped += usize::from(forwards);
        if self.dropped <= self.kept {
            return Verdict::Damaged;
        }
        *self = Syncs { first: sync, last: sync, kept: 1, dropped: 0 };
        Verdict::StartAgain
    }

    /// The rate from the first clock sync to the last.
    pub fn overall(&self) -> u64 {
        let is_known = self.last.ticks > self.first.ticks;
        if is_known { rate(self.first, self.last) } else { 1 << RATE_BITS }
    }
}

/// The rate from one clock sync to a later one, in nanoseconds a tick, with [`RATE_BITS`]
/// fractional bits.
pub fn rate(start: ClockSync, end: ClockSync) -> u64 {
    let (ticks, ns) = (end.ticks - start.ticks, end.ns.saturating_sub(start.ns));
    u64::try_from((u128::from(ns) << RATE_BITS) / u128::from(ticks.max(1))).unwrap_or(u64::MAX)
}

/// The clock syncs between the slots of a block.
pub fn syncs_within(copy: &BlockCopy, parity: u64, shift: u64) -> impl Iterator<Item = ClockSync> {
    copy.slots.windows(2).filter_map(move |pair| {
        let is = |slot: Slot, kind| slot.kind() == Some(kind) && slot.parity() == parity;
        let [ticks, ns] = [pair[0], pair[1]];
        (is(ticks, Kind::Ticks) && is(ns, Kind::Nanos))
            .then(|| ClockSync { ticks: ticks.value().wrapping_add(shift), ns: ns.value() })
    })
}
