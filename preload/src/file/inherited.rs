//! The mappings of the parent's trace, as a forked child finds them: this memory is not wiped on
//! fork.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicUsize};

use mallook_format::{BLOCK_SIZE, CURSOR_OFFSET, LiveWords};

use crate::host::memory::{self, PAGE};

/// Mappings that are noted; a child keeps those that are not.
const MAPPINGS: usize = 512;
/// Blocks with unwritten slots that a thread can leave to the child that it forks.
pub const UNFINISHED: usize = 3;
/// Such blocks that are noted: of a child that has not recorded, and of its own child.
const KEPT: usize = 2 * UNFINISHED;

/// A mapping of the file, without its guards.
struct Mapping {
    /// 0 for none.
    address: AtomicUsize,
    /// In bytes. Written before the address.
    length: AtomicUsize,
}

static NOTED: [Mapping; MAPPINGS] =
    [const { Mapping { address: AtomicUsize::new(0), length: AtomicUsize::new(0) } }; MAPPINGS];

/// This process was forked by libc's function, whose hook has noted the unfinished blocks.
static IS_KNOWN: AtomicBool = AtomicBool::new(false);
/// Addresses of unfinished blocks, 0 for none.
static KEEP: [AtomicUsize; KEPT] = [const { AtomicUsize::new(0) }; KEPT];

/// Where the header of the newest trace is mapped, of this process or an ancestor; 0 for none.
static HEADER: AtomicUsize = AtomicUsize::new(0);

/// Notes where the header is mapped.
pub fn set_header(address: usize) {
    HEADER.store(address, Relaxed);
}

/// The changing words of that header. In a process without a trace they are an ancestor's, and may
/// be used as long as no trace is opened.
pub fn header() -> Option<&'static LiveWords> {
    let address = HEADER.load(Relaxed);
    let words = address.wrapping_add(CURSOR_OFFSET) as *const LiveWords;
    // SAFETY: the header is mapped until `release`; the words are atomics at a properly aligned
    // offset of it.
    (address != 0).then(|| unsafe { &*words })
}

/// Notes a mapping.
pub fn note(address: usize, length: usize) {
    for place in &NOTED {
        let free = place.address.load(Relaxed) == 0;
        // Acquire: pairs with the Release in `forget`. Address 1 is nobody's: the place is taken.
        if free && place.address.compare_exchange(0, 1, Acquire, Relaxed).is_ok() {
            place.length.store(length, Relaxed);
            // Release: pairs with the Acquire in `release`, where another thread forked meanwhile.
            place.address.store(address, Release);
            return;
        }
    }
}

/// Forgets a mapping, before it is unmapped: its addresses may be another's soon.
pub fn forget(address: usize) {
    if let Some(place) = NOTED.iter().find(|place| place.address.load(Relaxed) == address) {
        // Release: pairs with the Acquire in `note`.
        place.address.store(0, Release);
    }
}

/// Notes the blocks that this thread was writing to when it forked. In the child, before anything
/// is recorded there.
pub fn keep(unfinished: [usize; UNFINISHED]) {
    let mut places = KEEP.iter().filter(|place| place.load(Relaxed) == 0);
    for block in unfinished.into_iter().filter(|&block| block != 0) {
        if let Some(place) = places.next() {
            place.store(block, Relaxed);
        }
    }
    IS_KNOWN.store(true, Relaxed);
}

/// Releases the mappings of the parent's trace.
///
/// A hook that was interrupted by the signal handler which forked may still write one slot into an
/// unfinished block, so private zeros take its place. After a fork that was not seen, that may be
/// any block.
pub fn release() {
    HEADER.store(0, Relaxed);
    let is_known = IS_KNOWN.swap(false, Relaxed);
    for place in &NOTED {
        // Acquire: pairs with the Release in `note`.
        let address = place.address.swap(0, Acquire);
        let length = place.length.load(Relaxed);
        if address <= 1 {
            continue;
        }
        if is_known {
            unmap_but_kept(address, length);
        } else {
            // SAFETY: the parent's trace. A slot that this process may still write there belongs
            // to no file.
            unsafe { memory::detach(address, length) };
        }
    }
    KEEP.iter().for_each(|place| place.store(0, Relaxed));
}

/// Unmaps a mapping and its guards, but for the blocks to be kept, which become private zeros.
fn unmap_but_kept(address: usize, length: usize) {
    let (mut start, end) = (address - PAGE, address + length + PAGE);
    while start < end {
        let kept = KEEP.iter().map(|place| place.load(Relaxed));
        let next = kept.filter(|block| (start..end).contains(block)).min();
        // SAFETY: the parent's trace, of which this process uses nothing but the blocks to be kept.
        unsafe { memory::unmap(start, next.unwrap_or(end) - start) };
        let Some(block) = next else { return };
        // SAFETY: as in `release`.
        unsafe { memory::detach(block, BLOCK_SIZE) };
        start = block + BLOCK_SIZE;
    }
}
