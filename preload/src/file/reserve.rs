//! The space of blocks, which is reserved before they are written: a full disk ends in a count and
//! not in SIGBUS.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU32, AtomicU64};

use mallook_format::{BLOCK_SIZE, Loss};

use crate::host::confined::is_confined;
use crate::host::files;
use crate::host::memory::{self, PAGE};
use crate::host::syscall::Errno;

use super::by_name::ByName;

/// Blocks whose space is reserved page by page, so that a short process takes little: 64 KiB.
pub const BY_PAGE: u64 = 4;
/// Blocks whose space is reserved at once, after those: 64 KiB.
pub const GROUP: u64 = 4;
/// Groups that are remembered.
const GROUPS: usize = 64;

const HEADER_PAGES: usize = BLOCK_SIZE / PAGE;
const PAGES: u64 = HEADER_PAGES as u64;
const _: () = assert!(BY_PAGE * PAGES <= 64, "a bit for each page");

/// The space known to be reserved. All zero: none.
#[repr(C)]
pub struct Reserved {
    /// A bit for each page of the first [`BY_PAGE`] blocks.
    pages: AtomicU64,
    /// The kernel does not populate (before Linux 5.14): space is allocated by the file's name.
    by_name: AtomicU32,
    /// A bit for each page of the header that was reserved after the first one.
    header_pages: AtomicU32,
    /// How often space was given back: what was reserved ahead of the claims is gone since.
    given_back: AtomicU32,
    /// The blocks that were reserved before the process confined itself: the first one, and the one
    /// after the last.
    ahead: [AtomicU64; 2],
    /// Groups, each at its number modulo [`GROUPS`]: number + 1 in bits 32..64, `given_back` in the
    /// others.
    groups: [AtomicU64; GROUPS],
}

/// Where a block is mapped.
#[derive(Clone, Copy)]
pub struct BlockMapping {
    pub address: usize,
    /// The block is mapped alone, without the rest of its group.
    pub is_alone: bool,
}

/// The offset of a block in the file, in bytes.
pub fn offset(block: u64) -> u64 {
    (block + 1) * BLOCK_SIZE as u64
}

impl Reserved {
    /// Reserves a part of the file, which is mapped at this address.
    ///
    /// # Errors
    /// There is no space, or no memory for the pages.
    fn part(&self, name: &ByName, address: usize, offset: u64, length: usize) -> Result<(), Loss> {
        if is_confined() {
            return Err(Loss::Confined);
        }
        if self.by_name.load(Relaxed) == 0 {
            match memory::populate(address, length) {
                Ok(()) => return Ok(()),
                Err(Errno(libc::EINVAL | libc::ENOSYS | libc::EPERM)) => {
                    self.by_name.store(1, Relaxed);
                }
                Err(Errno(libc::ENOMEM | libc::EAGAIN)) => return Err(Loss::Mapping),
                Err(_) => return Err(Loss::Space),
            }
        }
        name.with_file(|file| files::allocate(file, offset, length as u64).map_err(|_| Loss::Space))
    }

    /// Reserves the header's page.
    ///
    /// # Errors
    /// As [`Reserved::next`].
    pub fn header(&self, address: usize, file: files::Fd) -> Result<(), Errno> {
        match memory::populate(address, PAGE) {
            Err(Errno(libc::EINVAL | libc::ENOSYS | libc::EPERM)) => {
                self.by_name.store(1, Relaxed);
                files::allocate(file, 0, PAGE as u64)
            }
            Err(Errno(libc::EFAULT)) => Err(Errno(libc::ENOSPC)),
            result => result,
        }
    }

    /// Reserves the pages of a part of the header, which is mapped at this address.
    ///
    /// # Errors
    /// As [`Reserved::next`].
    pub fn of_header(
        &self,
        name: &ByName,
        address: usize,
        start: usize,
        length: usize,
    ) -> Result<(), Loss> {
        let bit = |page: usize| 1u32 << (page % HEADER_PAGES);
        let (first, end) = (start / PAGE, (start + length).div_ceil(PAGE));
        for page in first.max(1)..end {
            // Relaxed: a hint that the page is there; the kernel has it.
            if self.header_pages.load(Relaxed) & bit(page) == 0 {
                self.part(name, address + page * PAGE, (page * PAGE) as u64, PAGE)?;
                self.header_pages.fetch_or(bit(page), Relaxed);
            }
        }
        Ok(())
    }

