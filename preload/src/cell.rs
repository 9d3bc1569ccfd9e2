//! A thread's cell: the block that it writes into, and how far it has come.
//!
//! A thread finds its cell through one thread-local word; the cells lie in memory that is wiped on
//! fork, so a forked child finds zeros there and starts anew. There is no destructor: the cell of a
//! dead thread, with its half-filled block, goes to the next thread that needs one.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering, compiler_fence, fence};

use mallook_format::ring::{BlockCell, Opening, SlotCell};
use mallook_format::{
    BLOCK_HEADER_SIZE, BLOCK_SIZE, Clock, Kind, Loss, Mode, PARITY_SHIFT, SLOT_SIZE, Slot,
};

use crate::block::Claimed;
use crate::burst::Burst;
use crate::clock::Tie;
use crate::state::{CELLS, Session, WIPED};
use crate::{sys, thread, tls};

/// How far the first ticks of a cell reach. Each new base multiplies it by 16, up to what a slot can
/// hold: so that even a short trace that is cut off has two ties of its clocks well apart.
const FIRST_REACH: u64 = 1 << 16;
const MOST_REACH: u64 = u32::MAX as u64;
/// Cells looked at for a dead owner before a new one is used.
const CANDIDATES: usize = 16;
/// Blocks that wait for a slot of an interrupted hook. A hook whose signal handler jumped out of it
/// (`siglongjmp`) never fills its slot: what waits longest is given up when there are more.
const DEFERRED: usize = 2;

/// Number of the next cell that was never used, in this process or the ones it was forked from.
/// Not wiped on fork: a thread of a forked child that has not recorded yet may still point at the
/// cell that it had in the parent, so that must not become another thread's.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// One thread's place. All fields but `owner` are touched by the owner alone, hence Relaxed: a hook
/// and the signal handlers that interrupt it run on one thread, and a new owner has seen the death
/// of the old one.
#[repr(C)]
pub struct Cell {
    /// Address of the next free slot.
    cursor: AtomicUsize,
    /// The cursor's end for the hot path, which reads the TSC for each event: that of the block, or
    /// 0 if the clock is another one.
    fast_limit: AtomicUsize,
    /// Ticks that the next slot's count from.
    base: AtomicU64,
    /// The most ticks that may pass since then.
    reach: AtomicU64,
    /// The parity of the block's use, in place.
    tag: AtomicU64,
    /// [`Burst`]: the slots that need no read of the coarse clock, and their time.
    burst: AtomicU64,
    /// The cursor's end.
    limit: AtomicUsize,
    /// Thread ID in bits 0..32, 0 for none; the number of owners so far above it.
    owner: AtomicU64,
    /// Address of the block, 0 for none.
    block: AtomicUsize,
    /// Blocks that are full but for slots of hooks that a signal handler interrupted.
    deferred: [AtomicUsize; DEFERRED],
}

/// What one look at a cell says about the next slot.
pub struct Place {
    pub cursor: usize,
    pub base: u64,
    pub reach: u64,
    pub tag: u64,
}

