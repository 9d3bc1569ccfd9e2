//! Reads mallook traces: of processes that are gone, that still run, or that were cut off, and of
//! files that somebody has damaged.
//!
//! ```no_run
//! # fn main() -> Result<(), mallook_reader::Error> {
//! let trace = mallook_reader::Trace::open("mallook.out.4711.1700000000.0".as_ref())?;
//! for event in mallook_reader::Events::of(&trace) {
//!     println!("{event:?}");
//! }
//! # Ok(()) }
//! ```
//!
//! The law of the modules, each of which uses only those above it:
//!
//! ```text
//! error  source      bytes: a slice, or a mapped file that may be changing
//! trace  index       header, damage; where the blocks are
//! decode             slots of a block to moments
//! clock              ticks to Unix time
//! addresses  heap    which addresses live
//! upcoming  merge    blocks by time; the moments of all threads in one order
//! order  settle      order between threads repaired by causality
//! event  events      moments to calls: reallocations paired
//! ahead  tree        decoding on another thread; the events of several processes in one order
//! check              whether any of it is impossible
//! tally  summary     what is in a trace; what --info says of it
//! follow             a trace that is being written
//! filter  render     what is wanted, and how it looks
//! ```
//!
//! Nothing here panics on any input, and memory is bounded by the number of blocks of the file and
//! by the number of blocks of memory that the traced process had at once, or, of rings, forked children
//! and checks, ever had.

mod addresses;
mod ahead;
mod check;
mod clock;
mod decode;
mod error;
mod event;
mod events;
mod filter;
mod follow;
mod heap;
mod index;
mod merge;
mod order;
pub mod render;
mod settle;
mod source;
mod summary;
mod tally;
mod trace;
mod tree;
mod upcoming;

pub use check::{Check, Violation};
pub use clock::ClockMap;
pub use error::{Damage, Error};
pub use event::{Call, Event, What};
pub use events::Events;
pub use filter::Filter;
pub use follow::follow;
pub use index::{Block, Blocks};
pub use source::Source;
pub use summary::{Ending, Summary};
pub use trace::Trace;
pub use tree::Tree;
