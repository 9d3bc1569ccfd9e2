//! A trace in numbers, and the check that nothing in it is impossible.
//!
//! The law of the modules:
//!
//! ```text
//! threads counts      the threads; counts events without ordering them
//! missing             what a trace does not have
//! names serialize     names of the format's values, also for serde
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
mod summary;
mod threads;

pub use check::{Check, Violation};
pub use costs::{Cost, Costs};
pub use missing::Missing;
pub use summary::{Ending, Summary, ThreadSummary};
