//! How a growing file gets into the process: in windows, which double from 64 KiB to 32 MiB, so that
//! a short process costs little and a long one seldom grows.
//!
//! Space is allocated before it is mapped, so a full disk ends recording with a count and not with
//! SIGBUS in the host. Growing needs no lock: allocating twice and mapping twice is harmless, and
//! one mapping wins. When a window is added, older ones all of whose blocks are closed are unmapped,
//! and the pages of those that are still in use are given back: the host's memory holds two windows
//! and what the slowest threads have touched since.

use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use mallook_format::ring::BlockCell;
use mallook_format::{BLOCK_SIZE, Loss};

use crate::file;
use crate::state::Session;
use crate::sys::{self, Fd};

const FIRST_BLOCKS: u64 = 4;
const DOUBLINGS: u32 = 9;
const MOST_BLOCKS: u64 = FIRST_BLOCKS << DOUBLINGS;
/// Number of the first block in a window of full size.
const FIRST_FULL: u64 = MOST_BLOCKS - FIRST_BLOCKS;
/// Windows of 32 MiB: a trace of 1 TiB.
const WINDOWS: usize = 1 << 15;

/// Blocks whose pages are fetched at once, by one call instead of a fault each: 64 KiB.
const FETCHED: u64 = 4;

/// Bytes that are mapped at the start: the header and the first window.
pub const FIRST_MAPPING: usize = (1 + FIRST_BLOCKS as usize) * BLOCK_SIZE;

/// Bit of [`Window::entry`]: space is allocated block by block, since there was none for the whole.
const PIECEWISE: usize = 1;

/// Care of a window: nobody sees to it, somebody does, it is unmapped.
const IDLE: u32 = 0;
const BUSY: u32 = 1;
const GONE: u32 = 2;

/// Where a window is mapped.
struct Window {
    /// Address and [`PIECEWISE`], 0 while not mapped. Set once.
    entry: AtomicUsize,
    /// Blocks that were closed.
    closed: AtomicU32,
    /// Who may unmap the window or give its pages back: whoever moves this from idle to busy.
    care: AtomicU32,
}

/// All windows of a file.
pub struct Windows {
    windows: [Window; WINDOWS],
    /// Every window before this one is unmapped.
    oldest: AtomicU64,
}

/// Number of the window that holds a block, and its first block and number of blocks.
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

fn offset(block: u64) -> u64 {
    (block + 1) * BLOCK_SIZE as u64
}

/// Allocates the space of some blocks. The file size limit is respected before the kernel would
/// send a signal for it.
fn allocate(file: Fd, first: u64, blocks: u64) -> Result<(), Loss> {
    if offset(first + blocks) > sys::soft_limit(libc::RLIMIT_FSIZE) {
        return Err(Loss::Space);
    }
    sys::allocate(file, offset(first), blocks * BLOCK_SIZE as u64).map_err(|_| Loss::Space)
}

impl Windows {
    /// Enters the first window, which is mapped together with the header.
    pub fn set_first(&self, header: *mut u8) {
        // Relaxed: published with the session.
        self.windows[0].entry.store(header as usize + BLOCK_SIZE, Ordering::Relaxed);
    }

