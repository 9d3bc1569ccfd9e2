//! The events that the calling thread has recorded since a moment: so a hook learns whether the function
//! that it forwards to has come back through another hook.

use core::ptr;
use core::sync::atomic::Ordering::Relaxed;

use mallook_format::{BLOCK_HEADER_SIZE, Kind, SLOT_SIZE, Slot};

use super::wiped::WIPED;

/// A position in what the calling thread records.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Position(usize);

impl Position {
    /// As a number: 0, or the address of a slot.
    pub fn number(self) -> usize {
        self.0
    }
}

impl From<usize> for Position {
    fn from(number: usize) -> Position {
        Position(number)
    }
}

/// The position now.
pub fn position() -> Position {
    Position(WIPED.buffers.current().cursor.load(Relaxed))
}

/// Whether the calling thread has recorded, since `start`, the birth or the death of the address.
pub fn has_recorded(start: Position, address: usize, is_birth: bool) -> bool {
    let buffer = WIPED.buffers.current();
    let (end, block) = (buffer.cursor.load(Relaxed), buffer.block.load(Relaxed));
    if end == start.0 || block == 0 {
        return false;
    }
    let first = block + BLOCK_HEADER_SIZE;
    // In another block, all slots came later, as far as the thread wrote them.
    let start = if (first..=end).contains(&start.0) { start.0 } else { first };
    let mut place = end;
    while place > start {
        place -= SLOT_SIZE;
        // SAFETY: a slot of the thread's present block, which is mapped; only handlers that
        // interrupt the thread write there.
        let slot = unsafe { ptr::read_volatile(place as *const Slot) };
        match slot.kind() {
            Some(Kind::Thread) => return false,
            Some(kind) if kind.is_moment() => {
                let (fits, same) = (address as u64 >> 48 == 0, slot.address() == address as u64);
                if fits && same && kind.is_birth() == is_birth {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}
