//! libunwind, loaded beside everything else, so that its `_Unwind_*` replace nobody's.

use std::ffi::{CStr, c_int, c_void};
use std::sync::OnceLock;

struct Functions {
    getcontext: unsafe extern "C" fn(*mut c_void) -> c_int,
    init_local: unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int,
    step: unsafe extern "C" fn(*mut c_void) -> c_int,
    get_reg: unsafe extern "C" fn(*mut c_void, c_int, *mut usize) -> c_int,
    is_signal_frame: unsafe extern "C" fn(*mut c_void) -> c_int,
    flush: unsafe extern "C" fn(*mut c_void, usize, usize),
    /// `unw_local_addr_space`.
    space: usize,
}

/// `UNW_REG_IP` and `UNW_REG_SP` of x86-64.
const IP: c_int = 16;
const SP: c_int = 7;
/// Words of `unw_cursor_t`.
const CURSOR: usize = 127;
/// Words that hold a `unw_context_t`.
const CONTEXT: usize = 128;

static FUNCTIONS: OnceLock<Functions> = OnceLock::new();

fn symbol<T>(library: *mut c_void, name: &CStr) -> T {
    // SAFETY: a handle of `dlopen`.
    let address = unsafe { libc::dlsym(library, name.as_ptr()) };
    assert!(!address.is_null(), "libunwind has no {name:?}");
    // SAFETY: a pointer, to what the header gives this type.
    unsafe { std::mem::transmute_copy(&address) }
}

/// Loads it; `false` if it is not installed.
pub fn load() -> bool {
    // SAFETY: loads a library, whose names nobody else sees.
    let library = unsafe { libc::dlopen(c"libunwind.so.8".as_ptr(), libc::RTLD_NOW) };
    if library.is_null() {
        return false;
    }
    // SAFETY: a variable with a pointer.
    let space = unsafe { symbol::<*const usize>(library, c"_ULx86_64_local_addr_space").read() };
    let functions = Functions {
        getcontext: symbol(library, c"_Ux86_64_getcontext"),
        init_local: symbol(library, c"_ULx86_64_init_local"),
        step: symbol(library, c"_ULx86_64_step"),
        get_reg: symbol(library, c"_ULx86_64_get_reg"),
        is_signal_frame: symbol(library, c"_ULx86_64_is_signal_frame"),
        flush: symbol(library, c"_Ux86_64_flush_cache"),
        space,
    };
    FUNCTIONS.set(functions).is_ok()
}

/// Forgets what it knows of code, after some was unloaded.
pub fn flush() {
    if let Some(functions) = FUNCTIONS.get() {
        // SAFETY: the own address space, and all of it.
        unsafe { (functions.flush)(functions.space as *mut c_void, 0, 0) };
    }
}

/// The addresses to look up, from the innermost frame of `pc` and `sp` on: how many, and whether
/// the last step said that this was the end.
#[inline(never)]
pub fn stack(pc: usize, sp: usize, into: &mut [usize]) -> (usize, bool) {
    let Some(functions) = FUNCTIONS.get() else { return (0, false) };
    let mut context = [0u64; CONTEXT];
    let mut cursor = [0usize; CURSOR];
    let cursor = cursor.as_mut_ptr().cast::<c_void>();
    // SAFETY: fills the context, which is as large as a `ucontext_t`.
    unsafe { (functions.getcontext)(context.as_mut_ptr().cast()) };
    // SAFETY: the cursor is as large as it wants.
    unsafe { (functions.init_local)(cursor, context.as_mut_ptr().cast()) };
    let (mut length, mut has_begun, mut interrupted) = (0, false, false);
    loop {
        let (mut ip, mut at) = (0, 0);
        // SAFETY: an initialised cursor.
        unsafe { (functions.get_reg)(cursor, IP, &mut ip) };
        // SAFETY: likewise.
        unsafe { (functions.get_reg)(cursor, SP, &mut at) };
        has_begun |= ip == pc && at == sp;
        if ip == 0 {
            return (length, true);
        }
        if has_begun {
            let Some(place) = into.get_mut(length) else { return (length, false) };
            *place = if interrupted { ip } else { ip.wrapping_sub(1) };
            length += 1;
        }
        // SAFETY: likewise.
        let result = unsafe { (functions.step)(cursor) };
        // What it calls a signal's frame is the one that was interrupted.
        // SAFETY: likewise.
        interrupted = unsafe { (functions.is_signal_frame)(cursor) } > 0;
        if result <= 0 {
            return (length, result == 0);
        }
    }
}
