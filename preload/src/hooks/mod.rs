//! The exported symbols, and the functions that they forward to.
//!
//! The law of the modules: a module uses only modules of rows above it, and those to the left of it
//! in its row.
//!
//! ```text
//! symbols optional     changes to symbol tables; the functions that a process may have or not
//! shadow               a `malloc` that comes before ours
//! next                 the next definition of each hooked function
//! malloc               allocation
//! operators jemalloc   C++'s operators; jemalloc's own functions
//! deepbind             `dlopen`
//! process              start, fork, exec and the end
//! ```

mod deepbind;
mod jemalloc;
mod malloc;
mod next;
mod operators;
mod optional;
mod process;
mod shadow;
mod symbols;
