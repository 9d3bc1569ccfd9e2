//! The machine: system calls, the loader, time.
//!
//! The law of the modules: a module uses only modules of rows above it, and those to the left of it
//! in its row.
//!
//! ```text
//! syscall signals      the system call instruction and its errors; signals
//! files memory task    system calls on files, on memory, about the process and its threads
//! tls elf objects      one thread-local word; symbols of a loaded library; the loaded libraries
//! clock libc_thread    time; the ID of a thread, as libc has it
//! decimal stderr       numbers in decimal; one line on stderr
//! ```

pub mod clock;
pub mod decimal;
pub mod elf;
pub mod files;
pub mod libc_thread;
pub mod memory;
pub mod objects;
pub mod signals;
pub mod stderr;
pub mod syscall;
pub mod task;
pub mod tls;
