//! Where threads run.

/// Binds the calling thread to a processor; `false` if there is none with that number.
pub fn pin(cpu: usize) -> bool {
    // SAFETY: a bit set, for which zeros are valid.
    let mut set: libc::cpu_set_t = unsafe { core::mem::zeroed() };
    // SAFETY: sets a bit of the set, or none if the number is too large.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: reads the set, of the size that is given.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    result == 0
}
