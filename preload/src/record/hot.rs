//! The hot path: looks at the thread's buffer, reads the clock, reserves a slot and writes it.
//!
//! Three compares lead away from it, to the [cold path](super::cold): one when there is no room,
//! one when a field does not fit, and one when a signal handler came between.

use mallook_format::{Kind, SLOT_SIZE, Slot};

use crate::host::clock;

use super::cold::cold;
use super::moment::fits;
use super::thread_buffer::{NextSlot, ThreadBuffer, slot_at};
use super::wiped::WIPED;

/// Records a moment. `aux` depends on the kind ([`mallook_format`]).
///
/// Returns the address, as [`cold`] does: a hook that goes on with it need not keep it in a
/// register that it would have to save first.
#[inline(always)]
pub fn record(kind: Kind, aux: u8, address: usize, size: usize) -> usize {
    if record_hot(kind, aux, address, size) {
        return address;
    }
    cold(Slot::word0(kind, aux, 0), address, size)
}

/// Records a moment if the hot path can.
#[inline(always)]
pub fn record_hot(kind: Kind, aux: u8, address: usize, size: usize) -> bool {
    let buffer = WIPED.buffers.current();
    let Some(next) = buffer.hot_slot() else { return false };
    write_hot(buffer, &next, Slot::word0(kind, aux, 0), address, size)
}

/// Writes a moment into the next slot of the calling thread's buffer, if that is still the next one.
/// `head` is word 0 without address and parity.
#[inline(always)]
pub fn write_hot(
    buffer: &ThreadBuffer,
    next: &NextSlot,
    head: u64,
    address: usize,
    size: usize,
) -> bool {
    write_hot_behind(buffer, next, 0, |_| (), head, address, size)
}

/// As [`write_hot`], behind `slots` slots, which `before` writes from this address on: whoever sees the
/// moment sees them, wherever the process is killed.
#[inline(always)]
pub fn write_hot_behind(
    buffer: &ThreadBuffer,
    next: &NextSlot,
    slots: usize,
    before: impl FnOnce(usize),
    head: u64,
    address: usize,
    size: usize,
) -> bool {
    let delta = clock::tsc().wrapping_sub(next.base);
    if delta > next.max_delta || !fits(address, size) || !buffer.reserve(next.cursor, slots + 1) {
        return false;
    }
    // Fields that fit need no mask.
    let word0 = head | address as u64 | next.parity_bits;
    before(next.cursor);
    let place = next.cursor + slots * SLOT_SIZE;
    slot_at(place).commit(word0, Slot::word1(0, delta as u32) | size as u64);
    true
}
