//! The thread buffer: the block that a thread writes into, and its next slot.
//!
//! A thread buffer in its block, after two full slots and one that is reserved and not yet written:
//!
//! ```text
//!  thread-local word     ThreadBuffer (process memory)      block of the file (shared mapping)
//!  ┌───────────────┐     ┌────────────────────────┐         ┌──────────────────────────────┐
//!  │ offset of the │     │ block ─────────────────┼───────> │ header: state, base, owner,… │ 0
//!  │ thread's      │ ──> │ base, max_delta        │         ├──────────────────────────────┤
//!  │ buffer        │     │ parity_bits, burst     │         │ malloc 0x…10 64   +17 ticks  │ 128
//!  └───────────────┘     │                        │         │ free   0x…10      +31 ticks  │ 144
//!                        │                        │         │ (reserved: kind 0)           │ 160
//!                        │ cursor ────────────────┼───────> │ the next slot                │ 176
//!                        │                        │         │ …                            │
//!                        │ limit, hot_limit ──────┼───────> └──────────────────────────────┘ 16384
//!                        │ owner: TID, count      │         ┌──────────────────────────────┐
//!                        │ deferred[2] ───────────┼───────> │ an older block, full but for │
//!                        └────────────────────────┘         │ a slot of an interrupted hook│
//!                                                           └──────────────────────────────┘
//! ```
//!
//! A record is three steps: look (a [`NextSlot`]), [reserve](ThreadBuffer::reserve) by an unlocked
//! compare-and-swap of the cursor, commit two words. A signal handler that records between the
//! first two makes the reservation fail; one that records later takes later slots.
//!
//! Thread buffers lie in memory that is wiped on fork, so a forked child finds zeros there and
//! starts anew. There is no destructor: the buffer of a dead thread, with its half-filled block,
//! goes to the next thread that needs one ([`super::owner`]).

mod blocks;

use core::sync::atomic::{
    AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, compiler_fence,
};

use mallook_format::ring::SlotCell;
use mallook_format::{Clock, SLOT_SIZE};

use crate::host::clock;

use super::burst::Burst;

/// The largest delta of ticks of a new thread buffer. Each rebasing multiplies it by 16, up to the
/// most that a slot can hold, so that even a short trace that is cut off has two clock syncs well
/// apart.
const FIRST_MAX_DELTA: u64 = 1 << 16;
const LAST_MAX_DELTA: u64 = u32::MAX as u64;
/// The number of times that it grows.
const MOST_REBASED: u8 = 4;
/// Ticks after which a thread leaves the hot path to look whether a pause is wanted: 1.4 ms at 3 GHz,
/// 5.2 ms for the slow counters of small processors, at 0.8 GHz, and 10 ms at 420 MHz.
const LOOK: u64 = 1 << 22;
/// Blocks that wait for a slot of an interrupted hook. A hook whose signal handler jumped out of it
/// (`siglongjmp`) never fills its slot: if more blocks wait, the oldest one is given up.
const DEFERRED: usize = 2;

/// The buffer of one thread, which alone touches all fields but `owner`, hence Relaxed: a hook and
/// the signal handlers that interrupt it run on one thread, and a new owner has seen the death of
/// the old one. All zero: no owner, no block.
#[repr(C)]
pub struct ThreadBuffer {
    /// Address of the next free slot.
    pub(super) cursor: AtomicUsize,
    /// The end of the cursor for the hot path, which reads the TSC for each event: `limit`, or 0 if
    /// the trace has another clock.
    hot_limit: AtomicUsize,
    /// The base of the next slot's ticks.
    base: AtomicU64,
    /// The largest number of ticks since the base that the hot path may give to the next slot: up to
    /// the next look, and no more than [`ThreadBuffer::longest`].
    max_delta: AtomicU64,
    /// The parity of the block's use, as bits of word 0 of a slot.
    parity_bits: AtomicU64,
    /// [`Burst`]: the slots that need no read of the coarse clock, and their time.
    burst: AtomicU64,
    /// The end of the cursor: of what is reserved of the block.
    limit: AtomicUsize,
    /// Thread ID in bits 0..32, 0 for none; the number of owners so far above it.
    pub(super) owner: AtomicU64,
    /// Address of the block, 0 for none.
    pub(super) block: AtomicUsize,
    /// The number of a block that was claimed and could not be had, + 1; 0 for none.
    kept: AtomicU64,
    /// Blocks that are full but for slots of interrupted hooks, newest first; 0 for none. An address,
    /// and in its low bits the number of slots that were handed out.
    pub(super) deferred: [AtomicUsize; DEFERRED],
    /// The thread's name, padded with zeros.
    name: [AtomicU64; 2],
    /// The number of times that any buffer was taken when this one was.
    pub(super) taken: AtomicU64,
    /// The number of the buffer in the table.
    pub(super) index: AtomicU16,
    /// How often the base was set anew, up to [`MOST_REBASED`].
    rebased: AtomicU8,
    /// 1: the owner has seen that recording pauses, or is to, and makes no slots on the hot path.
    rests: AtomicU8,
    /// The state of all names when this one was asked for ([`names`]).
    named: AtomicU32,
}

