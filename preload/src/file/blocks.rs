//! The open file, and the claims of its blocks.

use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

use mallook_format::ring::BlockCell;
use mallook_format::{
    BLOCK_SIZE, CURSOR_CLOSED, CURSOR_OFFSET, LiveWords, Loss, MARK_OFFSET, MARK_SIZE, MARKS, Mark,
    MarkCell, Mode, State, take_place,
};

use crate::host::memory::PAGE;

use super::growth::Growth;
use super::inherited;
use super::lap::Lap;
use super::reserve::{BY_PAGE, BlockMapping, Reserved, offset};
use super::windows::{FIRST_MAPPING, Windows};

/// Blocks for call sites that are reserved before a process confines itself: four thousand sites.
const SITES_AHEAD: u64 = 4;

/// The open file of a process, in memory that is wiped on fork: all zero while no file is open. The
/// fields are written by the thread that opens the session, and published with it.
#[repr(C)]
pub struct TraceFile {
    /// Address of the header's mapping, 0 for none.
    base: AtomicUsize,
    /// Raw [`Mode`].
    mode: AtomicU32,
    /// Largest number of blocks in full mode, without the header; 0 for no bound.
    max_blocks: AtomicU64,
    /// The blocks of a ring.
    lap: Lap,
    /// The first block behind a ring that may hold call sites, and their number.
    sites: [AtomicU64; 2],
    /// Blocks of them that were reserved before the process confined itself: the first one, and the
    /// one after the last.
    sites_ahead: [AtomicU64; 2],
    pub growth: Growth,
    pub reserved: Reserved,
    /// The mappings in full mode. Last: a process that records little touches the fields above
    /// only.
    windows: Windows,
}

/// The mode and the size of a file, as in its header.
#[derive(Clone, Copy)]
pub struct Shape {
    pub mode: Mode,
    /// Number of blocks of a ring, without the header; 0 in full mode.
    pub ring_blocks: u64,
    /// Largest number of blocks in full mode, without the header; 0 for no bound.
    pub max_blocks: u64,
    /// Number of blocks for call sites behind a ring; 0 in full mode.
    pub site_blocks: u64,
}

impl Shape {
    /// Length in bytes of the first mapping: all of a ring.
    pub fn first_mapping(&self) -> usize {
        match self.mode {
            Mode::Ring => offset(self.ring_blocks + self.site_blocks) as usize,
            Mode::Full => FIRST_MAPPING,
        }
    }

    /// The index in the file of the first block for call sites behind a ring; 0 if there is none.
    pub fn site_start(&self) -> u64 {
        if self.site_blocks == 0 { 0 } else { self.ring_blocks + 1 }
    }

    /// The largest length of the file, in bytes.
    pub fn most(&self) -> u64 {
        match (self.mode, self.max_blocks) {
            (Mode::Ring, _) => offset(self.ring_blocks + self.site_blocks),
            (Mode::Full, 0) => i64::MAX as u64,
            (Mode::Full, blocks) => offset(blocks),
        }
    }
}

/// A block that was taken for the calling thread, which has to open it.
pub struct Claimed {
    pub block: &'static BlockCell,
    pub state: State,
    /// The number of its bytes that may be written.
    pub reserved: usize,
}

/// A claim that failed.
#[derive(Clone, Copy)]
pub struct Failed {
    pub cause: Loss,
    /// The number that the thread has claimed, and for which there is no block yet: its next claim
    /// is for this one.
    pub kept: Option<u64>,
}

impl From<Loss> for Failed {
    fn from(cause: Loss) -> Failed {
        Failed { cause, kept: None }
    }
}

fn block_at(address: usize) -> &'static BlockCell {
    // SAFETY: callers have the address of a block that is mapped until its owner has closed it.
    // Blocks are atomics.
    unsafe { &*(address as *const BlockCell) }
}

impl TraceFile {
    /// Enters a file whose header is mapped here, [`Shape::first_mapping`] bytes long, for the life
    /// of the process.
    pub fn enter(&self, header: usize, shape: Shape, copies_on_write: bool) {
        self.mode.store(shape.mode as u32, Relaxed);
        self.max_blocks.store(shape.max_blocks, Relaxed);
        match shape.mode {
            Mode::Full => self.windows.set_first(header),
            Mode::Ring => self.lap.set(header, shape.ring_blocks, copies_on_write),
        }
        for (word, value) in self.sites.iter().zip([shape.site_start(), shape.site_blocks]) {
            word.store(value, Relaxed);
        }
        self.base.store(header, Relaxed);
        inherited::set_header(header);
    }

    /// How the file is filled.
    pub fn mode(&self) -> Mode {
        Mode::from_raw(self.mode.load(Relaxed)).unwrap_or(Mode::Full)
    }

