//! How long blocks live.

use crate::change::{Analysis, Cause, Death};
use crate::histogram::{Powers, Quantiles};

/// Lifetimes of the blocks that have died, by time and by the births in between.
#[derive(Clone, Debug, Default)]
pub struct Lifetimes {
    /// In nanoseconds.
    pub time: Quantiles,
    /// By the number of births of the process in between.
    pub births: Powers,
}

impl Analysis for Lifetimes {
    #[inline]
    fn death(&mut self, death: &Death) {
        if death.cause != Cause::Replaced {
            self.time.add(death.age_ns());
            self.births.add(death.births);
        }
    }
}
