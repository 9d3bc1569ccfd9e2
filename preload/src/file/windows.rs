//! The mappings of a growing file: windows, which double from 64 KiB to 32 MiB, so that a short
//! process costs little and a long one seldom maps.
//!
//! Mapping needs no lock: mapping twice is harmless, and one mapping wins. A new window reclaims
//! the older ones: it unmaps those that nobody writes to, and gives back the pages of the others.
//! The host's memory holds two windows and the pages that the slowest threads have touched since.
//! Where a window cannot be mapped, or its place in the table is taken, a block is mapped alone.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU64, AtomicUsize};

use mallook_format::{BLOCK_SIZE, Loss};

use crate::host::confined::is_confined;
use crate::host::memory::{self, PAGE};
use crate::host::syscall::Errno;

use super::by_name::ByName;
use super::mapping;
use super::reserve::{BlockMapping, offset};

const FIRST_BLOCKS: u64 = 4;
const DOUBLINGS: u32 = 9;
const MOST_BLOCKS: u64 = FIRST_BLOCKS << DOUBLINGS;
/// Number of the first block in a window of full size.
const FIRST_FULL: u64 = MOST_BLOCKS - FIRST_BLOCKS;
/// Windows that can be mapped at once; each has one place, at its number modulo this.
const PLACES: usize = 512;

/// Length in bytes of the first mapping: the header and the first window.
pub const FIRST_MAPPING: usize = (1 + FIRST_BLOCKS as usize) * BLOCK_SIZE;

/// A place for a window: a row of blocks that is mapped at once.
struct Window {
    /// Number of the window + 1 in bits 24..64, the number of its users in the others; 0 for a free
    /// place, [`SETTING`] while a thread maps or unmaps. A user is a thread that has a block there.
    state: AtomicU64,
    /// Address of the mapping. Written by the thread that is setting.
    address: AtomicUsize,
}

const USER_BITS: u32 = 24;
const SETTING: u64 = u64::MAX;

/// All windows of a file.
#[repr(C)]
pub struct Windows {
    /// The number of the newest window that was ever mapped.
    newest: AtomicU64,
    /// Every window before this one is unmapped, and will not be mapped again.
    oldest: AtomicU64,
    places: [Window; PLACES],
}

/// A window: its number, its first block and its number of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Geometry {
    number: u64,
    first: u64,
    blocks: u64,
}

impl Geometry {
    /// Of the window that holds a block.
    fn of_block(block: u64) -> Geometry {
        if block < FIRST_FULL {
            let number = (block / FIRST_BLOCKS + 1).ilog2();
            let blocks = FIRST_BLOCKS << number;
            Geometry { number: number.into(), first: blocks - FIRST_BLOCKS, blocks }
        } else {
            let number = (block - FIRST_FULL) / MOST_BLOCKS;
            let first = FIRST_FULL + number * MOST_BLOCKS;
            Geometry { number: number + u64::from(DOUBLINGS), first, blocks: MOST_BLOCKS }
        }
    }

    /// Of a window.
    fn of_window(number: u64) -> Geometry {
        let blocks = FIRST_BLOCKS << number.min(DOUBLINGS.into());
        let full = number.saturating_sub(DOUBLINGS.into());
        Geometry { number, first: blocks - FIRST_BLOCKS + full * MOST_BLOCKS, blocks }
    }

    /// In bytes.
    fn length(self) -> usize {
        self.blocks as usize * BLOCK_SIZE
    }

    /// The offset of its end in the file.
    fn end(self) -> u64 {
        offset(self.first + self.blocks)
    }

    /// The distance of a block from the start of the window, in bytes.
    fn distance(self, block: u64) -> usize {
        (block - self.first) as usize * BLOCK_SIZE
    }
}

impl Windows {
    /// Enters the first window, which shares the mapping of the header and stays.
    pub fn set_first(&self, header: usize) {
        // Relaxed: published with the session.
        self.places[0].address.store(header + BLOCK_SIZE, Relaxed);
        self.places[0].state.store(1 << USER_BITS | 1, Relaxed);
    }

    fn place(&self, number: u64) -> &Window {
        &self.places[number as usize % PLACES]
    }

    /// Where the block with this number is mapped, for a thread that has claimed it. The file is
    /// long enough. `header` is where the file's start is mapped, [`FIRST_MAPPING`] bytes long.
    ///
    /// # Errors
    /// It cannot be mapped.
    pub fn block(&self, name: &ByName, header: usize, block: u64) -> Result<BlockMapping, Loss> {
        let window = Geometry::of_block(block);
        let within =
            |start| BlockMapping { address: start + window.distance(block), is_alone: false };
        if let Some(start) = self.use_window(window.number) {
            return Ok(within(start));
        }
        if is_confined() {
            return Err(Loss::Confined);
        }
        // Relaxed: a hint. Older windows may be gone for good.
        if window.number >= self.newest.load(Relaxed)
            && let Ok(start) = self.map_window(name, header, window)
        {
            self.reclaim(window.number);
            return Ok(within(start));
        }
        let alone = self.map(name, header, offset(block), BLOCK_SIZE);
        alone.map(|address| BlockMapping { address, is_alone: true }).map_err(|_| Loss::Mapping)
    }

    /// Maps all windows up to the one that holds this block, as far as that goes.
    pub fn map_ahead(&self, name: &ByName, header: usize, from: u64, to: u64) {
        let mut number = Geometry::of_block(from).number;
        while number <= Geometry::of_block(to).number {
            let window = Geometry::of_window(number);
            if self.use_window(number).is_none() && self.map_window(name, header, window).is_err() {
                return;
            }
            self.stop_using(number);
            number += 1;
        }
    }

