//! Reads mallook traces: of processes that are gone, that still run, or that were killed, and files
//! that are damaged.
//!
//! How often a program allocates each size:
//!
//! ```
//! use std::collections::BTreeMap;
//! use mallook_reader::{EventKind, Events, Trace};
//!
//! # fn main() -> Result<(), mallook_reader::Error> {
//! let trace = Trace::open("../tests/golden/v1.trace".as_ref())?;
//! let mut sizes = BTreeMap::<u64, u64>::new();
//! for event in Events::of(&trace) {
//!     if let EventKind::Call(call) = event.kind
//!         && call.kind.is_birth()
//!     {
//!         *sizes.entry(call.size().unwrap_or(0)).or_default() += 1;
//!     }
//! }
//! assert_eq!(sizes[&10_093], 1);
//! assert_eq!(sizes.values().sum::<u64>(), 18);
//! # Ok(()) }
//! ```
//!
//! | task | example |
//! |---|---|
//! | follow a running process | [`follow`] |
//! | merge the traces of several processes | [`MergedEvents`] |
//! | find the memory that lives at a moment | [`Events`] |
//! | read a damaged file | [`Damage`] |
//! | write a csv of one's own | [`Event`] |
//! | sum up a trace | [`Summary`] |
//! | find impossible events | [`Check`] |
//! | export events | [`export`] |
//! | cut a time range out | [`Range`] |
//! | put several traces into one file | [`merge`] |
//! | copy a trace that is being written | [`snapshot`] |
//! | find who allocates | [`Events::with_stacks`], [`Stacks`], [`Costs`] |
//!
//! With the feature `serde`, a [`Summary`] can be serialized; with `symbols`, the module `symbol`
//! finds the names of addresses of code.
//!
//! Nothing here panics on any input. Memory is bounded by the number of blocks of the file and by
//! the number of blocks of memory that lived at once in the traced process; of rings, forked
//! children and checks, by the number of addresses that were ever given out. Of call stacks that are
//! asked for, it is bounded by the number of different call paths, 24 to 80 bytes each, of which a slot
//! makes six at most, and by the number of call sites and modules.
//!
//! # The pipeline
//!
//! ```text
//!           Source           source    bytes of a slice or a file, which may be changing
//!              │ headers of blocks, in the order of claims
//!           Blocks           trace     finds the blocks of events, reports damage
//!              ├──────────────────────────────────────> Counts, Summary (no order needed)
//!         BlockQueue         order     blocks by start time: a queue with a watermark
//!              │
//!   ┌──────────┼──────────┐
//! Decoder   Decoder   Decoder  decode  slots to moments, one sorted run a block
//!   └──────────┼──────────┘
//!            Merge           order     moments by time: a k-way merge
//!              │
//!          Causality         order     order between threads repaired
//!              │ ticks to time; batches of moments, from another thread if prefetched
//!           Pairing          event     two moments of a reallocation to one call
//!              │
//!        MergedEvents        event     events of several processes by time: a k-way merge
//!              │
//!   Filter, Exporter, Check  event, export, analysis
//! ```
//!
//! # The law of the modules
//!
//! A module uses only modules of rows above its own, and modules to its left.
//!
//! ```text
//! escape error source  names that are harmless; why a file cannot be read; its bytes
//! symbol              names of the addresses of code
//! trace               header, blocks, clock, damage
//! stack               call stacks, their sites and modules
//! decode              slots of a block to moments
//! order               the moments of all threads in one possible order
//! event               events of one process, of several, of a running one; filter
//! analysis            summary, check
//! write               a time range of a trace; several traces in one file; a copy of one
//! export              output formats
//! ```

mod analysis;
mod decode;
mod error;
mod escape;
mod event;
pub mod export;
mod order;
mod source;
mod stack;
#[cfg(feature = "symbols")]
pub mod symbol;
mod trace;
mod write;

pub use analysis::{
    Check, Cost, Costs, Ending, Missing, StackEnd, StackSummary, Summary, ThreadSummary, Violation,
};
pub use error::Error;
pub use escape::{Shown, escape, escape_csv, escape_json};
pub use event::{
    Call, Event, EventKind, Events, Filter, Follow, FollowStatus, Gap, Grouped, MergedEvents, News,
    PlainRun, follow,
};
pub use mallook_format::{Clock, FileHeader, HeaderError, Kind, Loss, Mode};
pub use source::{Mapped, OwnedBytes, Source};
#[cfg(feature = "symbols")]
pub use stack::ModuleNames;
pub use stack::{Frame, FrameKind, FrameName, Frames, Module, SiteNames, StackId, Stacks, Trie};
pub use trace::{Block, Blocks, ClockMap, Damage, DamageKind, Liveness, Mark, Range, Trace};
pub use write::{Cut, Snapshot, merge, snapshot};
