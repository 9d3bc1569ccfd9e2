//! Writes traces in the formats of other programs.
//!
//! ```
//! use mallook_export::{Export, Mtrace, Source};
//! use mallook_reader::{MergedEvents, Trace};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let traces = [Trace::open("../tests/golden/v1.trace".as_ref())?];
//! let mut text = Vec::new();
//! let mut export = Mtrace::new(Source { traces: &traces, stacks: &[] }, &mut text)?;
//! for event in MergedEvents::of(&traces) {
//!     export.event(&event)?;
//! }
//! export.finish()?;
//! assert!(text.starts_with(b"= Start\n+ 0x"));
//! # Ok(()) }
//! ```
//!
//! Nothing here panics on any trace, and every file can be opened by the programs that have its format,
//! whatever names a trace has. Memory is bounded by the blocks that live at once and by the call stacks.
//!
//! # The law of the modules
//!
//! A module uses only modules of rows above its own, and modules to its left.
//!
//! ```text
//! heap function                        changes of the live blocks; the functions of frames
//! export                               the common part of all formats
//! pass path                            figures of all events; places as lines
//! mtrace memory_replay rep heaptrack   text, a line an event
//! ctf parquet                          directories of binary files
//! firefox_marks                        markers of a profile
//! pprof dhat massif firefox            figures of places, and over time
//! ```

mod ctf;
mod dhat;
mod export;
mod firefox;
mod firefox_marks;
mod function;
mod heap;
mod heaptrack;
mod massif;
mod memory_replay;
mod mtrace;
mod parquet;
mod pass;
mod path;
mod pprof;
mod rep;

pub use ctf::Ctf;
pub use dhat::Dhat;
pub use export::{Export, Source};
pub use firefox::Firefox;
pub use heap::Omitted;
pub use heaptrack::Heaptrack;
pub use massif::Massif;
pub use memory_replay::MemoryReplay;
pub use mtrace::Mtrace;
pub use parquet::Parquet;
pub use pprof::Pprof;
pub use rep::Rep;

/// All that can be said of an export is what it writes.
macro_rules! opaque {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name<'_> {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}

opaque!(Ctf, Dhat, Firefox, Heaptrack, Massif, MemoryReplay, Mtrace, Parquet, Pprof, Rep);
