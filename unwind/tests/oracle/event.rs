//! The event that programs call, as an allocation's hook would be called.

use std::cell::RefCell;

use mallook_unwind::Registers;

std::arch::global_asm!(
    ".global mallook_unwind_event",
    ".type mallook_unwind_event, @function",
    "mallook_unwind_event:",
    ".cfi_startproc",
    "mov rdi, [rsp]",
    "lea rsi, [rsp + 8]",
    "mov rdx, rbp",
    "sub rsp, 8",
    ".cfi_adjust_cfa_offset 8",
    "call {on_event}",
    "add rsp, 8",
    ".cfi_adjust_cfa_offset -8",
    "ret",
    ".cfi_endproc",
    ".size mallook_unwind_event, . - mallook_unwind_event",
    on_event = sym on_event,
);

unsafe extern "C" {
    /// Calls what the thread listens with.
    #[link_name = "mallook_unwind_event"]
    pub fn event();
}

type Listener = Box<dyn FnMut(Registers)>;

thread_local! {
    static LISTENER: RefCell<Option<Listener>> = const { RefCell::new(None) };
}

extern "C" fn on_event(pc: usize, sp: usize, bp: usize) {
    LISTENER.with(|listener| {
        // An event within an event finds nobody.
        if let Ok(mut listener) = listener.try_borrow_mut()
            && let Some(listener) = listener.as_mut()
        {
            listener(Registers { pc, sp, bp });
        }
    });
}

/// Runs `work` with a listener to its events.
pub fn listen<T>(listener: impl FnMut(Registers) + 'static, work: impl FnOnce() -> T) -> T {
    LISTENER.with(|place| *place.borrow_mut() = Some(Box::new(listener)));
    let result = work();
    LISTENER.with(|place| *place.borrow_mut() = None);
    result
}
