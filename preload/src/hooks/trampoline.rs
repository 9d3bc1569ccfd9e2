//! The assembly that hooks share which call a function of ours and jump on, with all registers of
//! arguments and the stack as they were, however many arguments there are.

/// Saves the registers of arguments: seven words and the return address, so that the stack is
/// aligned for a call.
macro_rules! save_arguments {
    () => {
        "push rdi\npush rsi\npush rdx\npush rcx\npush r8\npush r9\npush rax"
    };
}

/// Calls `{before}`, restores the registers that [`save_arguments`] has saved, and jumps to the
/// function whose address stands in `{next}`.
macro_rules! call_and_jump {
    () => {
        "call {before}\npop rax\npop r9\npop r8\npop rcx\npop rdx\npop rsi\npop rdi\njmp qword ptr [rip + {next}]"
    };
}

/// An exported function with at most four arguments that needs to know where it was called from: it
/// jumps to another one with the same arguments in the first four places, and the two words of a
/// [`Caller`](crate::record::call::Caller) behind them.
macro_rules! with_caller {
    ($($(#[$attribute:meta])* fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty
        => $function:path;)*) => {
        $(
            /// # Safety
            /// As the function that it goes to.
            #[unsafe(naked)]
            $(#[$attribute])*
            pub unsafe extern "C" fn $name($($argument: $type),*) -> $result {
                core::arch::naked_asm!(
                    ".cfi_startproc",
                    "mov r8, rsp",
                    "mov r9, rbp",
                    "jmp {function}",
                    ".cfi_endproc",
                    function = sym $function,
                );
            }
        )*
    };
}

pub(super) use {call_and_jump, save_arguments, with_caller};
