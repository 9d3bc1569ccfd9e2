//! The common parts of the benches.
//!
//! The law of the modules, each of which uses only those above it:
//!
//! ```text
//! scale  stats  clock  cpu     how much to do; samples; time; where threads run
//! heap  bypass                 the allocator with the hooks and without; our own memory
//! floor  workloads             what is measured
//! process  artifacts           child processes; what they are built from
//! inside                       this program once more, under the library
//! synthetic                    traces that no process has written
//! ```

pub mod artifacts;
pub mod bypass;
pub mod clock;
pub mod cpu;
pub mod floor;
pub mod heap;
pub mod inside;
pub mod process;
pub mod scale;
pub mod stats;
pub mod synthetic;
#[path = "../workloads/mod.rs"]
pub mod workloads;
