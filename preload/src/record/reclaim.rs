//! Closes the blocks of a thread buffer: its owner's full one, and those of a dead thread.

use core::sync::atomic::{AtomicU64, Ordering, fence};

use mallook_format::ring::BlockCell;
use mallook_format::{BLOCK_HEADER_SIZE, Mode, SLOT_SIZE, SLOTS};

use crate::file::blocks::TraceFile;
use crate::file::inherited::UNFINISHED;
use crate::host::task;

use super::thread_buffer::ThreadBuffer;

/// The bits of a block's address in which the number of its slots fits: blocks begin on pages.
const SLOTS_OF_DEFERRED: usize = 4095;
const _: () = assert!(SLOTS <= SLOTS_OF_DEFERRED);

/// Counts the times that a buffer was taken.
static TAKEN: AtomicU64 = AtomicU64::new(0);

impl ThreadBuffer {
    /// Finishes the block, and the deferred ones if their slots are written. With signals blocked.
    pub fn finish(&self, file: &TraceFile) {
        for deferred in &self.deferred {
            let (address, slots) = waiting(deferred.load(Ordering::Relaxed));
            if address != 0 && close(file, address, slots) {
                deferred.store(0, Ordering::Relaxed);
            }
        }
        let cursor = self.cursor.load(Ordering::Relaxed);
        let address = self.forget();
        let slots = slots_before(address, cursor);
        if address != 0 && !close(file, address, slots) {
            // Newest first.
            let pushed = self.deferred.iter().fold(address | slots, |pushed, deferred| {
                if pushed == 0 { 0 } else { deferred.swap(pushed, Ordering::Relaxed) }
            });
            // In a growing file that would only unmap a window that a hook may still write to.
            if file.mode() == Mode::Ring {
                close_abandoned(file, waiting(pushed).0);
            }
        }
    }

    /// The blocks that an interrupted hook of this thread may still write to, 0 for none.
    pub fn unfinished_blocks(&self) -> [usize; UNFINISHED] {
        let block = self.block.load(Ordering::Relaxed);
        let handed_out = slots_before(block, self.cursor.load(Ordering::Relaxed));
        let is_whole = block == 0 || block_at(block).is_whole(handed_out);
        let [newer, older] = &self.deferred;
        let deferred = [newer, older].map(|it| waiting(it.load(Ordering::Relaxed)).0);
        [if is_whole { 0 } else { block }, deferred[0], deferred[1]]
    }

    /// Takes the buffer over, for the thread `tid`, which has none, from a dead thread of the
    /// process `pid`, or from none; `false` if its owner lives, or another thread was faster.
    pub fn adopt(&self, file: &TraceFile, pid: u32, tid: u32) -> bool {
        let owner = self.owner.load(Ordering::Relaxed);
        let last = owner as u32;
        // A thread that had the ID of the caller is dead.
        let is_free = last == 0 || last == tid || task::thread_is_dead(pid, last);
        is_free && self.take_over(file, owner, tid)
    }

    /// Takes the buffer over from the last owner, which is dead, or from none.
    fn take_over(&self, file: &TraceFile, owner: u64, tid: u32) -> bool {
        // Before the owner changes: a buffer never seems older than one of a dead thread with the
        // same ID.
        self.taken.store(TAKEN.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        let next = ((owner >> 32).wrapping_add(1) << 32) | u64::from(tid);
        // Acquire: pairs with the Release in `evict`; a dead thread's stores are visible since the
        // kernel has switched away from it for good. The count of owners makes the exchange fail if
        // another thread was faster, even if thread IDs were reused.
        let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
        if self.owner.compare_exchange(owner, next, acquire, relaxed).is_err() {
            return false;
        }
        // Release: pairs with the Acquire fence in `BlockCell::snapshot`, as in `BlockCell::open`,
        // for the slots that the new owner will write.
        fence(Ordering::Release);
        for deferred in &self.deferred {
            close_abandoned(file, waiting(deferred.swap(0, Ordering::Relaxed)).0);
        }
        let block = self.block.load(Ordering::Relaxed);
        let handed_out = slots_before(block, self.cursor.load(Ordering::Relaxed));
        if block != 0 && !block_at(block).is_whole(handed_out) {
            close_abandoned(file, self.forget());
        }
        true
    }

    /// Closes the blocks of a dead thread, so that a ring can use them again; `false` if the owner
    /// lives. `is_reused` says whether a living thread with this ID is another one.
    pub fn evict(&self, file: &TraceFile, pid: u32, is_reused: impl FnOnce(u32) -> bool) -> bool {
        let owner = self.owner.load(Ordering::Relaxed);
        let last = owner as u32;
        let is_free = last == 0 || task::thread_is_dead(pid, last) || is_reused(last);
        if !is_free || !self.take_over(file, owner, pid) {
            return false;
        }
        close_abandoned(file, self.forget());
        let owners = self.owner.load(Ordering::Relaxed) >> 32;
        // Release: pairs with the Acquire in `adopt`: the buffer is empty for its next owner.
        self.owner.store(owners << 32, Ordering::Release);
        true
    }
}

/// Number of slots of the block before this address.
fn slots_before(block: usize, cursor: usize) -> usize {
    cursor.saturating_sub(block + BLOCK_HEADER_SIZE) / SLOT_SIZE
}

/// The address of a block that waits, and the number of its slots that were handed out: the last
/// ones were not, if an event with its stack did not fit there.
fn waiting(deferred: usize) -> (usize, usize) {
    (deferred & !SLOTS_OF_DEFERRED, deferred & SLOTS_OF_DEFERRED)
}

/// Closes a block of the caller's. `false` if one of its first `slots` slots is not written yet.
fn close(file: &TraceFile, address: usize, slots: usize) -> bool {
    let block = block_at(address);
    let sequence = block.own_state().map_or(0, |state| state.sequence);
    let closed = block.close(slots);
    if closed {
        file.note_closed(sequence, address);
    }
    closed
}

/// Closes a block that a dead thread has left, if there is one.
fn close_abandoned(file: &TraceFile, address: usize) {
    if address != 0 {
        let block = block_at(address);
        let sequence = block.own_state().map_or(0, |state| state.sequence);
        block.close_abandoned();
        file.note_closed(sequence, address);
    }
}

fn block_at(address: usize) -> &'static BlockCell {
    // SAFETY: the address of a block that a thread buffer holds: it is mapped until it is closed,
    // and only its owner closes it. Blocks are atomics.
    unsafe { &*(address as *const BlockCell) }
}
