//! Allocations by size.

use rustc_hash::FxHashMap;

use crate::account::Account;
use crate::amount::Amount;
use crate::change::{Analysis, Birth, Death};
use crate::histogram::{CLASSES, class, limit};
use crate::live::Block;
use crate::peak::Peak;

/// Accounts of sizes by powers of two.
#[derive(Clone, Debug)]
pub struct Sizes {
    classes: Vec<Account>,
}

/// Numbers of births by exact size.
#[derive(Clone, Debug)]
pub struct ExactSizes {
    small: Vec<u64>,
    large: FxHashMap<u64, u64>,
    /// Births, and their bytes, of sizes beyond the bound.
    others: Amount,
}

/// Sizes below this one are counted without a hash.
const SMALL: u64 = 1 << 16;
/// Larger sizes that are told apart.
const MOST: usize = 1 << 18;

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes { classes: vec![Account::default(); CLASSES] }
    }
}

impl Default for ExactSizes {
    fn default() -> ExactSizes {
        ExactSizes {
            small: vec![0; SMALL as usize],
            large: FxHashMap::default(),
            others: Amount::default(),
        }
    }
}

impl Sizes {
    /// A block is born.
    #[inline]
    pub fn birth(&mut self, birth: &Birth, peak: &Peak) {
        let size = birth.block.size;
        self.classes[class(size)].birth(size, peak);
    }

    /// A block dies.
    #[inline]
    pub fn death(&mut self, death: &Death, is_temporary: bool, peak: &Peak) {
        self.classes[class(death.block.size)].death(death, is_temporary, peak);
    }

    /// A block is alive when its process ends.
    #[inline]
    pub fn left(&mut self, block: &Block, peak: &Peak) {
        self.classes[class(block.size)].left(block.size, peak);
    }

    /// The powers of two that have allocations: the largest size, and the account of those above the
    /// next smaller power.
    pub fn classes(&self) -> impl Iterator<Item = (u64, &Account)> {
        let accounts = self.classes.iter().enumerate();
        accounts
            .filter(|(_, account)| account.born.blocks != 0)
            .map(|(class, account)| (limit(class), account))
    }
}

impl ExactSizes {
    /// The sizes that are allocated most often, and how often, the first one most; at most `most`.
    pub fn top(&self, most: usize) -> Vec<(u64, u64)> {
        let small = (0..).zip(&self.small).map(|(size, &count)| (size, count));
        let large = self.large.iter().map(|(&size, &count)| (size, count));
        let mut all: Vec<_> = small.filter(|(_, count)| *count != 0).chain(large).collect();
        all.sort_unstable_by_key(|&(size, count)| (std::cmp::Reverse(count), size));
        all.truncate(most);
        all
    }

    /// Number of different sizes; `None` if there are too many to count.
    pub fn different(&self) -> Option<u64> {
        let small = self.small.iter().filter(|&&count| count != 0).count();
        (self.others.blocks == 0).then_some((small + self.large.len()) as u64)
    }

    #[inline]
    fn add(&mut self, size: u64) {
        match self.small.get_mut(size as usize) {
            Some(count) if size < SMALL => *count += 1,
            _ => self.add_large(size),
        }
    }

    #[inline(never)]
    fn add_large(&mut self, size: u64) {
        if let Some(count) = self.large.get_mut(&size) {
            *count += 1;
        } else if self.large.len() < MOST {
            self.large.insert(size, 1);
        } else {
            self.others.add(size);
        }
    }
}

impl Analysis for ExactSizes {
    #[inline]
    fn birth(&mut self, birth: &Birth) {
        self.add(birth.block.size);
    }
}
