//! Records one event.
//!
//! The [hot path](record_hot) looks at the thread's cell, reads the clock, reserves a slot and
//! writes it: one compare leads away from it when there is no room, one when a field does not fit,
//! and one when a signal handler came between. Everything else is [cold](record_cold); with the
//! coarse clock that is every event, and most end in its first lines, which read no clock.

use mallook_format::{Clock, Kind, SLOT_SIZE, Slot, WIDE_ALIGNMENT};

use crate::cell::{Cell, Place, slot_at};
use crate::refill::refill;
use crate::state::{Phase, WIPED};
use crate::{clock, sys};

const SIZE_BITS: u32 = 32;
const ADDRESS_BITS: u32 = 48;
const ADDRESS_MASK: u64 = (1 << ADDRESS_BITS) - 1;

/// Whether one slot holds these.
#[inline(always)]
fn fits(address: usize, size: usize) -> bool {
    (size as u64 >> SIZE_BITS) | (address as u64 >> ADDRESS_BITS) == 0
}

/// Records a moment. `aux` is as the format says.
///
/// Gives the address back, and so does [`cold`]: a hook that goes on with it has nothing to keep in
/// a register that it would have to save first.
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
    let cell = Cell::current();
    let Some(place) = cell.fast_place() else { return false };
    let delta = clock::tsc().wrapping_sub(place.base);
    if delta > place.reach || !fits(address, size) || !cell.reserve(place.cursor, 1) {
        return false;
    }
    // What fits needs no mask.
    let word0 = Slot::word0(kind, aux, 0) | address as u64 | place.tag;
    slot_at(place.cursor).commit(word0, Slot::word1(0, delta as u32) | size as u64);
    true
}

/// Records a moment that the hot path could not. `head` is word 0 without address and parity.
#[cold]
#[inline(never)]
fn cold(head: u64, address: usize, size: usize) -> usize {
    record_cold(head, address, size);
    // The compiler must not see that this is the argument, which the callers would keep instead.
    let mut same = address;
    // SAFETY: does nothing.
    unsafe {
        core::arch::asm!("/* {} */", inout(reg) same, options(pure, nomem, nostack, preserves_flags));
    }
    same
}

/// As [`cold`]: begins with the hot path of the coarse clock.
#[inline(always)]
pub fn record_cold(head: u64, address: usize, size: usize) {
    let cell = Cell::current();
    if let Some((cursor, tag, ticks)) = cell.burst_place()
        && fits(address, size)
        && cell.reserve(cursor, 1)
    {
        let word1 = Slot::word1(0, ticks as u32) | size as u64;
        slot_at(cursor).commit(head | address as u64 | tag, word1);
        return;
    }
    colder(head, address, size);
}

#[cold]
#[inline(never)]
fn colder(head: u64, address: usize, size: usize) {
    record_slowly(&Moment { head, address: address as u64, size: size as u64, alignment: 0 });
}

/// Records a moment whose alignment is no power of two.
#[cold]
#[inline(never)]
pub fn record_odd_alignment(kind: Kind, alignment: usize, address: usize, size: usize) {
    record_slowly(&Moment {
        head: Slot::word0(kind, WIDE_ALIGNMENT, 0),
        address: address as u64,
        size: size as u64,
        alignment: alignment as u64,
    });
}

/// Records a marker, if the process has recorded anything: one that has not leaves no file.
#[cold]
#[inline(never)]
pub fn mark(kind: Kind, pid: u32) {
    if WIPED.session.phase() != Phase::Unopened {
        // What it tells of is not part of a burst.
        Cell::current().end_burst();
        colder(Slot::word0(kind, 0, 0), pid as usize, 0);
    }
}

/// Records a marker with the PID of the caller.
pub fn mark_self(kind: Kind) {
    mark(kind, sys::pid());
}

/// An event with all its fields.
struct Moment {
    head: u64,
    address: u64,
    size: u64,
    alignment: u64,
}

impl Moment {
    /// Kind and `aux`.
    fn head(&self) -> Slot {
        Slot { word0: self.head, word1: 0 }
    }

    /// One slot holds it.
    fn fits(&self) -> bool {
        self.head().aux() != WIDE_ALIGNMENT && fits(self.address as usize, self.size as usize)
    }

    /// The prefixes that it needs, as kind and value.
    fn prefixes(&self) -> impl Iterator<Item = (Kind, u64)> {
        let wide = |needed: bool, kind, value| needed.then_some((kind, value));
        [
            wide(self.head().aux() == WIDE_ALIGNMENT, Kind::WideAlignment, self.alignment),
            wide(self.size >> SIZE_BITS != 0, Kind::WideSize, self.size),
            wide(self.address >> ADDRESS_BITS != 0, Kind::WideAddress, self.address),
        ]
        .into_iter()
        .flatten()
    }
}

fn record_slowly(moment: &Moment) {
    let slots = if moment.fits() { 1 } else { moment.prefixes().count() + 1 };
    loop {
        let cell = Cell::current();
        if let Some(place) = cell.roomy_place(slots) {
            let (burst, clock) = (cell.burst(), WIPED.session.clock());
            let in_burst = burst.covers(place.cursor);
            let delta =
                if in_burst { burst.ticks() } else { clock::now(clock).wrapping_sub(place.base) };
            if delta <= place.reach {
                if cell.reserve(place.cursor, slots) {
                    if clock == Clock::Coarse && !in_burst {
                        cell.renew_burst(burst, delta, place.cursor + slots * SLOT_SIZE);
                    }
                    return write(moment, slots, &place, delta as u32);
                }
                continue;
            }
        }
        if let Err(cause) = refill() {
            if moment.head().kind().is_some_and(Kind::is_moment) {
                WIPED.session.lose(cause);
            }
            return;
        }
    }
}

/// Fills slots that were reserved.
fn write(moment: &Moment, slots: usize, place: &Place, ticks: u32) {
    let mut cursor = place.cursor;
    if slots != 1 {
        for (kind, value) in moment.prefixes() {
            let slot = Slot::prefix(kind, 0, value);
            slot_at(cursor).commit(slot.word0 | place.tag, slot.word1);
            cursor += SLOT_SIZE;
        }
    }
    let word0 = moment.head | moment.address & ADDRESS_MASK | place.tag;
    slot_at(cursor).commit(word0, Slot::word1(moment.size, ticks));
}
