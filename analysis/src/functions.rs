//! Calls by function, with their failures, and the alignments that they asked for.

use mallook_reader::{Call, Kind};

use crate::amount::Amount;
use crate::change::{Analysis, Birth, Moment};

/// The calls of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// All calls, those that released `NULL`, failed or never ended included.
    pub calls: u64,
    /// Calls that failed.
    pub failed: u64,
    /// The largest size that failed, in bytes.
    pub largest_failed: u64,
    /// Blocks that it made.
    pub born: Amount,
}

/// Calls by function, and alignments.
#[derive(Clone, Debug)]
pub struct Functions {
    functions: [Calls; KINDS],
    /// Blocks whose call asked for an alignment, by its power of two.
    alignments: [Amount; 64],
    /// The same of those that were no powers of two.
    odd: Amount,
}

/// Numbers that kinds of calls have.
const KINDS: usize = Kind::Start as usize;

impl Default for Functions {
    fn default() -> Functions {
        Functions {
            functions: [Calls::default(); KINDS],
            alignments: [Amount::default(); 64],
            odd: Amount::default(),
        }
    }
}

impl Functions {
    /// The functions that were called.
    pub fn called(&self) -> impl Iterator<Item = (Kind, &Calls)> {
        let all = self.functions.iter().enumerate().filter(|(_, function)| function.calls != 0);
        all.filter_map(|(number, function)| Some((Kind::from_raw(number as u8)?, function)))
    }

    /// The alignments in bytes that were asked for.
    pub fn alignments(&self) -> impl Iterator<Item = (u64, Amount)> {
        let all = self.alignments.iter().enumerate().filter(|(_, amount)| amount.blocks != 0);
        all.map(|(power, &amount)| (1 << power, amount))
    }

    /// Blocks whose call asked for an alignment that is no power of two.
    pub fn odd_alignments(&self) -> Amount {
        self.odd
    }

    #[inline(never)]
    fn align(&mut self, alignment: u64, size: u64) {
        match alignment.is_power_of_two() {
            true => self.alignments[alignment.trailing_zeros() as usize].add(size),
            false => self.odd.add(size),
        }
    }
}

impl Analysis for Functions {
    #[inline]
    fn call(&mut self, _: &Moment, call: &Call) {
        if let Some(function) = self.functions.get_mut(call.kind as usize) {
            function.calls += 1;
        }
    }

    #[inline]
    fn birth(&mut self, birth: &Birth) {
        let size = birth.block.size;
        if let Some(function) = self.functions.get_mut(birth.call.kind as usize) {
            function.born.add(size);
        }
        if let Some(alignment) = birth.call.alignment() {
            self.align(alignment, size);
        }
    }

    #[inline]
    fn failure(&mut self, _: &Moment, call: &Call) {
        if let Some(function) = self.functions.get_mut(call.kind as usize) {
            function.failed += 1;
            function.largest_failed = function.largest_failed.max(call.size().unwrap_or(0));
        }
    }
}
