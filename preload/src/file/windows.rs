//! The mappings of a growing file: windows, which double from 64 KiB to 32 MiB, so that a short
//! process costs little and a long one seldom grows.
//!
//! Space is allocated before it is mapped, so a full disk ends recording with a count and not with
//! SIGBUS in the host. Growing needs no lock: allocating twice and mapping twice is harmless, and
//! one mapping wins. A new window reclaims the older ones: it unmaps those whose blocks are all
//! closed, and gives back the pages of the others. The host's memory holds two windows and the
//! pages that the slowest threads have touched since.

use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use mallook_format::ring::BlockCell;
use mallook_format::{BLOCK_SIZE, Loss};

use crate::host::files::{self, Fd};
use crate::host::{memory, task};

use super::descriptor::Descriptor;

const FIRST_BLOCKS: u64 = 4;
const DOUBLINGS: u32 = 9;
const MOST_BLOCKS: u64 = FIRST_BLOCKS << DOUBLINGS;
/// Number of the first block in a window of full size.
const FIRST_FULL: u64 = MOST_BLOCKS - FIRST_BLOCKS;
/// Windows of 32 MiB: a trace of 1 TiB.
const WINDOWS: usize = 1 << 15;

/// Number of blocks whose pages are prefaulted by one call, instead of a fault each: 64 KiB.
const PREFAULT_BLOCKS: u64 = 4;

/// Length in bytes of the first mapping: the header and the first window.
pub const FIRST_MAPPING: usize = (1 + FIRST_BLOCKS as usize) * BLOCK_SIZE;

/// Bit of [`Window::entry`]: space is allocated block by block, since there was not enough for all.
const PIECEWISE: usize = 1;

/// States of [`Window::reclaiming`]: no thread is at it, one is, the window is unmapped.
const IDLE: u32 = 0;
const BUSY: u32 = 1;
const GONE: u32 = 2;

/// A window: a row of blocks that is mapped at once.
struct Window {
    /// Address of the mapping, with [`PIECEWISE`]; 0 while not mapped. Set once.
    entry: AtomicUsize,
    /// Number of blocks that were closed.
    closed: AtomicU32,
    /// [`IDLE`], [`BUSY`] or [`GONE`]. The thread that moves this from idle to busy may unmap the
    /// window or give its pages back.
    reclaiming: AtomicU32,
}

/// All windows of a file.
pub struct Windows {
    windows: [Window; WINDOWS],
    /// Every window before this one is unmapped.
    oldest: AtomicU64,
}

/// The window that holds a block: its number, its first block and its number of blocks.
fn geometry(block: u64) -> (usize, u64, u64) {
    if block < FIRST_FULL {
        let number = (block / FIRST_BLOCKS + 1).ilog2();
        let blocks = FIRST_BLOCKS << number;
        (number as usize, blocks - FIRST_BLOCKS, blocks)
    } else {
        let number = (block - FIRST_FULL) / MOST_BLOCKS;
        let first = FIRST_FULL + number * MOST_BLOCKS;
        ((number + u64::from(DOUBLINGS)) as usize, first, MOST_BLOCKS)
    }
}

/// The offset of a block in the file, in bytes.
fn offset(block: u64) -> u64 {
    (block + 1) * BLOCK_SIZE as u64
}

/// Allocates the space of some blocks. Fails at the file size limit, for which the kernel would
/// send a signal.
fn allocate(file: Fd, first: u64, blocks: u64) -> Result<(), Loss> {
    if offset(first + blocks) > task::soft_limit(libc::RLIMIT_FSIZE) {
        return Err(Loss::Space);
    }
    files::allocate(file, offset(first), blocks * BLOCK_SIZE as u64).map_err(|_| Loss::Space)
}

impl Windows {
    /// Enters the first window, which shares the mapping of the header.
    pub fn set_first(&self, header: *mut u8) {
        // Relaxed: published with the session.
        self.windows[0].entry.store(header as usize + BLOCK_SIZE, Ordering::Relaxed);
    }

