//! libunwind, loaded beside everything else, so that its `_Unwind_*` replace nobody's.

use std::ffi::{CStr, c_int, c_void};
use std::sync::OnceLock;

struct Functions {
    getcontext: unsafe extern "C" fn(*mut c_void) -> c_int,
    init_local: unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int,
    step: unsafe extern "C" fn(*mut c_void) -> c_int,
    get_reg: unsafe extern "C" fn(*mut c_void, c_int, *mut usize) -> c_int,
    is_signal_frame: unsafe extern "C" fn(*mut c_void) -> c_int,
}

/// `UNW_REG_IP` and `UNW_REG_SP` of x86-64.
const IP: c_int = 16;
const SP: c_int = 7;
/// `unw_cursor_t`.
const CURSOR: usize = 127;

fn symbol<T>(library: *mut c_void, name: &CStr) -> T {
    // SAFETY: a handle of `dlopen`.
    let address = unsafe { libc::dlsym(library, name.as_ptr()) };
    assert!(!address.is_null(), "libunwind has no {name:?}");
    // SAFETY: a pointer to a function, of the type that the header gives it.
    unsafe { std::mem::transmute_copy(&address) }
}

fn functions() -> &'static Functions {
    static FUNCTIONS: OnceLock<Functions> = OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        // SAFETY: loads a library.
        let library = unsafe { libc::dlopen(c"libunwind.so.8".as_ptr(), libc::RTLD_NOW) };
        assert!(!library.is_null(), "libunwind8 is not installed");
        Functions {
            getcontext: symbol(library, c"_Ux86_64_getcontext"),
            init_local: symbol(library, c"_ULx86_64_init_local"),
            step: symbol(library, c"_ULx86_64_step"),
            get_reg: symbol(library, c"_ULx86_64_get_reg"),
            is_signal_frame: symbol(library, c"_ULx86_64_is_signal_frame"),
        }
    })
}

/// The addresses to look up, from the innermost frame of `pc` and `sp` on. Whether the last step
/// said that this was the end.
#[inline(never)]
pub fn stack(pc: usize, sp: usize, most: usize) -> (Vec<usize>, bool) {
    let functions = functions();
    let mut context = std::mem::MaybeUninit::<[u64; 256]>::uninit();
    let mut cursor = [0usize; CURSOR];
    let cursor = cursor.as_mut_ptr().cast::<c_void>();
    // SAFETY: fills the context, which is larger than a `ucontext_t`.
    unsafe { (functions.getcontext)(context.as_mut_ptr().cast()) };
    // SAFETY: the cursor is as large as it wants.
    unsafe { (functions.init_local)(cursor, context.as_mut_ptr().cast()) };
    let mut addresses = Vec::new();
    let mut has_begun = false;
    let mut interrupted = false;
    loop {
        let (mut ip, mut at) = (0, 0);
        // SAFETY: an initialised cursor.
        unsafe { (functions.get_reg)(cursor, IP, &mut ip) };
        // SAFETY: likewise.
        unsafe { (functions.get_reg)(cursor, SP, &mut at) };
        has_begun |= ip == pc && at == sp;
        if ip == 0 {
            return (addresses, true);
        }
        if has_begun {
            addresses.push(if interrupted { ip } else { ip - 1 });
        }
        // SAFETY: likewise.
        let result = unsafe { (functions.step)(cursor) };
        // What it calls a signal's frame is the one that was interrupted.
        // SAFETY: likewise.
        interrupted = unsafe { (functions.is_signal_frame)(cursor) } > 0;
        if result <= 0 || addresses.len() == most {
            return (addresses, result == 0);
        }
    }
}
