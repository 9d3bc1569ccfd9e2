//! Events that share one read of the clock ([`mallook_format::Clock::Coarse`]).

use mallook_format::{COARSE_EVENTS, SLOT_SIZE};

/// The largest mean distance of the events of a burst, in ticks: 128 ns at 3 GHz. A read of the
/// clock costs little against longer distances.
const SLOW: u64 = 384;

/// One read of the clock and the slots that share it, in one word, so that both change in one
/// instruction:
///
/// ```text
/// bits 0..4 events of a read - 1 (0, 1, 3, 7, 15) | 4..32 address of the last slot | 32..64 ticks
/// ```
///
/// The low half is compared as a whole with the low half of a cursor, whose last four bits are
/// zero. The comparison is by their difference, because the low half may wrap within a block. All
/// zeros: no slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst(pub u64);

const NUMBER: u64 = COARSE_EVENTS - 1;
const _: () = assert!(SLOT_SIZE as u64 == COARSE_EVENTS, "the number fits below an address");

impl Burst {
    /// A burst that ends before the slot at this address, which will read the clock.
    pub fn before(cursor: usize) -> Burst {
        Burst(cursor as u32 as u64)
    }

    /// Whether the slot at this address shares the read.
    #[inline(always)]
    pub fn covers(self, cursor: usize) -> bool {
        (self.0 as u32).wrapping_sub(cursor as u32) as i32 > 0
    }

    /// The time of the read, in ticks since the base of the block.
    #[inline(always)]
    pub fn ticks(self) -> u64 {
        self.0 >> 32
    }

    /// The burst after this one, whose read gave `ticks`. It covers twice as many events as this
    /// one if those came quickly, up to [`COARSE_EVENTS`], and one event otherwise: so the number
    /// of events that a pause leaves with an old time is at most that of the burst before it. The
    /// slots after the read start at `cursor` and end at the block's `limit`.
    pub fn next(self, ticks: u64, cursor: usize, limit: usize) -> Burst {
        let events = (self.0 & NUMBER) + 1;
        let quickly = ticks.saturating_sub(self.ticks()) <= events * SLOW;
        let number = if quickly { (2 * events - 1).min(NUMBER) } else { 0 };
        let end = (cursor + number as usize * SLOT_SIZE).min(limit);
        let last = (end - SLOT_SIZE) as u32 as u64;
        Burst(ticks << 32 | last | number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = 0x7fff_fffe_c000;

    /// Slots from this one on that need no read of the clock.
    fn covered(burst: Burst, from: usize) -> Vec<usize> {
        (from..100).filter(|slot| burst.covers(BLOCK + slot * SLOT_SIZE)).collect()
    }

    fn next(burst: Burst, ticks: u64, slot: usize) -> Burst {
        burst.next(ticks, BLOCK + slot * SLOT_SIZE, BLOCK + 40 * SLOT_SIZE)
    }

    #[test]
    fn slots_are_covered_up_to_a_number() {
        let mut burst = Burst::before(BLOCK);
        assert_eq!(covered(burst, 0), []);
        let mut slot = 0;
        for number in [1, 3, 7, 15, 15] {
            burst = next(burst, SLOW * slot as u64, slot + 1);
            let expected = Vec::from_iter(slot + 1..(slot + 1 + number).min(40));
            assert_eq!(covered(burst, slot + 1), expected);
            slot += 1 + number;
        }
    }

    #[test]
    fn a_slow_event_is_followed_by_a_read() {
        let burst = next(next(Burst::before(BLOCK), 7, 1), SLOW, 3);
        assert_eq!((burst.ticks(), covered(burst, 3)), (SLOW, vec![3, 4, 5]));
        let slow = next(burst, 5 * SLOW + 1, 7);
        assert_eq!((slow.ticks(), covered(slow, 7)), (5 * SLOW + 1, vec![]));
        assert_eq!(covered(next(slow, 6 * SLOW + 1, 8), 8), [8]);
        assert_eq!(covered(next(slow, 6 * SLOW + 2, 8), 8), []);
    }

    #[test]
    fn blocks_may_end_where_the_low_half_wraps() {
        let end = 0x7fff_0000_0000;
        let last = end - SLOT_SIZE;
        let burst = Burst::before(end - 4 * SLOT_SIZE).next(5, end - 3 * SLOT_SIZE, end);
        assert!(burst.covers(end - 3 * SLOT_SIZE) && !burst.covers(end - 2 * SLOT_SIZE));
        let burst = burst.next(6, last, end);
        assert!(burst.covers(last) && !burst.covers(end));
        let start = end - mallook_format::BLOCK_SIZE + mallook_format::BLOCK_HEADER_SIZE;
        assert!(!Burst::before(start).covers(end), "a full block with another clock");
        assert!(!Burst::before(0).covers(0), "nobody's");
    }
}
