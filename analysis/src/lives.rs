//! Sizes and lifetimes together, by the time of birth.

use crate::amount::Amount;
use crate::change::{Cause, Death};
use crate::histogram::{CLASSES, class, digits, limit};
use crate::live::Block;
use crate::peak::Peak;
use crate::slices::MOST;

/// Decades of lifetimes in nanoseconds, and the blocks that were never freed.
const COLUMNS: usize = 22;
const NEVER: usize = COLUMNS - 1;

/// Blocks of a class of sizes whose lifetimes have the same number of decimal digits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lives {
    /// Their share of the peak, if that is `change`.
    then: Amount,
    change: u64,
    /// Births, by slices of time.
    pub born: Vec<Amount>,
}

impl Lives {
    /// Their share of the peak.
    pub fn at_peak(&self, peak: &Peak) -> Amount {
        if self.change == peak.change() { self.then } else { Amount::default() }
    }
}

/// Sizes by powers of two, lifetimes by powers of ten: who has died, or was never freed.
#[derive(Clone, Debug)]
pub struct SizesOfLives {
    start_ns: u64,
    shift: u32,
    lives: Vec<Lives>,
}

impl SizesOfLives {
    /// Slices of time start with this Unix time in nanoseconds, as [`Slices`](crate::Slices) do.
    pub fn new(start_ns: u64) -> SizesOfLives {
        SizesOfLives { start_ns, shift: 10, lives: vec![Lives::default(); CLASSES * COLUMNS] }
    }

    /// The width of a slice in nanoseconds.
    pub fn width_ns(&self) -> u64 {
        1 << self.shift
    }

    /// The largest size, the number of decimal digits of the lifetime in nanoseconds, `None` of those that
    /// were never freed, and the blocks. Blocks of which there are none are left out.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Option<u32>, &Lives)> {
        let all = self.lives.iter().enumerate().filter(|(_, lives)| !lives.born.is_empty());
        all.map(|(place, lives)| {
            let column = place % COLUMNS;
            let digits = (column != NEVER).then_some(column as u32);
            (limit(place / COLUMNS), digits, lives)
        })
    }

    /// A block has died.
    #[inline]
    pub fn death(&mut self, death: &Death, peak: &Peak) {
        let column = match death.cause {
            Cause::Replaced => NEVER,
            Cause::Freed(_) | Cause::Grown => digits(death.age_ns()).min(NEVER - 1),
        };
        self.add(death.block, column, peak);
    }

    /// A block is alive when its process ends.
    pub fn left(&mut self, block: &Block, peak: &Peak) {
        self.add(block, NEVER, peak);
    }

    #[inline]
    fn add(&mut self, block: &Block, column: usize, peak: &Peak) {
        let since_ns = block.birth_ns.saturating_sub(self.start_ns);
        while since_ns >> self.shift >= MOST as u64 {
            self.widen();
        }
        let slice = (since_ns >> self.shift) as usize;
        let lives = &mut self.lives[class(block.size) * COLUMNS + column];
        if lives.born.len() <= slice {
            lives.born.resize(slice + 1, Amount::default());
        }
        lives.born[slice].add(block.size);
        if lives.change != peak.change() {
            (lives.then, lives.change) = (Amount::default(), peak.change());
        }
        // Blocks that die later, and were born at the peak or before it.
        if block.birth_ns <= peak.time_ns {
            lives.then.add(block.size);
        }
    }

    #[cold]
    fn widen(&mut self) {
        self.shift += 1;
        for lives in &mut self.lives {
            let pairs = lives.born.chunks(2);
            let sum =
                |pair: &[Amount]| pair.iter().fold(Amount::default(), |sum, it| sum.plus(*it));
            lives.born = pairs.map(sum).collect();
        }
    }

    /// Joins slices until they have this width at least.
    pub fn widen_to(&mut self, width_ns: u64) {
        while self.width_ns() < width_ns {
            self.widen();
        }
    }
}