/// The next slot, as one look at a thread buffer shows it.
pub struct NextSlot {
    /// Its address.
    pub cursor: usize,
    /// The base of its ticks.
    pub base: u64,
    /// The largest number of ticks since the base, on the hot path.
    pub max_delta: u64,
    /// The parity of the block's use, as bits of word 0.
    pub parity_bits: u64,
}

/// A part of a block, of one owner and one base of its ticks. Another use of the block is another
/// segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Segment {
    pub block: usize,
    pub base: u64,
    pub owner: u64,
}

/// Slots that were to be reserved for an event of now.
pub enum Timed {
    /// They are, at this number of ticks since the base.
    At(u32),
    /// A signal handler came between.
    Interrupted,
    /// The base is too long ago.
    Late,
}

impl ThreadBuffer {
    /// The next slot, if the hot path may use one, and the block that it is in.
    #[inline(always)]
    pub fn hot_slot_and_segment(&self) -> Option<(NextSlot, Segment)> {
        let next = self.hot_slot()?;
        let (block, owner) =
            (self.block.load(Ordering::Relaxed), self.owner.load(Ordering::Relaxed));
        let segment = Segment { block, base: next.base, owner };
        Some((next, segment))
    }

    /// The next slot, if the hot path may use one.
    #[inline(always)]
    pub fn hot_slot(&self) -> Option<NextSlot> {
        let cursor = self.cursor.load(Ordering::Relaxed);
        (cursor < self.hot_limit.load(Ordering::Relaxed)).then(|| self.look(cursor))
    }

    /// Whether the hot path may use this many slots from the next one on.
    #[inline(always)]
    pub fn has_hot_room(&self, next: &NextSlot, slots: usize) -> bool {
        let end = next.cursor + slots * SLOT_SIZE;
        end <= self.hot_limit.load(Ordering::Relaxed)
    }

    /// The next slot, if the block has room for this many.
    pub fn next_slot(&self, slots: usize) -> Option<NextSlot> {
        self.next_slot_at(self.cursor(), slots)
    }

    /// The address of the next slot.
    #[inline(always)]
    pub fn cursor(&self) -> usize {
        let cursor = self.cursor.load(Ordering::Relaxed);
        // Acquire, towards signal handlers of this thread: as in `look`.
        compiler_fence(Ordering::Acquire);
        cursor
    }

    /// The block that the next slot is in, and who owns it.
    #[inline(always)]
    pub fn segment(&self) -> Segment {
        Segment {
            block: self.block.load(Ordering::Relaxed),
            base: self.base.load(Ordering::Relaxed),
            owner: self.owner.load(Ordering::Relaxed),
        }
    }

    /// The number of the buffer in the table.
    pub fn index(&self) -> usize {
        self.index.load(Ordering::Relaxed).into()
    }

    /// As [`ThreadBuffer::next_slot`], for a cursor that was loaded before.
    #[inline(always)]
    pub fn next_slot_at(&self, cursor: usize, slots: usize) -> Option<NextSlot> {
        let room = self.limit.load(Ordering::Relaxed).saturating_sub(cursor);
        (room >= slots * SLOT_SIZE).then(|| self.look(cursor))
    }

    /// Address, parity bits and time of the next slot, if it needs no read of the coarse clock.
    #[inline(always)]
    pub fn burst_slot(&self) -> Option<(usize, u64, u64)> {
        let cursor = self.cursor.load(Ordering::Relaxed);
        // Acquire, towards signal handlers of this thread: as in `look`.
        compiler_fence(Ordering::Acquire);
        let burst = self.burst();
        let parity_bits = self.parity_bits.load(Ordering::Relaxed);
        burst.covers(cursor).then(|| (cursor, parity_bits, burst.ticks()))
    }

    /// The burst that belongs to a cursor that was loaded before.
    #[inline(always)]
    pub fn burst(&self) -> Burst {
        Burst(self.burst.load(Ordering::Relaxed))
    }

    /// Lets the slots after the reserved ones reuse this timestamp. The exchange fails if a signal
    /// handler has read the clock meanwhile; any handler that reserved later slots has, because the
    /// old burst covered none of them.
    ///
    /// `seen` is the burst from before the reservation, and `end` the end of the reserved slots.
    pub fn renew_burst(&self, seen: Burst, ticks: u64, end: usize) {
        let next = seen.next(ticks, end, self.limit.load(Ordering::Relaxed));
        // SAFETY: a word of the thread's own.
        unsafe { exchange(self.burst.as_ptr(), seen.0, next.0) };
    }

    /// Makes the next event read the clock. The word differs from slot to slot, so an event that
    /// this interrupts does not mistake it for the burst that it has seen.
    pub fn end_burst(&self) {
        self.burst.store(Burst::before(self.cursor.load(Ordering::Relaxed)).0, Ordering::Relaxed);
    }

