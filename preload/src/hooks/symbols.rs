//! Changes to the symbol table of a loaded object, which the loader reads at each lookup.

use core::sync::atomic::{AtomicU64, Ordering::Release};

use crate::host::elf::Symbol;
use crate::host::memory::{self, PAGE};
use crate::host::syscall::Result;

/// Runs `change` while the range, which lies in a symbol table, can be written to.
///
/// # Errors
/// The kernel, or a policy of the system, does not allow it; then nothing has run.
pub fn while_writable(start: usize, end: usize, change: impl FnOnce()) -> Result<()> {
    let first = start & !(PAGE - 1);
    let length = (end - first).next_multiple_of(PAGE);
    let (read, write) = (libc::PROT_READ, libc::PROT_WRITE);
    // SAFETY: the pages stay readable, and are private to the process.
    unsafe { memory::protect(first, length, read | write) }?;
    change();
    // SAFETY: as above; a symbol table is only read.
    let _ = unsafe { memory::protect(first, length, read) };
    Ok(())
}

/// Sets the value of a symbol, which other threads may be reading.
pub fn set_value(symbol: *mut Symbol, value: u64) {
    // SAFETY: the symbol is part of a table; this computes an address.
    let place = unsafe { &raw mut (*symbol).st_value };
    // SAFETY: the word is aligned, in memory that can be written to now, and lives as long as the
    // object.
    let word = unsafe { AtomicU64::from_ptr(place) };
    // Release: pairs with the loader's lock, under which lookups read it; what the new function
    // needs is there.
    word.store(value, Release);
}
