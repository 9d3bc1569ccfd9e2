//! Writes traces: a time range of one, several in one file, or one as it is now.
//!
//! The law of the modules:
//!
//! ```text
//! block               one block of events, slot by slot
//! writer              a trace: blocks, call sites, header
//! before              the moments kept from the time before a range
//! said                the pauses and marks in the header of a copy
//! cut merge snapshot  a time range; several traces in one file; a trace that is being written
//! ```

mod before;
mod block;
mod cut;
mod merge;
mod said;
mod snapshot;
mod writer;

pub use cut::Cut;
pub use merge::merge;
pub use snapshot::{Snapshot, snapshot};
