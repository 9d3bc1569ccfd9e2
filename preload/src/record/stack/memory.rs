//! The memory of each thread for its last stack. It lies beside the thread's buffer, in a range that
//! is mapped for many threads at once, and of which a thread touches what it needs.

use core::sync::atomic::{AtomicUsize, Ordering, compiler_fence};

use crate::host::confined::is_confined;
use crate::host::{memory, wiped_memory};
use crate::record::table::BUFFERS;

use mallook_format::MAX_DEPTH;
use mallook_unwind::{Site, Thread};

use super::encoder::Encoder;

/// The kept state of a thread's last stack. All zero: none.
#[repr(C, align(4096))]
pub struct Kept {
    pub encoder: Encoder,
    pub thread: Thread,
    /// For a signal handler that finds the rest in use.
    pub apart_turn: Turn,
    pub apart: [Site; MAX_DEPTH],
}

/// Buffers of the first range. Few: a host that locks all its memory locks what is mapped.
const FIRST: usize = 2;
/// Ranges: the first for the first buffers of the table, each other one for as many as all before it.
const RANGES: usize = 1 + (BUFFERS / FIRST).ilog2() as usize;

/// Their addresses, 0 for those that are not mapped yet. Not wiped on fork: a child uses the mappings
/// that it inherits, whose contents are wiped.
static MAPPED: [AtomicUsize; RANGES] = [const { AtomicUsize::new(0) }; RANGES];

/// The number of the range for a buffer, the first buffer in it, and their number.
fn range(index: usize) -> (usize, usize, usize) {
    match (index / FIRST).checked_ilog2() {
        None => (0, 0, FIRST),
        Some(doublings) => (1 + doublings as usize, FIRST << doublings, FIRST << doublings),
    }
}

/// Entries that are refused before the user counts as gone.
const MOST_REFUSED: usize = 1024;
/// The largest part of a stack on which an outer frame shows that the inner one was left.
const SAME_STACK: usize = 1 << 20;

/// The memory that belongs to the buffer with this index; `None` if there is none.
pub fn of_buffer(index: usize) -> Option<*mut Kept> {
    let (number, first, count) = range(index);
    let piece = MAPPED.get(number)?;
    // Acquire: pairs with the Release in `map`.
    let mut address = piece.load(Ordering::Acquire);
    if address == 0 {
        address = map(piece, count * size_of::<Kept>())?;
    }
    Some((address + (index - first) * size_of::<Kept>()) as *mut Kept)
}

#[cold]
fn map(piece: &AtomicUsize, length: usize) -> Option<usize> {
    if is_confined() {
        return None;
    }
    let address = wiped_memory::map(length).ok()? as usize;
    // Release: pairs with the Acquire in `of_buffer`: the kernel knows what to do with it.
    let (release, acquire) = (Ordering::Release, Ordering::Acquire);
    match piece.compare_exchange(0, address, release, acquire) {
        Ok(_) => {
            wiped_memory::keep(address as *mut u8, length);
            Some(address)
        }
        Err(other) => {
            // SAFETY: our own mapping, which nobody has seen.
            unsafe { memory::unmap(address, length) };
            Some(other)
        }
    }
}

/// Whose turn it is to use something of a thread: that of one function, and not of a signal handler
/// that interrupts it.
#[repr(C)]
pub struct Turn {
    /// The frame of the function, 0 for none.
    user: AtomicUsize,
    /// The number of times that another one was refused.
    refused: AtomicUsize,
}

impl Turn {
    /// Begins a turn of a function whose frame is at `here`; `false` if it interrupts another one's.
    pub fn begin(&self, here: usize) -> bool {
        let last = self.user.load(Ordering::Relaxed);
        if last != 0 && !self.is_gone(last, here) {
            return false;
        }
        self.user.store(here, Ordering::Relaxed);
        // Towards signal handlers of this thread: what follows is not done before.
        compiler_fence(Ordering::SeqCst);
        true
    }

    /// Whether the frame `last` is gone.
    #[cold]
    fn is_gone(&self, last: usize, here: usize) -> bool {
        // One that lies a little further down on the same stack was left by `siglongjmp`.
        let was_left = (last..last + SAME_STACK).contains(&here);
        if !was_left && self.refused.fetch_add(1, Ordering::Relaxed) < MOST_REFUSED {
            return false;
        }
        self.refused.store(0, Ordering::Relaxed);
        true
    }

    /// Ends a turn.
    pub fn end(&self) {
        // Towards signal handlers of this thread: what came before is done.
        compiler_fence(Ordering::SeqCst);
        self.user.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_each_other_without_gap() {
        let mut next = 0;
        for number in 0..RANGES {
            let (found, first, count) = range(next);
            assert_eq!((found, first), (number, next));
            assert_eq!(range(next + count - 1).0, number);
            next += count;
        }
        assert_eq!(next, BUFFERS);
    }

    #[test]
    fn a_handler_has_to_wait_and_a_jump_ends_a_turn() {
        let turn = Turn { user: AtomicUsize::new(0), refused: AtomicUsize::new(0) };
        let frame = 0x7fff_0000_1000;
        assert!(turn.begin(frame));
        assert!(!turn.begin(frame - 64));
        assert!(!turn.begin(0x5555_0000_0000));
        assert!(turn.begin(frame + 64));
        turn.end();
        assert!(turn.begin(frame - 64));
        for _ in 0..MOST_REFUSED {
            assert!(!turn.begin(frame - 128));
        }
        assert!(turn.begin(frame - 128));
    }
}
