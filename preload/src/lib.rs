//! `libmallook.so`: preloaded into a process, it records every allocation and release in a file
//! that is mapped into the process, and gets out of the way.
//!
//! The law of the modules: each uses only those left of (or above) it.
//!
//! ```text
//! sys  tls  clock          the machine: system calls, one thread-local word, time
//! report  config           one line on stderr; the environment
//! elf  next                the allocator below us
//! state                    all process-private memory of the recorder, wiped on fork
//! thread                   which thread records
//! name  file               the file and its name
//! window  block            how it grows, and is shared out in blocks
//! burst  cell              which events share a time; a thread's own block
//! open  refill             how recording starts, and where the next block comes from
//! recorder                 one event, hot and cold
//! hooks  process           the exported symbols
//! ```
//!
//! Invariants:
//!
//! * Nothing here allocates, takes a lock, or calls into libc, except `dl_iterate_phdr` (once), string
//!   functions, and the functions that are forwarded to. `errno` is never touched.
//! * The slow path runs with all signals blocked, so it is never interrupted by itself.
//! * Mutable state that must not survive a fork lives in [`state::Wiped`], which the kernel zeroes
//!   in a forked child however it was forked; zero means "not started yet" everywhere.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(test, allow(dead_code, reason = "unit tests export no hooks, so nothing is reached"))]

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("mallook records on Linux on x86-64 only");

mod block;
mod burst;
mod cell;
mod clock;
mod config;
mod elf;
mod file;
mod hooks;
mod name;
mod next;
mod open;
mod process;
mod recorder;
mod refill;
mod report;
mod state;
mod sys;
mod thread;
mod tls;
mod window;

/// Required in a `no_std` library. Nothing in this one panics: a test proves that the linker found
/// no use for this function.
#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: ends the process; only reached if an invariant of this library is broken.
    unsafe { libc::abort() }
}
