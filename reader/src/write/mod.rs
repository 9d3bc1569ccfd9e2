//! Writes traces: a time range of one, or several in one file.
//!
//! The law of the modules:
//!
//! ```text
//! block               one block of events, slot by slot
//! writer              a trace: blocks, call sites, header
//! before              what is kept of the time before a range
//! cut merge           a time range; several traces in one file
//! ```

mod before;
mod block;
mod cut;
mod merge;
mod writer;

pub use cut::Cut;
pub use merge::merge;