    /// The block with this number, mapped and backed by the file. `max` is the largest number of
    /// blocks of the file, 0 for no bound. `given_back`: the file may end before the end of the
    /// window.
    ///
    /// # Errors
    /// The file cannot grow, or cannot be mapped.
    pub fn block(
        &self,
        file: &Descriptor,
        block: u64,
        max: u64,
        given_back: bool,
    ) -> Result<&'static BlockCell, Loss> {
        let (number, first, blocks) = geometry(block);
        let window = self.windows.get(number).ok_or(Loss::Limit)?;
        // Acquire: pairs with the Release in `grow`.
        let mut entry = window.entry.load(Ordering::Acquire);
        if entry == 0 {
            entry = window.grow(file, first, blocks, max)?;
            self.reclaim(number);
        }
        if given_back || entry & PIECEWISE != 0 {
            file.with_file(|file| allocate(file, block, 1))?;
        }
        let address = (entry & !PIECEWISE) + (block - first) as usize * BLOCK_SIZE;
        // A short process pays only for the pages that it touches.
        if block >= FIRST_BLOCKS
            && block.is_multiple_of(PREFAULT_BLOCKS)
            && entry & PIECEWISE == 0
            && !given_back
        {
            let length = PREFAULT_BLOCKS as usize * BLOCK_SIZE;
            // SAFETY: pages of blocks that are allocated, mapped, and about to be written. A
            // failure, as before Linux 5.14, only costs time.
            let _ =
                unsafe { memory::advise(address as *const _, length, libc::MADV_POPULATE_WRITE) };
        }
        // SAFETY: the window is mapped and stays so until all of its blocks were closed, this one
        // included, whose claim the caller has; its space is allocated; blocks are atomics.
        Ok(unsafe { &*(address as *const BlockCell) })
    }

    /// Notes that a block was closed: nobody writes there again.
    pub fn note_closed(&self, block: u64) {
        if let Some(window) = self.windows.get(geometry(block).0) {
            // Release: pairs with the Acquire in `reclaim`: all writes into the window come
            // before it is unmapped.
            window.closed.fetch_add(1, Ordering::Release);
        }
    }

    /// Unmaps the windows that are finished, and gives back the pages of the others.
    fn reclaim(&self, newest: usize) {
        let oldest = self.oldest.load(Ordering::Relaxed) as usize;
        // The first window shares its mapping with the header and stays.
        let mut all_gone = true;
        for number in oldest.max(1)..newest {
            let Some(window) = self.windows.get(number) else { return };
            let blocks = FIRST_BLOCKS << (number as u32).min(DOUBLINGS);
            all_gone &= window.reclaim(blocks);
            if all_gone {
                self.oldest.fetch_max(number as u64 + 1, Ordering::Relaxed);
            }
        }
    }
}

impl Window {
    /// Allocates and maps the window; returns the entry.
    #[cold]
    fn grow(&self, file: &Descriptor, first: u64, blocks: u64, max: u64) -> Result<usize, Loss> {
        let wanted = if max == 0 { blocks } else { blocks.min(max.saturating_sub(first)) };
        let length = blocks as usize * BLOCK_SIZE;
        let (mapped, piecewise) = file.with_file(|file| {
            let piecewise = if allocate(file, first, wanted).is_ok() { 0 } else { PIECEWISE };
            let mapped = memory::map(file, offset(first), length).map_err(|_| Loss::Mapping)?;
            Ok((mapped, piecewise))
        })?;
        let entry = mapped as usize | piecewise;
        // Release: pairs with the Acquire in `Windows::block`; Acquire on failure likewise.
        let (release, acquire) = (Ordering::Release, Ordering::Acquire);
        match self.entry.compare_exchange(0, entry, release, acquire) {
            Ok(_) => Ok(entry),
            Err(winner) => {
                // SAFETY: our own mapping, which nobody has seen.
                unsafe { memory::unmap(mapped, length) };
                Ok(winner)
            }
        }
    }

    /// Unmaps the window if it is finished, else gives its pages back. `true`: it is unmapped.
    fn reclaim(&self, blocks: u64) -> bool {
        // Acquire: pairs with the Release below; one thread at a time reclaims a window.
        let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
        if let Err(state) = self.reclaiming.compare_exchange(IDLE, BUSY, acquire, relaxed) {
            return state == GONE;
        }
        let address = self.entry.load(Ordering::Relaxed) & !PIECEWISE;
        let length = blocks as usize * BLOCK_SIZE;
        // Acquire: pairs with the Release in `note_closed`.
        let finished = u64::from(self.closed.load(Ordering::Acquire)) == blocks;
        if finished {
            // SAFETY: every block was claimed, filled and closed, so nobody uses any of them again.
            unsafe { memory::unmap(address as *mut u8, length) };
        } else if address != 0 {
            // SAFETY: shared pages of a file: they stay in the page cache and come back when they
            // are touched. The window stays mapped while this thread reclaims it.
            let _ = unsafe { memory::advise(address as *const _, length, libc::MADV_DONTNEED) };
        }
        // Release: pairs with the Acquire above.
        self.reclaiming.store(if finished { GONE } else { IDLE }, Ordering::Release);
        finished
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_follow_each_other_without_gap() {
        let mut expected = (0, 0);
        for block in 0..100_000 {
            let (number, first, blocks) = geometry(block);
            assert!((first..first + blocks).contains(&block));
            assert_eq!(blocks, FIRST_BLOCKS << (number as u32).min(DOUBLINGS));
            if block == expected.1 {
                assert_eq!((number, first), expected);
                expected = (number + 1, first + blocks);
            }
        }
        assert!(geometry(u64::MAX >> 8).0 > WINDOWS);
    }
}
