//! The moments of all threads of a trace in one possible order.
//!
//! The law of the modules:
//!
//! ```text
//! address_table live_set    which addresses live
//! block_queue merge         blocks by start; the moments of all threads by time
//! search causality          the possible order closest to the times
//! ```

mod address_table;
mod block_queue;
mod causality;
mod live_set;
mod merge;
mod search;

pub use causality::Causality;
pub use live_set::{EARLY, LiveSet};
pub use merge::Merge;