    /// The next slot, for a cursor that was just loaded.
    #[inline(always)]
    fn look(&self, cursor: usize) -> NextSlot {
        // Acquire, towards signal handlers of this thread: the cursor was loaded first. If no
        // handler has moved it by the time of `reserve`, all of these fields belong to it.
        compiler_fence(Ordering::Acquire);
        NextSlot {
            cursor,
            base: self.base.load(Ordering::Relaxed),
            max_delta: self.max_delta.load(Ordering::Relaxed),
            parity_bits: self.parity_bits.load(Ordering::Relaxed),
        }
    }

    /// Reserves slots if no other was reserved since the cursor was loaded. Then no other field has
    /// changed either, and no later slot can have an earlier time.
    #[inline(always)]
    pub fn reserve(&self, cursor: usize, slots: usize) -> bool {
        let next = cursor + slots * SLOT_SIZE;
        // SAFETY: the thread's own cursor.
        unsafe { exchange(self.cursor.as_ptr().cast(), cursor as u64, next as u64) }
    }

    /// Reserves slots for an event of now.
    #[inline(always)]
    pub fn reserve_in_time(&self, next: &NextSlot, slots: usize, clock: Clock) -> Timed {
        let burst = self.burst();
        let in_burst = burst.covers(next.cursor);
        let ticks =
            if in_burst { burst.ticks() } else { clock::now(clock).wrapping_sub(next.base) };
        let longest = self.longest();
        if ticks > longest {
            return Timed::Late;
        }
        if !self.reserve(next.cursor, slots) {
            return Timed::Interrupted;
        }
        if ticks > next.max_delta {
            // Whoever comes here has looked. The exchange fails if a signal handler has done so since.
            let until = (ticks + LOOK).min(longest);
            // SAFETY: a word of the thread's own.
            unsafe { exchange(self.max_delta.as_ptr(), next.max_delta, until) };
        }
        // Who rests looks with each event.
        if clock == Clock::Coarse && !in_burst && !self.rests() {
            self.renew_burst(burst, ticks, next.cursor + slots * SLOT_SIZE);
        }
        Timed::At(ticks as u32)
    }

    /// Number of free slots.
    pub fn room(&self) -> usize {
        let limit = self.limit.load(Ordering::Relaxed);
        limit.saturating_sub(self.cursor.load(Ordering::Relaxed)) / SLOT_SIZE
    }

    /// Whether the next slot can have this time, in ticks.
    pub fn can_hold(&self, now: u64) -> bool {
        now.wrapping_sub(self.base.load(Ordering::Relaxed)) <= self.longest()
    }

    /// The largest number of ticks since the base that a slot may have.
    #[inline]
    fn longest(&self) -> u64 {
        let rebased = self.rebased.load(Ordering::Relaxed).min(MOST_REBASED);
        (FIRST_MAX_DELTA << (4 * rebased)).min(LAST_MAX_DELTA)
    }

    /// Whether the owner has seen that recording pauses, or is to.
    #[inline]
    pub fn rests(&self) -> bool {
        self.rests.load(Ordering::Relaxed) != 0
    }

    /// Leaves the hot path until [`ThreadBuffer::go_on`]. For the owner.
    pub fn rest(&self) {
        // In this order, for handlers that interrupt it: who rests goes the cold path in any case.
        self.hot_limit.store(0, Ordering::Relaxed);
        self.rests.store(1, Ordering::Relaxed);
        self.end_burst();
    }

    /// Ends the rest. For the owner, in the slow path.
    pub fn go_on(&self, clock: Clock) {
        self.rests.store(0, Ordering::Relaxed);
        self.set_hot(clock);
    }

    /// The thread that the buffer belongs to, 0 for none.
    fn tid(&self) -> u32 {
        self.owner.load(Ordering::Relaxed) as u32
    }

    /// The buffer belongs to a thread.
    pub fn has_owner(&self) -> bool {
        self.tid() != 0
    }
}

/// Replaces a value if it is the expected one.
///
/// One instruction, without a lock prefix: atomic towards signal handlers of this thread, and
/// other threads have no business here.
///
/// # Safety
/// The word is one of an atomic that other threads do not touch.
#[inline(always)]
unsafe fn exchange(word: *mut u64, expected: u64, new: u64) -> bool {
    let found: u64;
    // SAFETY: by contract.
    unsafe {
        core::arch::asm!(
            "cmpxchg qword ptr [{word}], {new}",
            word = in(reg) word,
            new = in(reg) new,
            inlateout("rax") expected => found,
            options(nostack),
        );
    }
    found == expected
}

/// The slot at an address that a thread buffer's cursor had.
#[inline(always)]
pub fn slot_at(address: usize) -> &'static SlotCell {
    // SAFETY: cursors stay within a block of the buffer, which is mapped until it is closed, and
    // that waits for slots that were handed out. Slots are atomics.
    unsafe { &*(address as *const SlotCell) }
}

#[cfg(test)]
mod tests;
