//! The memory of the thread buffers: a few that are there from the start, and pieces that are mapped
//! as threads come, each as large as all before it.
//!
//! So a process of few threads has one page of them. A collector that scans the writable segments
//! of libraries finds little, and memory that is locked is memory that is used.

use core::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;

use crate::host::confined::is_confined;
use crate::host::{memory, wiped_memory};

use super::thread_buffer::ThreadBuffer;

/// Buffers at most, the one that belongs to no thread included.
pub const BUFFERS: usize = 1 << 16;
const _: () = assert!(BUFFERS - 1 <= u16::MAX as usize, "a buffer knows its number");
/// Buffers that are there from the start.
pub const FIRST: usize = 32;
const PIECES: usize = (BUFFERS / FIRST).ilog2() as usize;

type Padded = CachePadded<ThreadBuffer>;

/// Addresses of the pieces, 0 for those that are not mapped yet. Not wiped on fork: a child uses
/// the mappings that it inherits, whose contents are wiped.
static MAPPED: [AtomicUsize; PIECES] = [const { AtomicUsize::new(0) }; PIECES];

/// The number of the piece that holds a buffer, and its first buffer.
fn piece_of(index: usize) -> (usize, usize) {
    let number = (index / FIRST).max(1).ilog2();
    (number as usize, FIRST << number)
}

/// Length in bytes of a piece.
fn length(number: usize) -> usize {
    (FIRST << number) * size_of::<Padded>()
}

/// The buffer at this index, which is not one of the first; `None` if it is not mapped.
pub fn mapped(index: usize) -> Option<&'static ThreadBuffer> {
    let (number, first) = piece_of(index);
    // Acquire: pairs with the Release in `map`.
    let address = MAPPED.get(number)?.load(Ordering::Acquire);
    let place = address + (index - first) * size_of::<Padded>();
    // SAFETY: within a piece that is mapped for the life of the process; any bytes are a buffer,
    // since those are atomics.
    (address != 0).then(|| unsafe { &*(place as *const ThreadBuffer) })
}

/// As `mapped`, and maps it if need be.
pub fn map(index: usize) -> Option<&'static ThreadBuffer> {
    let (number, _) = piece_of(index);
    let piece = MAPPED.get(number)?;
    if piece.load(Ordering::Relaxed) == 0 && !is_confined() {
        let address = wiped_memory::map(length(number)).ok()?;
        // Release: pairs with the Acquire in `mapped`: the kernel knows what to do with it.
        let (release, relaxed) = (Ordering::Release, Ordering::Relaxed);
        if piece.compare_exchange(0, address as usize, release, relaxed).is_ok() {
            wiped_memory::keep(address, length(number));
        } else {
            // SAFETY: our own mapping, which nobody has seen.
            unsafe { memory::unmap(address as usize, length(number)) };
        }
    }
    mapped(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_each_other_without_gap() {
        assert_eq!(piece_of(FIRST), (0, FIRST));
        assert_eq!(piece_of(2 * FIRST - 1), (0, FIRST));
        assert_eq!(piece_of(2 * FIRST), (1, 2 * FIRST));
        let (last, first) = piece_of(BUFFERS - 1);
        assert_eq!((last, first), (PIECES - 1, BUFFERS / 2));
        assert!(length(0) == 4096 && mapped(FIRST).is_none());
    }
}
