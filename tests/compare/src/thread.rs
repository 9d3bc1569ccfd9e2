//! The state of one thread: its last stack, and whether it is being compared.

use std::cell::Cell;

use mallook_unwind::Thread;

use crate::host::zeros;

// One word of the initial-exec model: `thread_local!` may allocate in a library.
std::arch::global_asm!(
    ".pushsection .tbss.compare_own,\"awT\",@nobits",
    ".p2align 3",
    ".type compare_own,@object",
    ".size compare_own,8",
    ".local compare_own",
    "compare_own:",
    ".zero 8",
    ".popsection",
);

/// All zero is new.
#[repr(C)]
pub struct Own {
    /// A comparison is under way.
    pub is_inside: Cell<bool>,
    /// The last stack.
    pub thread: Thread,
}

/// The state of this thread; `None` without memory.
pub fn own() -> Option<&'static Own> {
    let mut address: *mut Own;
    // SAFETY: reads the thread's own word; the symbol is defined above and never moves.
    unsafe {
        std::arch::asm!(
            "mov {value}, qword ptr [rip + compare_own@GOTTPOFF]",
            "mov {value}, qword ptr fs:[{value}]",
            value = out(reg) address,
            options(nostack, preserves_flags),
        );
    }
    if address.is_null() {
        address = zeros(size_of::<Own>()).cast();
        // SAFETY: writes the thread's own word; the symbol is defined above and never moves.
        unsafe {
            std::arch::asm!(
                "mov {offset}, qword ptr [rip + compare_own@GOTTPOFF]",
                "mov qword ptr fs:[{offset}], {value}",
                offset = out(reg) _,
                value = in(reg) address,
                options(nostack, preserves_flags),
            );
        }
    }
    // SAFETY: null, or zeros that nobody else has and that are never given back.
    unsafe { address.as_ref() }
}