    /// Reserves space of a block, `have` bytes of which are reserved; at least one page, and all of
    /// it if that is cheap. `length` is that of the file. Returns the number of bytes that are
    /// reserved now.
    ///
    /// # Errors
    /// There is no space, or no memory for the pages.
    pub fn next(
        &self,
        name: &ByName,
        block: u64,
        mapping: BlockMapping,
        have: usize,
        length: u64,
    ) -> Result<usize, Loss> {
        if block < BY_PAGE {
            return self.page(name, block, mapping.address, have);
        }
        let group = block / GROUP;
        if self.has_group(group) || self.is_ahead(block) {
            return Ok(BLOCK_SIZE);
        }
        let all = match have {
            // Threads that take others of the group meanwhile would wait for each other's pages.
            0 if block.is_multiple_of(GROUP) && !mapping.is_alone => {
                self.group(name, group, mapping.address, length)
            }
            0 => self.part(name, mapping.address, offset(block), BLOCK_SIZE),
            _ => Err(Loss::Space),
        };
        all.map(|()| BLOCK_SIZE).or_else(|_| self.page(name, block, mapping.address, have))
    }

    /// Reserves the next page of a block, and those after it that are reserved already.
    ///
    /// # Errors
    /// As [`Reserved::next`].
    pub fn page(
        &self,
        name: &ByName,
        block: u64,
        address: usize,
        have: usize,
    ) -> Result<usize, Loss> {
        let bit = |bytes: usize| match block < BY_PAGE {
            true => 1 << (block * PAGES + (bytes / PAGE) as u64),
            false => 0,
        };
        let mut end = have;
        // Relaxed: the pages are reserved by the time that a thread has claimed the block again.
        while end < BLOCK_SIZE && self.pages.load(Relaxed) & bit(end) != 0 {
            end += PAGE;
        }
        if end == have && end < BLOCK_SIZE {
            self.part(name, address + end, offset(block) + end as u64, PAGE)?;
            self.pages.fetch_or(bit(end), Relaxed);
            end += PAGE;
        }
        Ok(end)
    }

    /// Reserves a group, whose first block is mapped at this address.
    ///
    /// # Errors
    /// As [`Reserved::next`].
    pub fn group(&self, name: &ByName, group: u64, start: usize, length: u64) -> Result<(), Loss> {
        // Acquire: pairs with the Release in `forget_ahead`: what is reserved from here on is not
        // cut off by that.
        let given_back = self.given_back.load(Acquire);
        let first = offset(group * GROUP);
        let bytes = (length.saturating_sub(first) as usize).min(GROUP as usize * BLOCK_SIZE);
        self.part(name, start, first, bytes)?;
        if let Some(place) = self.groups.get(group as usize % GROUPS) {
            // Relaxed: a hint that the pages are there; the kernel has them.
            place.store((group + 1) << 32 | u64::from(given_back), Relaxed);
        }
        Ok(())
    }

    fn has_group(&self, group: u64) -> bool {
        let given_back = u64::from(self.given_back.load(Relaxed));
        let place = self.groups.get(group as usize % GROUPS);
        place.is_some_and(|place| place.load(Relaxed) == (group + 1) << 32 | given_back)
    }

    fn is_ahead(&self, block: u64) -> bool {
        let [from, to] = [0, 1].map(|end| self.ahead[end].load(Relaxed));
        (from..to).contains(&block)
    }

    /// Notes blocks that were reserved before the process confined itself.
    pub fn set_ahead(&self, from: u64, to: u64) {
        self.ahead[0].store(from, Relaxed);
        self.ahead[1].store(to, Relaxed);
    }

    /// The space reserved ahead of the claims is about to be given back.
    pub fn forget_ahead(&self) {
        // Release: pairs with the Acquire in `group`.
        self.given_back.fetch_add(1, Release);
    }

    /// Reserves all of a block again that was reserved before, where overwriting takes new space.
    ///
    /// # Errors
    /// As [`Reserved::next`].
    pub fn again(&self, address: usize) -> Result<(), Loss> {
        if is_confined() || self.by_name.load(Relaxed) != 0 {
            return Ok(());
        }
        memory::populate(address, BLOCK_SIZE).map_err(|_| Loss::Space)
    }
}
