//! The length of the file, which is ahead of its use: what is sized and not yet reserved is a hole.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::{AtomicU32, AtomicU64};

use mallook_format::{BLOCK_SIZE, Loss};

use crate::host::confined::is_confined;
use crate::host::files;
use crate::host::patience::Patience;

use super::by_name::ByName;

/// Length of a growing file at the start.
pub const FIRST_LENGTH: u64 = 1 << 20;
/// Each growth multiplies the length by this.
const FACTOR: u64 = 4;
/// The most by which a file grows in advance, and where its file system knows no holes.
const SPARSE_STEP: u64 = 1 << 30;
const DENSE_STEP: u64 = 16 << 20;

/// The length of the file, in bytes.
#[repr(C)]
pub struct Growth {
    pub name: ByName,
    /// The length. Written by the thread that has [`Growth::busy`].
    length: AtomicU64,
    /// The largest length that it may have.
    most: AtomicU64,
    /// The use from which on it is made longer in advance; later if that has failed.
    in_advance_from: AtomicU64,
    /// The length at which the last attempt of [`Growth::prepare`] has failed.
    refused_at: AtomicU64,
    /// 1 while a thread sets the length.
    busy: AtomicU32,
    /// 1: the file system knows no holes.
    dense: AtomicU32,
    /// Of threads with one that sets the length.
    patience: Patience,
}

/// The right to set the length.
struct Busy<'a>(&'a AtomicU32);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `try_busy`.
        self.0.store(0, Release);
    }
}

/// Rounds down to whole blocks.
fn whole_blocks(bytes: u64) -> u64 {
    bytes - bytes % BLOCK_SIZE as u64
}

impl Growth {
    /// Enters the length that the file was given, and the largest that it may have. `dense`: its
    /// file system knows no holes.
    pub fn set(&self, length: u64, most: u64, dense: bool) {
        // Relaxed: published with the session.
        self.most.store(whole_blocks(most), Relaxed);
        self.dense.store(dense.into(), Relaxed);
        self.in_advance_from.store(self.advance(length), Relaxed);
        self.length.store(length, Relaxed);
    }

    fn try_busy(&self) -> Option<Busy<'_>> {
        // Acquire: pairs with the Release in `drop`.
        let won = self.busy.compare_exchange(0, 1, Acquire, Relaxed).is_ok();
        won.then(|| Busy(&self.busy))
    }

    /// As `try_busy`, after waiting for a bounded time.
    fn busy(&self) -> Result<Busy<'_>, Loss> {
        loop {
            if let Some(busy) = self.try_busy() {
                return Ok(busy);
            }
            if is_confined() || !self.patience.wait() {
                return Err(Loss::Waiting);
            }
        }
    }

    /// The length now. A thread that has claimed a block sees every [`Growth::give_back`] that has
    /// not seen its claim.
    pub fn length(&self) -> u64 {
        // SeqCst: of two threads of which one claims and then looks here, and the other stores here
        // and then looks at the claims, one sees the other.
        self.length.load(SeqCst)
    }

    /// Makes sure that the file is this long.
    ///
    /// # Errors
    /// It may not or cannot be.
    pub fn extend_to(&self, end: u64) -> Result<(), Loss> {
        while end > self.length() {
            if is_confined() {
                return Err(Loss::Confined);
            }
            if end > self.most.load(Relaxed) {
                return Err(Loss::Space);
            }
            let busy = self.busy()?;
            let length = self.length();
            if end > length {
                let wanted = self.next_length(length).max(end);
                self.lengthen(&busy, wanted).or_else(|_| self.lengthen(&busy, end))?;
            }
        }
        if end > self.in_advance_from.load(Relaxed) {
            self.extend_in_advance(end);
        }
        Ok(())
    }

    /// The most by which the file grows in advance. What copies it may not know holes.
    fn step(&self) -> u64 {
        if self.dense.load(Relaxed) == 0 { SPARSE_STEP } else { DENSE_STEP }
    }

    /// The length after this one.
    fn next_length(&self, length: u64) -> u64 {
        let next = length.saturating_mul(FACTOR).max(FIRST_LENGTH);
        next.min(length.saturating_add(self.step()))
    }

    /// The use from which on a file of this length is made longer in advance.
    fn advance(&self, length: u64) -> u64 {
        length - (length / 2).min(self.step() / 2)
    }

    /// Makes the file longer before that is needed; a failure is no loss yet.
    fn extend_in_advance(&self, end: u64) {
        let Some(busy) = self.try_busy().filter(|_| !is_confined()) else { return };
        let length = self.length();
        if self.advance(length) < end && self.lengthen(&busy, self.next_length(length)).is_err() {
            // Not at each block.
            self.in_advance_from.store(end.saturating_add(end / 8), Relaxed);
        }
    }

    /// Makes the file longer by this many bytes than it is in use, or by fewer if that is refused,
    /// before it cannot be found by its name any more. Does nothing the second time.
    pub fn prepare(&self, used: u64, ahead: u64) {
        let length = self.length();
        // Half of it may have been used since the last time.
        let is_ahead = length.saturating_sub(used) >= ahead / 2;
        if is_ahead || self.dense.load(Relaxed) != 0 || self.refused_at.load(Relaxed) == length {
            return;
        }
        let mut wanted = used.saturating_add(ahead);
        let Some(busy) = self.try_busy() else { return };
        while wanted > self.length() && self.lengthen(&busy, wanted).is_err() {
            wanted = used.saturating_add(wanted.saturating_sub(used) / 2);
            if wanted.saturating_sub(used) < FIRST_LENGTH {
                self.refused_at.store(length, Relaxed);
                return;
            }
        }
    }

    /// Makes the file this long, or as long as it may be.
    fn lengthen(&self, _busy: &Busy, wanted: u64) -> Result<(), Loss> {
        let length = whole_blocks(wanted.min(self.most.load(Relaxed)));
        if length <= self.length() {
            return Err(Loss::Space);
        }
        self.name.with_file(|file| {
            // SAFETY: nothing is cut off: only the thread that is busy changes the length.
            unsafe { files::set_length(file, length) }.map_err(|_| Loss::Space)
        })?;
        self.in_advance_from.store(self.advance(length), Relaxed);
        self.length.store(length, SeqCst);
        Ok(())
    }

    /// Cuts off what is not in use. `used` says how long the file has to be. `before` is called
    /// after that and before anything is cut off.
    pub fn give_back(&self, used: impl Fn() -> u64, before: impl FnOnce()) {
        let Ok(_busy) = self.busy() else { return };
        let length = self.length();
        let expected = used();
        if expected >= length {
            return;
        }
        // A thread that claims from here on finds the file too short, and waits.
        self.length.store(expected, SeqCst);
        // Those that have claimed before are counted.
        let end = used().max(expected);
        before();
        // SAFETY: nobody uses what is behind the last claim; whoever claims now waits.
        let cut = |file| unsafe { files::set_length(file, end) }.map_err(|_| Loss::Space);
        let is_shorter = end < length && self.name.with_file(cut).is_ok();
        let now = if is_shorter { end } else { length };
        self.in_advance_from.store(self.advance(now), Relaxed);
        self.length.store(now, SeqCst);
    }
}
