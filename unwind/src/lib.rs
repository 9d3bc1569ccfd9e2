//! Incremental verified unwinding: complete call stacks of the own thread, without frame pointers,
//! at the price of comparing them with the last one.
//!
//! The law of the modules: a module uses only modules of rows above it, and those to the left of it
//! in its row.
//!
//! ```text
//! syscall bytes          the kernel; reading of tables
//! host                   what is asked for of the process
//! maps module ranges     what is mapped, and what a module says of itself
//! find                   from an address to its module
//! expression eh_frame    DWARF's expressions and entries
//! cfi                    the row of an address
//! rule                   what a step does, in 32 bits
//! fuzzing                all of these, on any bytes
//! site host              what is handed out, and what is asked for
//! table                  from an address to its site and rule
//! unwinder               what a process keeps
//! bounds                 the stacks of a thread
//! step                   one step outward
//! kept                   a thread's last stack
//! thread walk            captures, with and without it
//! ```
#![cfg_attr(not(test), no_std)]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod bounds;
mod bytes;
mod cfi;
mod eh_frame;
mod expression;
mod find;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod host;
mod kept;
mod maps;
mod module;
mod ranges;
mod rule;
mod site;
mod step;
mod syscall;
mod table;
#[cfg(test)]
mod tests;
mod thread;
mod unwinder;
mod walk;

pub use host::{FindObject, Host};
pub use site::{Kind, Site};
pub use step::Registers;
pub use thread::{Thread, Turn};
pub use unwinder::Unwinder;
pub use walk::walk;

/// Frames of a stack at most, those apart that stand for others.
pub const DEPTH: usize = kept::DEPTH;
