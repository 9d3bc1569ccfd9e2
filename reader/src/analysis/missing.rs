//! Events of a process that its trace does not have.

use std::fmt;

use mallook_format::Loss;

use super::counts::Counts;
use crate::event::Grouped;
use crate::trace::Trace;

/// Call moments that are missing from a trace.
///
/// ```
/// use mallook_reader::{Missing, Trace};
///
/// # fn main() -> Result<(), mallook_reader::Error> {
/// let trace = Trace::open("../tests/golden/v1.trace".as_ref())?;
/// assert_eq!(Missing::of(&trace), None);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Call moments that the process has made so far.
    pub all: u64,
    /// Those that newer ones have overwritten.
    pub overwritten: u64,
    /// Those that could not be recorded, by cause.
    pub lost: Vec<(Loss, u64)>,
}

impl Missing {
    /// The missing call moments; `None` if there are none.
    pub fn of(trace: &Trace) -> Option<Missing> {
        let lost = lost(trace);
        if lost.is_empty() && trace.ring_blocks().is_none() && trace.cut().is_none() {
            return None;
        }
        let counts = trace.again(|| Counts::of(trace, 1));
        Missing { all: counts.present, overwritten: counts.overwritten, lost }.completed()
    }

    /// With what is missing counted to what is there.
    pub(super) fn completed(mut self) -> Option<Missing> {
        self.all = self.all.saturating_add(self.count());
        (self.count() != 0).then_some(self)
    }

    /// Number of call moments that are missing.
    pub fn count(&self) -> u64 {
        let lost = self.lost.iter().map(|&(_, count)| count);
        lost.fold(self.overwritten, u64::saturating_add)
    }
}

/// The call moments that could not be recorded, by cause.
pub(super) fn lost(trace: &Trace) -> Vec<(Loss, u64)> {
    trace.lost().filter(|&(_, count)| count != 0).collect()
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, all) = (Grouped(self.count()), Grouped(self.all));
        write!(f, "{count} of {all} events are missing: ")?;
        let mut separator = "";
        if self.overwritten != 0 {
            write!(f, "{} overwritten by newer ones", Grouped(self.overwritten))?;
            separator = "; ";
        }
        for (cause, count) in &self.lost {
            write!(f, "{separator}{} lost, {}", Grouped(*count), cause.describe())?;
            separator = "; ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_says_how_many_and_why() {
        let missing = |overwritten, lost: &[(Loss, u64)]| {
            Missing { all: 10_000, overwritten, lost: lost.to_vec() }.completed()
        };
        assert_eq!(missing(0, &[]), None);
        assert_eq!(
            missing(1234, &[]).unwrap().to_string(),
            "1,234 of 11,234 events are missing: 1,234 overwritten by newer ones"
        );
        assert_eq!(
            missing(1, &[(Loss::Space, 2), (Loss::Limit, u64::MAX)]).unwrap().to_string(),
            "18,446,744,073,709,551,615 of 18,446,744,073,709,551,615 events are missing: \
             1 overwritten by newer ones; 2 lost, no space for the file to grow; \
             18,446,744,073,709,551,615 lost, MALLOOK_MAX reached"
        );
    }
}
