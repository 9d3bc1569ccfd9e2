//! One word of thread-local storage: where the thread's cell lies.
//!
//! `thread_local!` in a shared library compiles to a call of `__tls_get_addr`, which may allocate
//! and costs more than the rest of the hook. A variable of the initial-exec model takes two
//! instructions and eight bytes of the static TLS area, of which the loader keeps a reserve.

core::arch::global_asm!(
    ".pushsection .tbss.mallook_cell,\"awT\",@nobits",
    ".p2align 3",
    ".type mallook_cell,@object",
    ".size mallook_cell,8",
    ".local mallook_cell",
    "mallook_cell:",
    ".zero 8",
    ".popsection",
);

/// The word: the byte offset of the thread's cell in the table, 0 before it has one.
#[inline(always)]
pub fn get() -> usize {
    let value: usize;
    // SAFETY: reads the thread's own word; the symbol is defined above and never moves.
    unsafe {
        core::arch::asm!(
            "mov {value}, qword ptr [rip + mallook_cell@GOTTPOFF]",
            "mov {value}, qword ptr fs:[{value}]",
            value = out(reg) value,
            options(nostack, preserves_flags, readonly),
        );
    }
    value
}

/// Sets the word.
pub fn set(value: usize) {
    // SAFETY: writes the thread's own word; the symbol is defined above and never moves.
    unsafe {
        core::arch::asm!(
            "mov {offset}, qword ptr [rip + mallook_cell@GOTTPOFF]",
            "mov qword ptr fs:[{offset}], {value}",
            offset = out(reg) _,
            value = in(reg) value,
            options(nostack, preserves_flags),
        );
    }
}
