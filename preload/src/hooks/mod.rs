//! The exported symbols, and the functions that they forward to.
//!
//! The law of the modules: a module uses only modules of rows above it, and those to the left of it
//! in its row.
//!
//! ```text
//! trampoline           a call of ours before the next definition, registers kept
//! symbols optional     changes to symbol tables; the functions that a process may have or not
//! shadow twice         a `malloc` that comes before ours; a copy of this library that does
//! musl                 functions of musl that call each other
//! next                 the next definition of each hooked function
//! aside malloc         allocation: with a look at the caller; straight
//! operators jemalloc   C++'s operators; jemalloc's own functions
//! deepbind closing     `dlopen`; `dlclose`
//! unloaded             programs that are started without us
//! process              start, fork, exec and the end
//! departure            the process gives up rights, or its view of the file system
//! control asked        how a process restricts itself; names of threads; requests of the program
//! ```

mod aside;
mod asked;
mod closing;
mod control;
mod deepbind;
mod departure;
mod jemalloc;
mod malloc;
mod musl;
mod next;
mod operators;
mod optional;
mod process;
mod shadow;
mod symbols;
mod trampoline;
mod twice;
mod unloaded;
