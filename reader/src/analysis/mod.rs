//! A trace in numbers, and the check that nothing in it is impossible.
//!
//! The law of the modules:
//!
//! ```text
//! names serialize     names of the format's values, also for serde
//! threads stacks      threads and call stacks in numbers
//! counts              counts events without ordering them
//! missing             what a trace does not have
//! check costs         finds impossible events; costs by call stack
//! summary             a trace in numbers
//! ```

mod check;
mod costs;
mod counts;
mod missing;
mod names;
#[cfg(feature = "serde")]
mod serialize;
mod stacks;
mod summary;
mod threads;

pub use check::{Check, Violation};
pub use costs::{Cost, Costs};
pub use missing::Missing;
pub use stacks::{StackEnd, StackSummary};
pub use summary::{Ending, Summary, ThreadSummary};

/// The names of the threads of a trace, as its blocks have them.
pub(crate) fn thread_names(trace: &crate::trace::Trace) -> rustc_hash::FxHashMap<u32, [u64; 2]> {
    trace.again(|| counts::Counts::of(trace, 1)).threads.names()
}
