//! The exported symbols, and the functions that they forward to.
//!
//! The law of the modules: a module uses only modules of rows above it, and those to the left of it
//! in its row.
//!
//! ```text
//! next             the next definition of each hooked function
//! malloc process   allocation; start, fork, exec and the end
//! departure        the process gives up rights, or its view of the file system
//! control          how a process restricts itself; names of threads
//! ```

mod control;
mod departure;
mod malloc;
mod next;
mod process;
