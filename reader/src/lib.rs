//! Reads mallook traces: of processes that are gone, that still run, or that were killed, and files
//! that are damaged.
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
//! The law of the modules: each uses only modules of rows above its own and those to its left.
//!
//! ```text
//! error source        why a file cannot be read; bytes, also of a file that is changing
//! trace               header, blocks, clock, damage
//! decode              slots of a block to moments
//! order               the moments of all threads in one possible order
//! event               events of one process, of several, of a running one; filter
//! analysis            summary, check
//! export              output formats
//! ```
//!
//! Nothing here panics on any input, and memory is bounded by the number of blocks of the file and
//! by the number of blocks of memory that the traced process had at once, or, of rings, forked children
//! and checks, ever had.

mod analysis;
mod decode;
mod error;
mod event;
pub mod export;
mod order;
mod source;
mod trace;

pub use analysis::{Check, Ending, Summary, ThreadSummary, Violation};
pub use error::Error;
pub use event::{Call, Event, EventKind, Events, Filter, MergedEvents, follow};
pub use mallook_format::{Clock, FileHeader, HeaderError, Kind, Loss, Mode};
pub use source::{Mapped, Source};
pub use trace::{Block, Blocks, ClockMap, Damage, DamageKind, Trace};