impl Cell {
    /// The calling thread's cell, or the one that belongs to nobody.
    #[inline(always)]
    pub fn current() -> &'static Cell {
        let start = (&raw const WIPED.cells).cast::<u8>();
        // SAFETY: the thread-local word is 0 or was set by `take`, to the offset of a cell.
        let cell = unsafe { start.add(tls::get()) };
        // SAFETY: as above; cells are atomics and never move.
        unsafe { &*cell.cast::<Cell>() }
    }

    /// The next slot, if the hot path may use one.
    #[inline(always)]
    pub fn fast_place(&self) -> Option<Place> {
        let cursor = self.cursor.load(Ordering::Relaxed);
        (cursor < self.fast_limit.load(Ordering::Relaxed)).then(|| self.place(cursor))
    }

    /// The next slot, if there are as many as `slots`.
    pub fn roomy_place(&self, slots: usize) -> Option<Place> {
        let cursor = self.cursor.load(Ordering::Relaxed);
        let room = self.limit.load(Ordering::Relaxed).saturating_sub(cursor);
        (room >= slots * SLOT_SIZE).then(|| self.place(cursor))
    }

    /// Cursor, tag and time of the next slot, if it needs no read of the coarse clock.
    #[inline(always)]
    pub fn burst_place(&self) -> Option<(usize, u64, u64)> {
        let cursor = self.cursor.load(Ordering::Relaxed);
        // Acquire, towards signal handlers of this thread: as in `place`.
        compiler_fence(Ordering::Acquire);
        let burst = self.burst();
        let tag = self.tag.load(Ordering::Relaxed);
        burst.covers(cursor).then(|| (cursor, tag, burst.ticks()))
    }

    /// Of a cursor that was loaded before.
    #[inline(always)]
    pub fn burst(&self) -> Burst {
        Burst(self.burst.load(Ordering::Relaxed))
    }

    /// The clock was read for slots that are reserved now: those behind them have its time, too,
    /// unless a signal handler has read it since: one that has reserved slots behind these must
    /// have, as the burst that was seen covers none of them.
    pub fn renew_burst(&self, seen: Burst, ticks: u64, end: usize) {
        let next = seen.next(ticks, end, self.limit.load(Ordering::Relaxed));
        // SAFETY: a word of the thread's own.
        unsafe { exchange(self.burst.as_ptr(), seen.0, next.0) };
    }

    /// Makes the next event read the clock. No two slots have the same word here, so an event that
    /// is interrupted by this does not take it for the burst that it has seen.
    pub fn end_burst(&self) {
        self.burst.store(Burst::before(self.cursor.load(Ordering::Relaxed)).0, Ordering::Relaxed);
    }

    /// What goes with a cursor that was just loaded.
    #[inline(always)]
    fn place(&self, cursor: usize) -> Place {
        // Acquire, towards signal handlers of this thread: the cursor was loaded first. If none has
        // moved it by the time of `reserve`, everything here belongs to it.
        compiler_fence(Ordering::Acquire);
        Place {
            cursor,
            base: self.base.load(Ordering::Relaxed),
            reach: self.reach.load(Ordering::Relaxed),
            tag: self.tag.load(Ordering::Relaxed),
        }
    }

    /// Reserves slots if nothing else was reserved since the cursor was loaded: then nothing else
    /// in the cell has changed either, and no time of a later slot can be earlier.
    #[inline(always)]
    pub fn reserve(&self, cursor: usize, slots: usize) -> bool {
        let next = cursor + slots * SLOT_SIZE;
        // SAFETY: the thread's own cursor.
        unsafe { exchange(self.cursor.as_ptr().cast(), cursor as u64, next as u64) }
    }

    /// Number of free slots.
    pub fn room(&self) -> usize {
        let limit = self.limit.load(Ordering::Relaxed);
        limit.saturating_sub(self.cursor.load(Ordering::Relaxed)) / SLOT_SIZE
    }

    /// Ticks since the base, if the next slot can hold them.
    pub fn reaches(&self, now: u64) -> bool {
        now.wrapping_sub(self.base.load(Ordering::Relaxed)) <= self.reach.load(Ordering::Relaxed)
    }

    /// Writes a slot. With signals blocked, by the owner, who knows that there is room.
    pub fn push(&self, slot: Slot) {
        if let Some(place) = self.roomy_place(1) {
            self.cursor.store(place.cursor + SLOT_SIZE, Ordering::Relaxed);
            slot_at(place.cursor).commit(slot.word0 | place.tag, slot.word1);
        }
    }

    /// Sets a new base for the ticks and writes it down. As [`Cell::push`], two slots.
    pub fn rebase(&self, tie: Tie) {
        self.push(Slot::prefix(Kind::Ticks, 0, tie.ticks));
        self.push(Slot::prefix(Kind::Nanos, 0, tie.monotonic_ns));
        self.base.store(tie.ticks, Ordering::Relaxed);
        let reach = self.reach.load(Ordering::Relaxed);
        self.reach.store((reach * 16).min(MOST_REACH), Ordering::Relaxed);
        self.end_burst();
    }

    /// Writes down whose the slots are from here on. As [`Cell::push`], three slots.
    pub fn push_owner(&self) {
        self.push(Slot::prefix(Kind::Thread, 0, self.tid().into()));
        for (half, name) in (0..).zip(sys::thread_name()) {
            self.push(Slot::prefix(Kind::Name, half, name));
        }
        self.end_burst();
    }

    /// Goes on in a new block.
    pub fn start(&self, claimed: &Claimed, tie: Tie, clock: Clock) {
        let address = core::ptr::from_ref(claimed.block) as usize;
        let number = (core::ptr::from_ref(self) as usize)
            .wrapping_sub(&raw const WIPED.cells as usize)
            / size_of_val(&WIPED.cells[0]);
        claimed.block.open(
            claimed.state,
            &Opening {
                base_ticks: tie.ticks,
                base_ns: tie.monotonic_ns,
                owner: u64::from(self.tid()) | (number as u64) << 32,
                name: sys::thread_name(),
            },
        );
        let limit = address + BLOCK_SIZE;
        self.block.store(address, Ordering::Relaxed);
        self.base.store(tie.ticks, Ordering::Relaxed);
        self.reach.fetch_max(FIRST_REACH, Ordering::Relaxed);
        self.tag.store(claimed.state.parity << PARITY_SHIFT, Ordering::Relaxed);
        self.limit.store(limit, Ordering::Relaxed);
        self.cursor.store(address + BLOCK_HEADER_SIZE, Ordering::Relaxed);
        self.end_burst();
        let fast = if clock == Clock::Tsc { limit } else { 0 };
        self.fast_limit.store(fast, Ordering::Relaxed);
    }

    /// Finishes the block, and those that were waiting. With signals blocked.
    pub fn finish(&self, session: &Session) {
        for waiting in &self.deferred {
            let address = waiting.load(Ordering::Relaxed);
            if address != 0 && close(session, address, address + BLOCK_SIZE) {
                waiting.store(0, Ordering::Relaxed);
            }
        }
        let cursor = self.cursor.load(Ordering::Relaxed);
        let address = self.forget();
        if address != 0 && !close(session, address, cursor) {
            // Newest first.
            let pushed = self.deferred.iter().fold(address, |pushed, place| {
                if pushed == 0 { 0 } else { place.swap(pushed, Ordering::Relaxed) }
            });
            // In a growing file that would only unmap a window which a hook may still write to.
            if session.mode() == Mode::Ring {
                close_abandoned(session, pushed);
            }
        }
    }

    /// Leaves the block; returns its address.
    fn forget(&self) -> usize {
        self.fast_limit.store(0, Ordering::Relaxed);
        self.limit.store(0, Ordering::Relaxed);
        self.cursor.store(0, Ordering::Relaxed);
        self.end_burst();
        self.block.swap(0, Ordering::Relaxed)
    }

    fn tid(&self) -> u32 {
        self.owner.load(Ordering::Relaxed) as u32
    }

    /// The cell belongs to a thread.
    pub fn has_owner(&self) -> bool {
        self.tid() != 0
    }

    /// Takes the cell over from a thread that is dead, or from nobody.
    fn adopt(&self, session: &Session, tid: u32) -> bool {
        let owner = self.owner.load(Ordering::Relaxed);
        let dead = owner as u32;
        if dead != 0 && !sys::thread_is_dead(session.pid(), dead) {
            return false;
        }
        let next = ((owner >> 32).wrapping_add(1) << 32) | u64::from(tid);
        // Acquire: pairs with the Release in `evict`; a dead thread's stores are visible since the
        // kernel has switched away from it for good. The count of owners makes the exchange fail if
        // somebody else was faster, even if thread IDs were reused.
        let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
        if self.owner.compare_exchange(owner, next, acquire, relaxed).is_err() {
            return false;
        }
        // Release: pairs with the Acquire fence in `BlockCell::snapshot`, as in `BlockCell::open`,
        // for the slots that the new owner will write.
        fence(Ordering::Release);
        for waiting in &self.deferred {
            close_abandoned(session, waiting.swap(0, Ordering::Relaxed));
        }
        let block = self.block.load(Ordering::Relaxed);
        let handed_out = slots_before(block, self.cursor.load(Ordering::Relaxed));
        if block != 0 && !block_at(block).is_whole(handed_out) {
            close_abandoned(session, self.forget());
        }
        true
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

/// Number of slots of the block before this address.
fn slots_before(block: usize, cursor: usize) -> usize {
    cursor.saturating_sub(block + BLOCK_HEADER_SIZE) / SLOT_SIZE
}

/// Closes a block of the caller's. `false` if a slot before the cursor is not written yet.
fn close(session: &Session, address: usize, cursor: usize) -> bool {
    let block = block_at(address);
    let sequence = block.own_state().map_or(0, |state| state.sequence);
    let closed = block.close(slots_before(address, cursor));
    if closed && session.mode() == Mode::Full {
        WIPED.windows.note_closed(sequence);
    }
    closed
}

/// Closes a block that a dead thread has left, if there is one.
fn close_abandoned(session: &Session, address: usize) {
    if address != 0 {
        let block = block_at(address);
        let sequence = block.own_state().map_or(0, |state| state.sequence);
        block.close_abandoned();
        if session.mode() == Mode::Full {
            WIPED.windows.note_closed(sequence);
        }
    }
}

fn block_at(address: usize) -> &'static BlockCell {
    // SAFETY: the address of a block that a cell holds: it is mapped until it is closed, and only
    // its owner closes it. Blocks are atomics.
    unsafe { &*(address as *const BlockCell) }
}

