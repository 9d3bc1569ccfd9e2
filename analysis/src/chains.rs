//! Chains of blocks that follow each other by reallocation.

use crate::change::{Analysis, Birth, Cause, Death, Moment};
use crate::histogram::Powers;
use crate::live::Block;

/// The effects of reallocations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chains {
    /// Reallocations that gave another address.
    pub moved: u64,
    /// Reallocations that gave the same address.
    pub in_place: u64,
    /// Bytes that had to be copied: of each that moved, the smaller of both sizes.
    pub copied_bytes: u64,
    /// Reallocations to a smaller size.
    pub shrunk: u64,
    /// Chains by their number of reallocations, as their last block has died or was left.
    pub lengths: Powers,
    /// Reallocations of the longest chain.
    pub longest: u64,
    /// The first and the last size of that.
    pub longest_sizes: (u64, u64),
}

impl Chains {
    #[inline]
    fn end(&mut self, block: &Block) {
        if block.chain != 0 {
            self.add(block);
        }
    }

    #[inline(never)]
    fn add(&mut self, block: &Block) {
        let length = u64::from(block.chain);
        self.lengths.add(length);
        if length > self.longest {
            self.longest = length;
            self.longest_sizes = (block.first_size, block.size);
        }
    }
}

impl Analysis for Chains {
    #[inline]
    fn birth(&mut self, birth: &Birth) {
        let Some(from) = birth.from else { return };
        let size = birth.block.size;
        self.shrunk += u64::from(size < from.size);
        match from.moved {
            true => {
                self.moved += 1;
                self.copied_bytes = self.copied_bytes.saturating_add(size.min(from.size));
            }
            false => self.in_place += 1,
        }
    }

    #[inline]
    fn death(&mut self, death: &Death) {
        if matches!(death.cause, Cause::Freed(_)) {
            self.end(death.block);
        }
    }

    #[inline]
    fn left(&mut self, _: &Moment, block: &Block) {
        self.end(block);
    }
}
