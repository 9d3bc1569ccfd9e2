//! Two words of thread-local storage: the offset of the thread's buffer, and the thread's state.
//!
//! `thread_local!` in a shared library compiles to a call of `__tls_get_addr`, which may allocate
//! and costs more than the rest of the hook. A variable of the initial-exec model takes two
//! instructions and eight bytes of the static TLS area, of which the loader keeps a reserve.

core::arch::global_asm!(
    ".pushsection .tbss.mallook_thread,\"awT\",@nobits",
    ".p2align 3",
    ".type mallook_thread_buffer,@object",
    ".size mallook_thread_buffer,8",
    ".local mallook_thread_buffer",
    "mallook_thread_buffer:",
    ".zero 8",
    ".type mallook_thread_state,@object",
    ".size mallook_thread_state,8",
    ".local mallook_thread_state",
    "mallook_thread_state:",
    ".zero 8",
    ".popsection",
);

/// The offset in bytes of the thread's buffer from the first one, 0 before it has one.
#[inline(always)]
pub fn get() -> usize {
    let value: usize;
    // SAFETY: reads the thread's own word; the symbol is defined above and never moves.
    unsafe {
        core::arch::asm!(
            "mov {value}, qword ptr [rip + mallook_thread_buffer@GOTTPOFF]",
            "mov {value}, qword ptr fs:[{value}]",
            value = out(reg) value,
            options(nostack, preserves_flags, readonly),
        );
    }
    value
}

/// Sets the offset.
pub fn set(value: usize) {
    // SAFETY: writes the thread's own word; the symbol is defined above and never moves.
    unsafe {
        core::arch::asm!(
            "mov {offset}, qword ptr [rip + mallook_thread_buffer@GOTTPOFF]",
            "mov qword ptr fs:[{offset}], {value}",
            offset = out(reg) _,
            value = in(reg) value,
            options(nostack, preserves_flags),
        );
    }
}

/// The thread's state ([`super::slow_path`]).
pub fn state() -> u64 {
    let value: u64;
    // SAFETY: as in `get`. Not `readonly`: signal handlers of this thread change the word.
    unsafe {
        core::arch::asm!(
            "mov {value}, qword ptr [rip + mallook_thread_state@GOTTPOFF]",
            "mov {value}, qword ptr fs:[{value}]",
            value = out(reg) value,
            options(nostack, preserves_flags),
        );
    }
    value
}

/// Sets the thread's state.
pub fn set_state(value: u64) {
    // SAFETY: as in `set`.
    unsafe {
        core::arch::asm!(
            "mov {offset}, qword ptr [rip + mallook_thread_state@GOTTPOFF]",
            "mov qword ptr fs:[{offset}], {value}",
            offset = out(reg) _,
            value = in(reg) value,
            options(nostack, preserves_flags),
        );
    }
}