/// The slot at an address that a cell's cursor had.
#[inline(always)]
pub fn slot_at(address: usize) -> &'static SlotCell {
    // SAFETY: cursors stay within a block of the cell, which is mapped until it is closed, and that
    // waits for slots that were handed out. Slots are atomics.
    unsafe { &*(address as *const SlotCell) }
}

/// The number that a session's first cell will have; numbers go round in the table.
pub fn first_unused() -> usize {
    NEXT.load(Ordering::Relaxed)
}

/// The cell with this number. Cell 0 is nobody's.
fn numbered(number: usize) -> &'static Cell {
    let index = number % (CELLS - 1);
    WIPED.cells[1..].get(index).unwrap_or(&WIPED.cells[1])
}

/// The calling thread's own cell; `true` if it was another thread's. With signals blocked.
///
/// # Errors
/// There are as many threads as cells.
pub fn own(session: &Session) -> Result<(&'static Cell, bool), Loss> {
    let cell = Cell::current();
    if cell.has_owner() {
        return Ok((cell, false));
    }
    let tid = thread::recording(session);
    let first = session.first_cell.load(Ordering::Relaxed);
    let used = first_unused().wrapping_sub(first);
    let start = (tid as usize).checked_rem(used).unwrap_or(0);
    for candidate in 0..used.min(CANDIDATES) {
        let number = first + (start + candidate) % used;
        if numbered(number).adopt(session, tid) {
            return Ok((take(session, number), true));
        }
    }
    loop {
        let number = NEXT.load(Ordering::Relaxed);
        if number.wrapping_sub(first) >= CELLS - 1 {
            return Err(Loss::Threads);
        }
        let (relaxed, next) = (Ordering::Relaxed, number.wrapping_add(1));
        if NEXT.compare_exchange(number, next, relaxed, relaxed).is_ok() {
            // Another thread may have found it meanwhile.
            if numbered(number).adopt(session, tid) {
                return Ok((take(session, number), false));
            }
        }
    }
}

/// Makes a cell the calling thread's, which is a writer from here on.
fn take(session: &Session, number: usize) -> &'static Cell {
    let cell = numbered(number);
    if let Some(live) = session.live() {
        live.writers.fetch_add(1, Ordering::Relaxed);
    }
    tls::set((core::ptr::from_ref(cell) as usize).wrapping_sub(&raw const WIPED.cells as usize));
    cell
}

/// Closes the blocks of a cell whose owner is dead, so that a ring can use them again; `false` if
/// it lives.
pub fn evict(session: &Session, index: usize) -> bool {
    let Some(cell) = WIPED.cells.get(index).filter(|_| index != 0) else { return false };
    if !cell.adopt(session, session.pid()) {
        return false;
    }
    close_abandoned(session, cell.forget());
    let owners = cell.owner.load(Ordering::Relaxed) >> 32;
    // Release: pairs with the Acquire in `adopt`: the cell is empty for its next owner.
    cell.owner.store(owners << 32, Ordering::Release);
    true
}
