//! The figures of a process, and of all of them.

use mallook_reader::Call;

use crate::amount::Amount;
use crate::change::{Analysis, Birth, Cause, Death, Moment};
use crate::live::Block;
use crate::peak::Peak;

/// The figures of a process, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Births, and the sum of their sizes. A reallocation is one birth.
    pub born: Amount,
    /// Blocks that were freed, without those that were reallocated.
    pub freed: u64,
    /// Allocations that failed.
    pub failed: u64,
    /// Deaths of blocks whose birth is not in the trace.
    pub unknown_deaths: u64,
    /// Blocks whose death is not in the trace: their address was given out again.
    pub replaced: u64,
    /// Blocks that their thread has freed with at most `threshold` other births of it in between.
    pub temporary: u64,
    /// Blocks that were reallocated.
    pub grown: u64,
    /// Deaths in another thread than that of the birth.
    pub crossed: u64,
    /// The live memory, its peak, and the time of the peak.
    pub peak: Peak,
    /// The live memory when the process ended.
    pub at_end: Amount,
}

/// The figures of all processes together, and of each.
///
/// The peak of all is that of the sum: of what lived at the same moment in the processes that had not
/// ended.
#[derive(Clone, Debug)]
pub struct Totals {
    threshold: u64,
    all: Sums,
    /// Of each trace, if there are several.
    processes: Vec<Sums>,
}

impl Totals {
    /// No figures yet, of `traces` traces. `threshold`: other births of its thread during the life of a
    /// block that is temporary, at the most.
    pub fn new(traces: usize, threshold: u64) -> Totals {
        let processes = if traces > 1 { vec![Sums::default(); traces] } else { Vec::new() };
        Totals { threshold, all: Sums::default(), processes }
    }

    /// One more trace comes, after `others` others.
    pub fn add_trace(&mut self, others: usize) {
        if others == 0 {
            return;
        }
        if self.processes.is_empty() {
            // What all did is what the first one did.
            self.processes = vec![self.all];
        }
        self.processes.resize(others + 1, Sums::default());
    }

    /// Other births of its thread during the life of a block that is temporary, at the most.
    pub fn threshold(&self) -> u64 {
        self.threshold
    }

    /// The figures of all.
    pub fn all(&self) -> &Sums {
        &self.all
    }

    /// The figures of the trace at this position.
    pub fn of(&self, trace: u32) -> &Sums {
        self.processes.get(trace as usize).unwrap_or(&self.all)
    }

    /// The live memory and the peak of all.
    #[inline]
    pub fn peak(&self) -> &Peak {
        &self.all.peak
    }

    #[inline]
    fn each(&mut self, trace: u32, change: impl Fn(&mut Sums)) {
        change(&mut self.all);
        if let Some(process) = self.processes.get_mut(trace as usize) {
            change(process);
        }
    }

    /// A block dies, of which it is known whether it is temporary.
    #[inline]
    pub(crate) fn has_died(&mut self, death: &Death, is_temporary: bool) {
        self.each(death.at.trace, |sums| {
            sums.peak.death(death.block.size);
            match death.cause {
                Cause::Freed(_) => sums.freed += 1,
                Cause::Grown => sums.grown += 1,
                Cause::Replaced => {
                    sums.replaced += 1;
                    return;
                }
            }
            sums.temporary += u64::from(is_temporary);
            sums.crossed += u64::from(death.is_crossed());
        });
    }
}

impl Analysis for Totals {
    #[inline]
    fn birth(&mut self, birth: &Birth) {
        self.each(birth.at.trace, |sums| {
            sums.born.add(birth.block.size);
            sums.peak.birth(birth.block.size, birth.at.time_ns);
            if birth.from.is_some_and(|from| from.was_replaced) {
                sums.replaced = sums.replaced.saturating_sub(1);
                sums.grown += 1;
            }
        });
    }

    #[inline]
    fn death(&mut self, death: &Death) {
        self.has_died(death, death.is_temporary(self.threshold));
    }

    #[inline]
    fn failure(&mut self, at: &Moment, _: &Call) {
        self.each(at.trace, |sums| sums.failed += 1);
    }

    #[inline]
    fn unknown_death(&mut self, at: &Moment, _: u64) {
        self.each(at.trace, |sums| sums.unknown_deaths += 1);
    }

    #[inline]
    fn left(&mut self, at: &Moment, block: &Block) {
        self.each(at.trace, |sums| {
            sums.peak.death(block.size);
            sums.at_end.add(block.size);
        });
    }
}
