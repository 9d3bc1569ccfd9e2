//! The blocks of a ring: all are mapped, and their space is reserved as the first lap comes to
//! them. If the space ends there, the ring is that much smaller from then on.

use core::cell::Cell;
use core::mem::offset_of;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

use mallook_format::ring::{self, BlockCell};
use mallook_format::{BLOCK_SIZE, CURSOR_CLOSED, FileHeader, LiveWords, Loss, State};

use super::by_name::ByName;
use super::reserve::{BY_PAGE, GROUP, Reserved, offset};

/// The first lap. All zero for no ring.
#[repr(C)]
pub struct Lap {
    /// Address of the header's mapping.
    header: AtomicUsize,
    /// Number of blocks that are mapped, without the header.
    mapped: AtomicU64,
    /// 1: what overwrites a page may take new space.
    copies_on_write: AtomicU32,
    /// Number of blocks whose space is reserved, from the first on, in bits 1..64; bit 0: there
    /// will be no more, and this is the size of the ring. A claim below the number has the block
    /// with its own number, whatever the size is.
    extent: AtomicU64,
}

const FINAL: u64 = 1;

impl Lap {
    /// Enters a ring.
    pub fn set(&self, header: usize, blocks: u64, copies_on_write: bool) {
        // Relaxed: published with the session.
        self.copies_on_write.store(copies_on_write.into(), Relaxed);
        self.header.store(header, Relaxed);
        self.mapped.store(blocks, Relaxed);
    }

    /// Takes the next free block. `evict` is as in [`ring::take_next`].
    ///
    /// # Errors
    /// Every block is in use, or there is no space for the first one.
    pub fn take(
        &self,
        live: &LiveWords,
        name: &ByName,
        reserved: &Reserved,
        evict: impl Fn(u64) -> bool,
    ) -> Result<(&'static BlockCell, State), Loss> {
        let cause = Cell::new(Loss::Busy);
        let block = |sequence: u64| {
            if cause.get() != Loss::Busy {
                return None;
            }
            let sequence = sequence & !CURSOR_CLOSED;
            let position = self.position(name, reserved, sequence);
            let there = position.and_then(|position| {
                // Before anything is written there once more.
                if position != sequence && self.copies_on_write.load(Relaxed) != 0 {
                    reserved.again(self.address(position))?;
                }
                Ok(position)
            });
            there.inspect_err(|&c| cause.set(c)).ok().map(|position| self.block(position))
        };
        let tries = self.mapped.load(Relaxed).saturating_mul(2);
        ring::take_next(&live.cursor, tries, block, evict).ok_or(cause.get())
    }

    fn address(&self, position: u64) -> usize {
        self.header.load(Relaxed) + (position as usize + 1) * BLOCK_SIZE
    }

    fn block(&self, position: u64) -> &'static BlockCell {
        // SAFETY: all blocks of a ring are mapped with the header, for the life of the process;
        // blocks are atomics.
        unsafe { &*(self.address(position) as *const BlockCell) }
    }

    /// The position of a claim's block, with space for its first page.
    fn position(&self, name: &ByName, reserved: &Reserved, sequence: u64) -> Result<u64, Loss> {
        loop {
            // Acquire: pairs with the Release in `advance`.
            let extent = self.extent.load(Acquire);
            let blocks = extent >> 1;
            if sequence < blocks {
                return Ok(sequence);
            }
            if extent & FINAL != 0 {
                return sequence.checked_rem(blocks).ok_or(Loss::Space);
            }
            self.advance(name, reserved, extent)?;
        }
    }

    /// Reserves the next blocks, or ends the lap where there is no space.
    fn advance(&self, name: &ByName, reserved: &Reserved, extent: u64) -> Result<(), Loss> {
        let (blocks, mapped) = (extent >> 1, self.mapped.load(Relaxed));
        let address = self.address(blocks);
        let (next, result) = if blocks < BY_PAGE {
            (blocks + 1, reserved.page(name, blocks, address, 0).map(drop))
        } else {
            let end = offset(mapped);
            ((blocks + GROUP).min(mapped), reserved.group(name, blocks / GROUP, address, end))
        };
        let now = match result {
            Ok(()) => next << 1 | if next == mapped { FINAL } else { 0 },
            // Without a single block it is no ring.
            Err(Loss::Space | Loss::Confined) if blocks != 0 => extent | FINAL,
            Err(cause) => return Err(cause),
        };
        // Release: pairs with the Acquire in `position`: the space is there. The exchange fails if
        // another thread has reserved these blocks, or ended the lap.
        let won = self.extent.compare_exchange(extent, now, Release, Relaxed).is_ok();
        if won && now & FINAL != 0 && now >> 1 != mapped {
            self.announce(now >> 1);
        }
        Ok(())
    }

    /// Writes the size of the ring into the header.
    fn announce(&self, blocks: u64) {
        let place = self.header.load(Relaxed) + offset_of!(FileHeader, ring_blocks);
        // SAFETY: a word of the header's mapping, aligned, which nobody else writes any more.
        let word = unsafe { AtomicU64::from_ptr(place as *mut u64) };
        word.store(blocks, Relaxed);
    }

    /// Reserves more of a taken block, of which this many bytes are reserved; returns how many are
    /// now.
    ///
    /// # Errors
    /// There is no space.
    pub fn reserve_more(
        &self,
        name: &ByName,
        reserved: &Reserved,
        position: u64,
        address: usize,
        have: usize,
    ) -> Result<usize, Loss> {
        if position < BY_PAGE {
            reserved.page(name, position, address, have)
        } else {
            Ok(BLOCK_SIZE)
        }
    }

    /// Reserves this many blocks ahead of the lap, and what is missing of the first ones.
    pub fn reserve_ahead(&self, name: &ByName, reserved: &Reserved, blocks: u64) {
        let wanted = (self.extent.load(Relaxed) >> 1) + blocks;
        loop {
            let extent = self.extent.load(Acquire);
            if extent & FINAL != 0 || extent >> 1 >= wanted {
                break;
            }
            if self.advance(name, reserved, extent).is_err() {
                break;
            }
        }
        for position in 0..BY_PAGE.min(self.extent.load(Relaxed) >> 1) {
            let mut have = 0;
            while have < BLOCK_SIZE
                && let Ok(more) = reserved.page(name, position, self.address(position), have)
            {
                have = more;
            }
        }
    }
}
