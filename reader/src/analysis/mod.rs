//! A trace in numbers, and the check that nothing in it is impossible.
//!
//! The law of the modules:
//!
//! ```text
//! counts              counts events without ordering them
//! names serialize     names of the format's values, also for serde
//! summary             a trace in numbers
//! check               finds impossible events
//! ```

mod check;
mod counts;
mod names;
#[cfg(feature = "serde")]
mod serialize;
mod summary;

pub use check::{Check, Violation};
pub use summary::{Ending, Summary, ThreadSummary};
