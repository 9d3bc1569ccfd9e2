//! `libmallook.so`: preloaded into a process, it records every allocation and release in a file
//! that is mapped into the process, and gets out of the way.
//!
//! The law of the modules: a module uses only modules of rows above it, and those to the left of it
//! in its row. Each folder has a law of its own.
//!
//! ```text
//! host      the machine: system calls, the loader, time
//! file      the file and its growth; knows no thread
//! session   the one open trace of a process, from settings to the end
//! record    one event, hot and cold; the memory of the process, assembled
//! hooks     the exported symbols
//! ```
//!
//! Invariants:
//!
//! * Nothing here allocates, takes a lock, or calls into libc, except
//!   string functions, and the functions that are forwarded to. `errno` is never touched.
//! * A thread is in the slow path once at a time (`host::slow_path`): signals are blocked there,
//!   but for those that it raises itself, and what a handler does all the same is counted as lost.
//! * A process that confines itself gets no system call of ours afterwards (`host::confined`).
//! * Mutable state that must not survive a fork lives in `record::wiped::Wiped`, which the kernel
//!   zeroes in a forked child however it was forked, or the hook of `fork` where the kernel does not;
//!   zero means "not started yet" everywhere.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(test, allow(dead_code, reason = "unit tests export no hooks, so nothing is reached"))]

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("mallook records on Linux on x86-64 only");

mod file;
mod hooks;
mod host;
mod record;
mod session;

/// Required in a `no_std` library. Nothing in this one panics: a test proves that the linker found
/// no use for this function.
#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: ends the process; only reached if an invariant of this library is broken.
    unsafe { libc::abort() }
}
