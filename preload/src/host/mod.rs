//! The machine: system calls, the loader, time.
//!
//! The law of the modules: a module uses only modules of rows above it, and those to the left of it
//! in its row.
//!
//! ```text
//! confined             whether this process may still make system calls of ours
//! syscall signals      the system call instruction and its errors; signals
//! files memory task    system calls on files, on memory, about the process and its threads
//! wiped_memory         memory that is zero in a forked child
//! tls errno            two thread-local words; libc's
//! elf objects          symbols of a loaded library; the loaded libraries
//! mapped_file loaded   the file that is mapped at an address; the module that holds one
//! slow_path own_stack  a thread's right to be in the slow path; a stack for one call
//! clock libc_thread    time; the ID of a thread, as libc has it
//! patience             waiting for another thread
//! decimal stderr       numbers in decimal; one line on stderr
//! ```

pub mod clock;
pub mod confined;
pub mod decimal;
pub mod elf;
pub mod errno;
pub mod files;
pub mod libc_thread;
pub mod loaded;
pub mod mapped_file;
pub mod memory;
pub mod objects;
pub mod own_stack;
pub mod patience;
pub mod signals;
pub mod slow_path;
pub mod stderr;
pub mod syscall;
pub mod task;
pub mod tls;
pub mod wiped_memory;
