//! The cold path: everything that the hot path leaves.
//!
//! With the coarse clock that is every event, and most end in the first lines, which read no clock.

use mallook_format::{Kind, Slot, WIDE_ALIGNMENT};

use crate::host::confined::is_confined;
use crate::host::task;
use crate::session::lifecycle::Stage;

use super::moment::{Moment, fits};
use super::pause;
use super::refill::refill;
use super::slow;
use super::thread_buffer::slot_at;
use super::wiped::{WIPED, wipe_on_fork};

/// Records a moment that the hot path could not. `head` is word 0 without address and parity.
#[cold]
#[inline(never)]
pub fn cold(head: u64, address: usize, size: usize) -> usize {
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
    let buffer = WIPED.buffers.current();
    if let Some((cursor, parity_bits, ticks)) = buffer.burst_slot()
        && fits(address, size)
        && buffer.reserve(cursor, 1)
    {
        let word1 = Slot::word1(0, ticks as u32) | size as u64;
        slot_at(cursor).commit(head | address as u64 | parity_bits, word1);
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

/// Opens the trace, if that is possible and was not done.
pub fn open() {
    if WIPED.session.stage() == Stage::Unopened {
        // What cannot be opened is said when there is something to record.
        let _ = refill(&WIPED.buffers, &WIPED.session, wipe_on_fork, 1);
    }
}

/// Records a marker, if the process has recorded anything: otherwise it leaves no file. `false`:
/// there was no room.
#[cold]
#[inline(never)]
pub fn mark(kind: Kind, aux: u8, pid: u32, number: u32) -> bool {
    if WIPED.session.stage() == Stage::Unopened {
        return true;
    }
    // A marker is not part of a burst.
    WIPED.buffers.current().end_burst();
    let (head, address, size) = (Slot::word0(kind, aux, 0), pid.into(), number.into());
    let is_done = record_slowly(&Moment { head, address, size, alignment: 0 });
    let buffer = WIPED.buffers.current();
    if pause::is_skipped() && buffer.has_owner() {
        // The marker may have begun a burst.
        buffer.rest();
    }
    is_done
}

/// Records a marker with the PID of the caller, 0 in a process that may not ask for it.
pub fn mark_self(kind: Kind, number: u32) -> bool {
    mark(kind, 0, if is_confined() { 0 } else { task::pid() }, number)
}

/// `false`: there was no room.
fn record_slowly(moment: &Moment) -> bool {
    let is_moment = moment.head().kind().is_some_and(Kind::is_moment);
    let written = slow::write(moment, || is_moment && pause::is_skipped());
    if let Err(cause) = written
        && is_moment
    {
        WIPED.session.lose(cause);
    }
    written.is_ok()
}
