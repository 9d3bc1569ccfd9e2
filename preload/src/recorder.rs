//! Records one event.
//!
//! The hot path looks at the thread's cell, reads the clock, reserves a slot and writes it: one
//! compare leads away from it while there is room, one when a field does not fit, and one when a
//! signal handler came between. Everything else is [`cold`].

use mallook_format::{Kind, Slot, WIDE_ALIGNMENT};

use crate::cell::{Cell, Place, slot_at};
use crate::refill::refill;
use crate::state::{Phase, WIPED};
use crate::{clock, sys};

const SIZE_BITS: u32 = 32;
const ADDRESS_BITS: u32 = 48;

/// Records a moment. `aux` is as the format says.
#[inline(always)]
pub fn record(kind: Kind, aux: u8, address: usize, size: usize) {
    let cell = Cell::current();
    let Some(place) = cell.fast_place() else { return cold(kind, aux, address, size) };
    let delta = clock::tsc().wrapping_sub(place.base);
    let misfit = (size as u64 >> SIZE_BITS) | (address as u64 >> ADDRESS_BITS);
    if delta > place.reach || misfit != 0 || !cell.reserve(&place, 1) {
        return cold(kind, aux, address, size);
    }
    let word0 = Slot::word0(kind, aux, address as u64) | place.tag;
    slot_at(place.cursor).commit(word0, Slot::word1(size as u64, delta as u32));
}

#[cold]
#[inline(never)]
fn cold(kind: Kind, aux: u8, address: usize, size: usize) {
    record_slowly(&Moment { kind, aux, address: address as u64, size: size as u64, alignment: 0 });
}

/// Records a moment whose alignment is no power of two.
#[cold]
#[inline(never)]
pub fn record_odd_alignment(kind: Kind, alignment: usize, address: usize, size: usize) {
    record_slowly(&Moment {
        kind,
        aux: WIDE_ALIGNMENT,
        address: address as u64,
        size: size as u64,
        alignment: alignment as u64,
    });
}

/// Records a marker, if the process has recorded anything: one that has not leaves no file.
///
/// A child that shares our memory (vfork) runs on a thread of its parent; it does not take a cell
/// for that thread.
#[cold]
#[inline(never)]
pub fn mark(kind: Kind, pid: u32) {
    let session = &WIPED.session;
    let own_thread = Cell::current().has_owner() || sys::pid() == session.pid();
    if session.phase() != Phase::Unopened && own_thread {
        cold(kind, 0, pid as usize, 0);
    }
}

/// Records a marker with the PID of the caller.
pub fn mark_self(kind: Kind) {
    mark(kind, sys::pid());
}

/// An event with all its fields.
struct Moment {
    kind: Kind,
    aux: u8,
    address: u64,
    size: u64,
    alignment: u64,
}

impl Moment {
    /// The prefixes that it needs, as kind and value.
    fn prefixes(&self) -> impl Iterator<Item = (Kind, u64)> {
        let wide = |needed: bool, kind, value| needed.then_some((kind, value));
        [
            wide(self.aux == WIDE_ALIGNMENT, Kind::WideAlignment, self.alignment),
            wide(self.size >> SIZE_BITS != 0, Kind::WideSize, self.size),
            wide(self.address >> ADDRESS_BITS != 0, Kind::WideAddress, self.address),
        ]
        .into_iter()
        .flatten()
    }
}

fn record_slowly(moment: &Moment) {
    let slots = moment.prefixes().count() + 1;
    loop {
        let cell = Cell::current();
        if let Some(place) = cell.roomy_place(slots) {
            let delta = clock::now(WIPED.session.clock()).wrapping_sub(place.base);
            if delta <= place.reach {
                if cell.reserve(&place, slots) {
                    return write(moment, &place, delta as u32);
                }
                continue;
            }
        }
        if let Err(cause) = refill() {
            if moment.kind.is_moment() {
                WIPED.session.lose(cause);
            }
            return;
        }
    }
}

/// Fills slots that were reserved.
fn write(moment: &Moment, place: &Place, ticks: u32) {
    let mut cursor = place.cursor;
    for (kind, value) in moment.prefixes() {
        let slot = Slot::prefix(kind, 0, value);
        slot_at(cursor).commit(slot.word0 | place.tag, slot.word1);
        cursor += size_of::<Slot>();
    }
    let word0 = Slot::word0(moment.kind, moment.aux, moment.address) | place.tag;
    slot_at(cursor).commit(word0, Slot::word1(moment.size, ticks));
}
