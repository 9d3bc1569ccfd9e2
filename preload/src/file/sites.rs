//! The log of call sites and modules: blocks that all threads of the process write to, each slot
//! once.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

use mallook_format::ring::{BlockCell, Opening};
use mallook_format::{BLOCK_HEADER_SIZE, Loss, PARITY_SHIFT, SLOT_SIZE, SLOTS, Slot};

use crate::host::memory::PAGE;
use crate::host::patience::Patience;

use super::blocks::TraceFile;

/// Blocks whose addresses are kept: a thread that looks at an older one has to look again.
const KEPT: usize = 4;

/// The log. All zero: no block yet.
#[repr(C)]
pub struct SiteLog {
    /// The number of the newest block + 1 in bits 32..64, 0 for none; the number of its slots that
    /// were handed out in the others.
    place: AtomicU64,
    /// Addresses of the newest blocks, each at its number modulo [`KEPT`].
    blocks: [AtomicUsize; KEPT],
    /// Their claims.
    claims: [AtomicU64; KEPT],
    /// The pages whose space is reserved: four bits for each of those blocks.
    pages: AtomicU32,
    /// 1 while a thread opens a block.
    opening: AtomicU32,
    /// Of threads with one that opens a block.
    patience: Patience,
}

const NUMBER: u32 = 32;
const PAGES: u32 = 4;

impl SiteLog {
    /// Writes this number of slots one behind the other. `opening` is what a new block begins with.
    ///
    /// # Errors
    /// There is no space for them now, or the caller is a signal handler that has interrupted the
    /// thread which makes some.
    pub fn append(
        &self,
        file: &TraceFile,
        count: usize,
        slot: impl Fn(usize) -> Slot,
        opening: impl Fn() -> Opening,
    ) -> Result<(), Loss> {
        loop {
            // Acquire: pairs with the Release in `next`: the address of the block is there.
            let place = self.place.load(Acquire);
            let (number, used) = (place >> NUMBER, place & u64::from(u32::MAX));
            if number == 0 || used + count as u64 > SLOTS as u64 {
                self.next(file, place, &opening)?;
                continue;
            }
            let index = number as usize % KEPT;
            let address = self.blocks.get(index).map_or(0, |block| block.load(Relaxed));
            // Relaxed: the address belongs to the number, if that is still the newest.
            let after = place + count as u64;
            if self.place.compare_exchange(place, after, Relaxed, Relaxed).is_ok() {
                self.reserve(file, index, address, used as usize, count)?;
                write(address, used as usize, count, slot);
                return Ok(());
            }
        }
    }

    /// Reserves what is left of the newest block, and the next ones, before a process lets us make no
    /// system calls any more.
    pub fn prepare(&self, file: &TraceFile) {
        // Acquire: as in `append`.
        let number = self.place.load(Acquire) >> NUMBER;
        let index = number as usize % KEPT;
        let address = self.blocks.get(index).map_or(0, |block| block.load(Relaxed));
        if number != 0 && self.reserve(file, index, address, 0, SLOTS).is_ok() {
            file.reserve_sites_ahead(number);
        }
    }

    /// Makes sure that slots of a block have their space.
    fn reserve(
        &self,
        file: &TraceFile,
        index: usize,
        address: usize,
        first: usize,
        count: usize,
    ) -> Result<(), Loss> {
        let offset = |slot: usize| BLOCK_HEADER_SIZE + slot * SLOT_SIZE;
        for page in offset(first) / PAGE..=(offset(first + count) - 1) / PAGE {
            let bit = 1 << (index as u32 * PAGES + page as u32);
            // Relaxed: whoever has set it has seen the space.
            if self.pages.load(Relaxed) & bit == 0 {
                file.reserve_page(address, page * PAGE)?;
                self.pages.fetch_or(bit, Relaxed);
            }
        }
        Ok(())
    }

    /// Opens the next block, unless another thread does. `place` is what the caller has seen.
    fn next(
        &self,
        file: &TraceFile,
        place: u64,
        opening: &impl Fn() -> Opening,
    ) -> Result<(), Loss> {
        // Acquire: pairs with the Release below.
        if self.opening.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
            return if self.patience.wait() { Ok(()) } else { Err(Loss::Waiting) };
        }
        let result = if self.place.load(Relaxed) >> NUMBER == place >> NUMBER {
            self.open(file, (place >> NUMBER) + 1, opening)
        } else {
            Ok(())
        };
        // Release: pairs with the Acquire above.
        self.opening.store(0, Release);
        result
    }

    fn open(
        &self,
        file: &TraceFile,
        number: u64,
        opening: &impl Fn() -> Opening,
    ) -> Result<(), Loss> {
        let index = number as usize % KEPT;
        let (Some(block), Some(claim)) = (self.blocks.get(index), self.claims.get(index)) else {
            return Err(Loss::Space);
        };
        let claimed = file.claim_sites(number - 1)?;
        let old = block.load(Relaxed);
        if old != 0 {
            file.note_closed(claim.load(Relaxed), old);
        }
        claimed.block.open(claimed.state, &opening());
        block.store(core::ptr::from_ref(claimed.block) as usize, Relaxed);
        claim.store(claimed.state.sequence, Relaxed);
        let reserved = (1 << (claimed.reserved / PAGE)) - 1;
        let shift = index as u32 * PAGES;
        self.pages.fetch_and(!(((1 << PAGES) - 1) << shift), Relaxed);
        self.pages.fetch_or(reserved << shift, Relaxed);
        // Release: pairs with the Acquire in `append`.
        self.place.store(number << NUMBER, Release);
        Ok(())
    }
}

/// Writes slots that were handed out, from this one on.
fn write(address: usize, first: usize, count: usize, slot: impl Fn(usize) -> Slot) {
    let block = block_at(address);
    let parity = block.own_state().map_or(0, |state| state.parity) << PARITY_SHIFT;
    for number in 0..count {
        if let Some(cell) = block.slot(first + number) {
            let slot = slot(number);
            cell.commit(slot.word0 | parity, slot.word1);
        }
    }
}

fn block_at(address: usize) -> &'static BlockCell {
    // SAFETY: a block that the log has opened: it stays mapped until `KEPT` newer ones were opened.
    // Blocks are atomics.
    unsafe { &*(address as *const BlockCell) }
}