    /// The block with this number, mapped and backed by the file. `given_back`: the file may end
    /// before the end of the window.
    ///
    /// # Errors
    /// The file cannot grow, or cannot be mapped.
    pub fn block(
        &self,
        session: &Session,
        block: u64,
        given_back: bool,
    ) -> Result<&'static BlockCell, Loss> {
        let (number, first, blocks) = geometry(block);
        let window = self.windows.get(number).ok_or(Loss::Limit)?;
        // Acquire: pairs with the Release in `grow`.
        let mut entry = window.entry.load(Ordering::Acquire);
        if entry == 0 {
            entry = window.grow(session, first, blocks)?;
            self.look_after(number);
        }
        if given_back || entry & PIECEWISE != 0 {
            file::with_file(session, |file| allocate(file, block, 1))?;
        }
        let address = (entry & !PIECEWISE) + (block - first) as usize * BLOCK_SIZE;
        // A short process pays for no more than it touches.
        if block >= FIRST_BLOCKS
            && block.is_multiple_of(FETCHED)
            && entry & PIECEWISE == 0
            && !given_back
        {
            let length = FETCHED as usize * BLOCK_SIZE;
            // SAFETY: pages of blocks that are allocated, mapped, and about to be written. That it
            // fails, as it does before Linux 5.14, only costs time.
            let _ = unsafe { sys::advise(address as *const _, length, libc::MADV_POPULATE_WRITE) };
        }
        // SAFETY: the window is mapped and stays so until all of its blocks were closed, this one
        // included, whose claim the caller has; its space is allocated; blocks are atomics.
        Ok(unsafe { &*(address as *const BlockCell) })
    }

    /// Notes that a block was closed: nobody writes there any more.
    pub fn note_closed(&self, block: u64) {
        if let Some(window) = self.windows.get(geometry(block).0) {
            // Release: pairs with the Acquire in `look_after`: all writes into the window come
            // before it is unmapped.
            window.closed.fetch_add(1, Ordering::Release);
        }
    }

    /// Unmaps the windows that are finished, gives back the pages of those that are not.
    fn look_after(&self, newest: usize) {
        let oldest = self.oldest.load(Ordering::Relaxed) as usize;
        // The first window shares its mapping with the header and stays.
        let mut all_gone = true;
        for number in oldest.max(1)..newest {
            let Some(window) = self.windows.get(number) else { return };
            let blocks = FIRST_BLOCKS << (number as u32).min(DOUBLINGS);
            all_gone &= window.look_after(blocks);
            if all_gone {
                self.oldest.fetch_max(number as u64 + 1, Ordering::Relaxed);
            }
        }
    }
}

impl Window {
    /// Allocates and maps the window; returns the entry.
    #[cold]
    fn grow(&self, session: &Session, first: u64, blocks: u64) -> Result<usize, Loss> {
        let max = session.max_blocks.load(Ordering::Relaxed);
        let wanted = if max == 0 { blocks } else { blocks.min(max.saturating_sub(first)) };
        let length = blocks as usize * BLOCK_SIZE;
        let (mapped, piecewise) = file::with_file(session, |file| {
            let piecewise = if allocate(file, first, wanted).is_ok() { 0 } else { PIECEWISE };
            let mapped = sys::map(file, offset(first), length).map_err(|_| Loss::Mapping)?;
            Ok((mapped, piecewise))
        })?;
        let entry = mapped as usize | piecewise;
        // Release: pairs with the Acquire in `Windows::block`; Acquire on failure likewise.
        let (release, acquire) = (Ordering::Release, Ordering::Acquire);
        match self.entry.compare_exchange(0, entry, release, acquire) {
            Ok(_) => Ok(entry),
            Err(winner) => {
                // SAFETY: our own mapping, which nobody has seen.
                unsafe { sys::unmap(mapped, length) };
                Ok(winner)
            }
        }
    }

    /// `true` if the window is not mapped any more.
    fn look_after(&self, blocks: u64) -> bool {
        // Acquire: pairs with the Release below; one thread at a time looks after a window.
        let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
        if let Err(care) = self.care.compare_exchange(IDLE, BUSY, acquire, relaxed) {
            return care == GONE;
        }
        let address = self.entry.load(Ordering::Relaxed) & !PIECEWISE;
        let length = blocks as usize * BLOCK_SIZE;
        // Acquire: pairs with the Release in `note_closed`.
        let finished = u64::from(self.closed.load(Ordering::Acquire)) == blocks;
        if finished {
            // SAFETY: every block was claimed, filled and closed, so nobody comes back to any.
            unsafe { sys::unmap(address as *mut u8, length) };
        } else if address != 0 {
            // SAFETY: shared pages of a file: they stay in the page cache and come back when they
            // are touched. The window stays mapped while we are the one who looks after it.
            let _ = unsafe { sys::advise(address as *const _, length, libc::MADV_DONTNEED) };
        }
        // Release: pairs with the Acquire above.
        self.care.store(if finished { GONE } else { IDLE }, Ordering::Release);
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
