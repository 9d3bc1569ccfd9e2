//! A library that is preloaded into real programs by tests: at each `malloc`, `calloc` and `realloc`
//! it takes the call stack twice, as the recorder does and with libunwind, and compares them frame
//! by frame. Nothing of it is in the recorder.
//!
//! `MALLOOK_COMPARED` is the prefix of the files that each process writes: `PREFIX.PID.COUNTER` has
//! its counts (`counts.rs`), also if it is killed, and `….text` the first stacks that differ, with
//! the mappings of that moment.
//!
//! ```text
//! counts libunwind     the counts; libunwind, loaded beside everything else
//! host                 the needs of the unwinder
//! thread               the state of one thread
//! compare              one event
//! hooks                the functions that are replaced, and the start
//! ```
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod compare;
mod counts;
mod hooks;
mod host;
mod libunwind;
mod thread;