    /// The changing words of the header, if there is one.
    pub fn live(&self) -> Option<&'static LiveWords> {
        // Relaxed: the stage of the session was read before, or only the counters are needed.
        let base = self.base.load(Relaxed);
        // SAFETY: `base` is the header's mapping, which stays for the life of the process.
        (base != 0).then(|| unsafe { TraceFile::live_at(base) })
    }

    /// The changing words of a header.
    ///
    /// # Safety
    /// It is mapped here, for the life of the process.
    #[inline]
    pub unsafe fn live_at(header: usize) -> &'static LiveWords {
        let words = header.wrapping_add(CURSOR_OFFSET) as *const LiveWords;
        // SAFETY: by contract; the words are atomics at a properly aligned offset of it.
        unsafe { &*words }
    }

    /// Puts a mark into the header; `false` if there is no room.
    pub fn mark(&self, mark: &Mark) -> bool {
        let (Some(live), base) = (self.live(), self.base.load(Relaxed)) else { return false };
        let start = |place: usize| MARK_OFFSET + place * MARK_SIZE;
        let reserve = |place: usize| {
            self.reserved.of_header(&self.growth.name, base, start(place), MARK_SIZE)
        };
        let Ok(Some(place)) = take_place(&live.marks, reserve) else { return false };
        // SAFETY: a place in the header's mapping, which stays for the life of the process, and has its
        // space. Marks are atomics.
        unsafe { &*((base + start(place)) as *const MarkCell) }.write(mark);
        true
    }

    /// Reserves the space of all marks, as far as that goes.
    pub fn reserve_marks(&self) {
        let base = self.base.load(Relaxed);
        if base != 0 {
            // A page that finds no space is asked for again with its first mark.
            let all = MARKS * MARK_SIZE;
            let _ = self.reserved.of_header(&self.growth.name, base, MARK_OFFSET, all);
        }
    }

    /// Claims the next block for the calling thread. `kept` is what its last claim left. `evict` is
    /// as in [`mallook_format::ring::take_next`].
    ///
    /// # Errors
    /// There is no block for it now.
    pub fn claim(&self, kept: Option<u64>, evict: impl Fn(u64) -> bool) -> Result<Claimed, Failed> {
        match self.mode() {
            Mode::Full => self.claim_next(kept),
            Mode::Ring => Ok(self.claim_free(evict)?),
        }
    }

    fn claim_next(&self, kept: Option<u64>) -> Result<Claimed, Failed> {
        let live = self.live().ok_or(Loss::Mapping)?;
        let max = self.max_blocks.load(Relaxed);
        let next = || {
            // The number alone is the entitlement; a block in full mode is used once.
            // SeqCst: as in `Growth::length`.
            let sequence = live.cursor.fetch_add(1, SeqCst) & !CURSOR_CLOSED;
            if max != 0 && sequence >= max { Err(Loss::Limit) } else { Ok(sequence) }
        };
        let sequence = kept.map_or_else(next, Ok)?;
        self.back(sequence).map_err(|cause| Failed { cause, kept: Some(sequence) })
    }

    /// The block of a claim in full mode.
    fn back(&self, sequence: u64) -> Result<Claimed, Loss> {
        self.growth.extend_to(offset(sequence + 1))?;
        let (name, header) = (&self.growth.name, self.base.load(Relaxed));
        let mapping = self.windows.block(name, header, sequence)?;
        let length = self.growth.length();
        let taken = (self.reserved.next(name, sequence, mapping, 0, length))
            .and_then(|reserved| Ok((reserved, take(mapping.address, sequence)?)));
        match taken {
            Ok((reserved, state)) => {
                Ok(Claimed { block: block_at(mapping.address), state, reserved })
            }
            Err(cause) => {
                self.windows.release(sequence, mapping.address);
                Err(cause)
            }
        }
    }

    fn claim_free(&self, evict: impl Fn(u64) -> bool) -> Result<Claimed, Loss> {
        let live = self.live().ok_or(Loss::Mapping)?;
        let (block, state) = self.lap.take(live, &self.growth.name, &self.reserved, evict)?;
        let address = core::ptr::from_ref(block) as usize;
        // The first page is there.
        let reserved = self.reserve_in_ring(address, 0).unwrap_or(PAGE);
        Ok(Claimed { block, state, reserved })
    }

    /// Claims the block with this number for call sites.
    ///
    /// # Errors
    /// There is none for it now.
    pub fn claim_sites(&self, number: u64) -> Result<Claimed, Loss> {
        if self.mode() == Mode::Full {
            return self.claim_next(None).map_err(|failed| failed.cause);
        }
        let [start, count] = [0, 1].map(|place| self.sites[place].load(Relaxed));
        if number >= count {
            return Err(Loss::Space);
        }
        let address = self.base.load(Relaxed) + offset(start - 1 + number) as usize;
        self.reserve_page(address, 0)?;
        let state = take(address, number)?;
        Ok(Claimed { block: block_at(address), state, reserved: PAGE })
    }

    /// Reserves a page of a block for call sites, at this distance from its start.
    ///
    /// # Errors
    /// There is no space.
    pub fn reserve_page(&self, address: usize, distance: usize) -> Result<(), Loss> {
        let sequence = match self.mode() {
            Mode::Full => block_at(address).own_state().map_or(0, |state| state.sequence),
            Mode::Ring => (address - self.base.load(Relaxed)) as u64 / BLOCK_SIZE as u64 - 1,
        };
        let [from, to] = [0, 1].map(|end| self.sites_ahead[end].load(Relaxed));
        if (from..to).contains(&sequence) {
            return Ok(());
        }
        self.reserved.page(&self.growth.name, sequence, address, distance).map(drop)
    }

    /// Reserves some blocks for call sites behind a ring, from this number on.
    pub fn reserve_sites_ahead(&self, number: u64) {
        if self.mode() == Mode::Full {
            return;
        }
        let [start, count] = [0, 1].map(|place| self.sites[place].load(Relaxed));
        let from = start - 1 + number;
        let to = (from + SITES_AHEAD).min(start - 1 + count);
        let pages =
            (from..to).flat_map(|block| (0..BLOCK_SIZE).step_by(PAGE).map(move |at| (block, at)));
        for (block, at) in pages {
            let address = self.base.load(Relaxed) + offset(block) as usize;
            if self.reserve_page(address, at).is_err() {
                return;
            }
        }
        self.sites_ahead[0].store(from, Relaxed);
        self.sites_ahead[1].store(to, Relaxed);
    }

    /// Reserves more of a block of a ring.
    fn reserve_in_ring(&self, address: usize, have: usize) -> Result<usize, Loss> {
        let position = (address - self.base.load(Relaxed)) / BLOCK_SIZE - 1;
        self.lap.reserve_more(&self.growth.name, &self.reserved, position as u64, address, have)
    }

    /// Reserves more of a block of the calling thread, of which this many bytes are reserved.
    /// Returns how many are now.
    ///
    /// # Errors
    /// There is no space.
    pub fn extend(&self, address: usize, have: usize) -> Result<usize, Loss> {
        if self.mode() == Mode::Ring {
            return self.reserve_in_ring(address, have);
        }
        let sequence = block_at(address).own_state().map_or(0, |state| state.sequence);
        // A block that is alone is not told from one in a window: so only its next page.
        self.reserved.page(&self.growth.name, sequence, address, have)
    }

    /// Notes that the block of this claim was closed: nobody writes there again.
    pub fn note_closed(&self, sequence: u64, address: usize) {
        if self.mode() == Mode::Full {
            self.windows.release(sequence, address);
        }
    }

    /// The length that the file has to have for the claims so far.
    fn used(&self) -> u64 {
        // SeqCst: as in `Growth::length`.
        self.live().map_or(0, |live| offset(live.cursor.load(SeqCst) & !CURSOR_CLOSED))
    }

    /// Cuts off what is not in use. Claims may follow.
    pub fn give_back(&self) {
        if self.mode() == Mode::Full {
            self.growth.give_back(|| self.used(), || self.reserved.forget_ahead());
        }
    }

    /// Makes the file this many bytes longer than it is in use, as far as that goes.
    pub fn lengthen(&self, ahead: u64) {
        if self.mode() == Mode::Full {
            self.growth.prepare(self.used(), ahead);
        }
    }

    /// Maps and reserves this many bytes ahead of the claims, as far as that goes.
    pub fn reserve_ahead(&self, ahead: u64) {
        let blocks = ahead / BLOCK_SIZE as u64;
        let (name, header) = (&self.growth.name, self.base.load(Relaxed));
        if self.mode() == Mode::Ring {
            self.lap.reserve_ahead(name, &self.reserved, blocks);
            return;
        }
        for block in 0..BY_PAGE {
            let mapping =
                BlockMapping { address: header + offset(block) as usize, is_alone: false };
            if offset(block) < self.used() {
                reserve_whole(&self.reserved, self, block, mapping, self.growth.length());
            }
        }
        self.growth.prepare(self.used(), 2 * ahead);
        let from = self.used() / BLOCK_SIZE as u64 - 1;
        let length = self.growth.length();
        let to = (from + blocks).min(length / BLOCK_SIZE as u64 - 1);
        self.windows.map_ahead(name, header, from, to);
        let mut next = from;
        while next < to {
            let Ok(mapping) = self.windows.block(name, header, next) else { break };
            let reserved = reserve_whole(&self.reserved, self, next, mapping, length);
            self.windows.release(next, mapping.address);
            if !reserved || mapping.is_alone {
                break;
            }
            next += 1;
        }
        self.reserved.set_ahead(from, next);
    }
}

/// Takes the block of a claim in full mode, where no other thread can want it.
fn take(address: usize, sequence: u64) -> Result<State, Loss> {
    block_at(address).take(sequence).map_err(|_| Loss::Mapping)
}

/// Reserves all of a block; whether that went well.
fn reserve_whole(
    reserved: &Reserved,
    file: &TraceFile,
    block: u64,
    mapping: BlockMapping,
    length: u64,
) -> bool {
    let mut have = 0;
    while have < BLOCK_SIZE {
        match reserved.next(&file.growth.name, block, mapping, have, length) {
            Ok(more) => have = more,
            Err(_) => return false,
        }
    }
    true
}