    /// Where a window is mapped, whose user the caller is from here on.
    fn use_window(&self, number: u64) -> Option<usize> {
        let window = self.place(number);
        // Acquire: pairs with the Release in `map_window`.
        let mut state = window.state.load(Acquire);
        while state != SETTING && state >> USER_BITS == number + 1 {
            match window.state.compare_exchange_weak(state, state + 1, Acquire, Acquire) {
                Ok(_) => return Some(window.address.load(Relaxed)),
                Err(now) => state = now,
            }
        }
        None
    }

    /// The caller is no user of the window any more.
    fn stop_using(&self, number: u64) {
        // Release: pairs with the Acquire in `reclaim`: all writes into the window come before it
        // is unmapped.
        self.place(number).state.fetch_sub(1, Release);
    }

    /// Gives up a block of the caller's, which nobody writes to any more.
    pub fn release(&self, block: u64, address: usize) {
        let window = Geometry::of_block(block);
        let place = self.place(window.number);
        // Relaxed: if the block is in the window, the caller is a user of it, and it stays.
        let is_there = place.state.load(Relaxed) >> USER_BITS == window.number + 1;
        if is_there && place.address.load(Relaxed) + window.distance(block) == address {
            self.stop_using(window.number);
        } else if !is_confined() {
            // SAFETY: the block was mapped alone, for the caller.
            unsafe { mapping::unmap(address, BLOCK_SIZE) };
        }
    }

    /// Maps a part of the file, from the nearest page before it that is mapped, or else by its
    /// name.
    fn map(&self, name: &ByName, header: usize, from: u64, length: usize) -> Result<usize, Errno> {
        let newest = Geometry::of_window(self.newest.load(Relaxed));
        let near = (newest.end() <= from).then(|| self.use_window(newest.number)).flatten();
        let (end, behind) = match near {
            Some(start) => (start + newest.length(), from - newest.end()),
            None => (header + FIRST_MAPPING, from - FIRST_MAPPING as u64),
        };
        // SAFETY: the last page of a window that the caller uses, or of the first mapping.
        let mapped = unsafe { mapping::map_behind(end - PAGE, behind as usize + PAGE, length) };
        if near.is_some() {
            self.stop_using(newest.number);
        }
        // What emulates the kernel may refuse that, with any error.
        mapped.or_else(|errno| {
            let map = |file| mapping::map_part(file, from, length).map_err(|_| Loss::Mapping);
            name.with_file(map).map_err(|_| errno)
        })
    }

    /// Maps a window, whose user the caller is from here on; returns its address.
    #[cold]
    fn map_window(&self, name: &ByName, header: usize, window: Geometry) -> Result<usize, ()> {
        let place = self.place(window.number);
        // Relaxed: a hint; an older window may still be there.
        if place.state.load(Relaxed) != 0 {
            return Err(());
        }
        let from = offset(window.first);
        let mapped = self.map(name, header, from, window.length()).map_err(drop)?;
        // Acquire: pairs with the Release in `reclaim`.
        if place.state.compare_exchange(0, SETTING, Acquire, Relaxed).is_ok() {
            place.address.store(mapped, Relaxed);
            self.newest.fetch_max(window.number, Relaxed);
            // Release: pairs with the Acquire in `use_window`.
            place.state.store((window.number + 1) << USER_BITS | 1, Release);
            return Ok(mapped);
        }
        // SAFETY: our own mapping, which nobody has seen.
        unsafe { mapping::unmap(mapped, window.length()) };
        self.use_window(window.number).ok_or(())
    }

    /// Unmaps the windows that nobody uses, and gives back the pages of the others.
    fn reclaim(&self, newest: u64) {
        let mut all_gone = true;
        for number in self.oldest.load(Relaxed).max(1)..newest {
            all_gone &= self.reclaim_window(Geometry::of_window(number));
            if all_gone {
                self.oldest.fetch_max(number + 1, Relaxed);
            }
        }
    }

    /// Unmaps a window if nobody uses it, else gives its pages back. `true`: it is not there.
    fn reclaim_window(&self, window: Geometry) -> bool {
        let place = self.place(window.number);
        let unused = (window.number + 1) << USER_BITS;
        // Acquire: pairs with the Release in `stop_using`.
        if place.state.compare_exchange(unused, SETTING, Acquire, Relaxed).is_ok() {
            let address = place.address.swap(0, Relaxed);
            // SAFETY: nobody uses the window, and nobody can from here on.
            unsafe { mapping::unmap(address, window.length()) };
            // Release: pairs with the Acquire in `map_window`.
            place.state.store(0, Release);
            return true;
        }
        let Some(address) = self.use_window(window.number) else { return true };
        // SAFETY: shared pages of a file: they stay in the page cache and come back when they are
        // touched. The window stays mapped while this thread uses it.
        let _ =
            unsafe { memory::advise(address as *const _, window.length(), libc::MADV_DONTNEED) };
        self.stop_using(window.number);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_follow_each_other_without_gap() {
        let (mut number, mut end) = (0, 0);
        for block in 0..100_000 {
            let window = Geometry::of_block(block);
            assert!((window.first..window.first + window.blocks).contains(&block));
            if block == end {
                assert_eq!((window.number, window.first), (number, end));
                assert_eq!(window, Geometry::of_window(number));
                (number, end) = (number + 1, end + window.blocks);
            }
        }
    }
}
