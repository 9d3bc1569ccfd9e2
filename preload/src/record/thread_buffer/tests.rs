//! A thread on the hot path looks at the switch of the pauses, however its clock runs.

use core::mem::MaybeUninit;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use mallook_format::{BLOCK_HEADER_SIZE, BLOCK_SIZE, Clock, Kind, Slot};

use super::*;
use crate::host::clock::{self, ClockSync};
use crate::record::hot::write_hot;

/// Ticks a microsecond of invariant counters: of the slowest that we know of, those of small Intel processors,
/// and of faster ones than there are.
const COUNTERS: [u64; 3] = [806, 3_000, 8_000];
/// Microseconds between two looks: as docs/control.md promises, and enough that looks cost nothing.
const PROMISED: core::ops::Range<u64> = 500..10_000;

#[repr(C, align(16384))]
struct Block([AtomicU64; BLOCK_SIZE / 8]);

/// A buffer in a block of its own, for the clock of the hot path.
fn buffer() -> Box<ThreadBuffer> {
    let block = Box::leak(Box::new(Block([const { AtomicU64::new(0) }; BLOCK_SIZE / 8])));
    // SAFETY: atomics, for all of which zeros are valid.
    let buffer: Box<ThreadBuffer> = Box::new(unsafe { MaybeUninit::zeroed().assume_init() });
    let address = block.0.as_ptr() as usize;
    buffer.owner.store(1, Relaxed);
    buffer.block.store(address, Relaxed);
    buffer.cursor.store(address + BLOCK_HEADER_SIZE, Relaxed);
    buffer.set_reserved(BLOCK_SIZE, Clock::Tsc);
    buffer
}

/// The buffer after this number of new bases, the last one `ago` ticks ago.
fn based(rebased: u8, ago: u64) -> Box<ThreadBuffer> {
    let buffer = buffer();
    buffer.rebased.store(rebased, Relaxed);
    buffer.rebase(ClockSync { ticks: clock::tsc() - ago, monotonic_ns: 1 });
    buffer
}

fn is_written_hotly(buffer: &ThreadBuffer) -> bool {
    let next = buffer.hot_slot().expect("room");
    let before = buffer.cursor();
    let is_written = write_hot(buffer, &next, Slot::word0(Kind::Free, 0, 0), 16, 0);
    assert_eq!(buffer.cursor() != before, is_written);
    is_written
}

#[test]
fn the_time_between_two_looks_is_what_was_promised() {
    for ticks in COUNTERS {
        assert!(PROMISED.contains(&(LOOK / ticks)), "{} µs at {ticks} MHz", LOOK / ticks);
    }
}

/// The first look of a base is at most that late, whatever a slot can hold.
#[test]
fn the_hot_path_ends_after_so_many_ticks() {
    for rebased in 0..=MOST_REBASED {
        assert!(!is_written_hotly(&based(rebased, LOOK + 1)), "after {rebased} bases");
        // The thread may lose its processor in between, but not each time.
        assert!((0..1_000).any(|_| is_written_hotly(&based(rebased, 0))), "after {rebased} bases");
    }
}

/// Who leaves the hot path, and looks, comes back to it for [`LOOK`] ticks at the most.
#[test]
fn after_a_look_the_hot_path_goes_on_until_the_next_one() {
    let mut looks = 0;
    for rebased in 0..=MOST_REBASED {
        for ago in [0, 1, 1 << 15, LOOK / 2, LOOK + 1, 3 * LOOK, 1 << 28, 1 << 31] {
            let buffer = based(rebased, ago);
            let next = buffer.next_slot(1).expect("room");
            match buffer.reserve_in_time(&next, 1, Clock::Tsc) {
                Timed::At(ticks) => {
                    let (looked, until) = (u64::from(ticks), buffer.max_delta.load(Relaxed));
                    assert!(until <= looked + LOOK, "{looked} and until {until}");
                    let has_come = until > looked || until == buffer.longest();
                    assert!(has_come, "{looked}: the hot path is never met again");
                    looks += u64::from(looked > next.max_delta);
                    // After that it is left again.
                    buffer.base.fetch_sub(LOOK + 1, Relaxed);
                    assert!(!is_written_hotly(&buffer), "{looked} and until {until}");
                }
                // The thread may lose its processor in between.
                Timed::Late => {}
                Timed::Interrupted => panic!("nobody does"),
            }
        }
    }
    assert!(looks > 5, "{looks}");
}
