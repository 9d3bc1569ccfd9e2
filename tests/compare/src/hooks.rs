//! The functions that are replaced.

use std::ffi::{CStr, c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use mallook_unwind::Registers;

use crate::{compare, counts, host, libunwind};

/// The next definition of a function.
struct Next(&'static CStr, AtomicUsize);

impl Next {
    const fn new(name: &'static CStr) -> Next {
        Next(name, AtomicUsize::new(0))
    }

    fn get(&self) -> usize {
        if self.1.load(Relaxed) == 0 {
            // SAFETY: a name; what is there is found without memory.
            let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.0.as_ptr()) };
            self.1.store(found as usize, Relaxed);
        }
        self.1.load(Relaxed)
    }
}

static MALLOC: Next = Next::new(c"malloc");
static CALLOC: Next = Next::new(c"calloc");
static REALLOC: Next = Next::new(c"realloc");
static DLCLOSE: Next = Next::new(c"dlclose");

/// Whether comparing has begun.
static IS_READY: AtomicBool = AtomicBool::new(false);

/// When the library is loaded.
extern "C" fn start() {
    compare::apart(|| {
        host::Own::start();
        let is_loaded = libunwind::load();
        counts::open();
        // SAFETY: functions of these types.
        unsafe {
            libc::pthread_atfork(
                Some(compare::before_fork),
                Some(compare::in_parent),
                Some(compare::in_child),
            )
        };
        IS_READY.store(is_loaded, Relaxed);
    });
}

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

fn event(pc: usize, sp: usize, bp: usize) {
    if IS_READY.load(Relaxed) {
        compare::event(Registers { pc, sp, bp });
    }
}

/// A hook, which jumps to `on` with where it was called from behind three arguments.
macro_rules! hook {
    ($name:ident => $on:ident) => {
        #[doc = concat!("`", stringify!($name), "`.\n\n# Safety\nAs in C.")]
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name() {
            std::arch::naked_asm!(
                "mov rcx, [rsp]",
                "lea r8, [rsp + 8]",
                "mov r9, rbp",
                "jmp {on}",
                on = sym $on,
            );
        }
    };
}

hook!(malloc => on_malloc);
hook!(calloc => on_calloc);
hook!(realloc => on_realloc);

type Args = unsafe extern "C" fn(usize, usize) -> *mut c_void;

extern "C" fn on_malloc(
    a: usize,
    _: usize,
    _: usize,
    pc: usize,
    sp: usize,
    bp: usize,
) -> *mut c_void {
    event(pc, sp, bp);
    // SAFETY: the function with this name, which takes no more arguments.
    let next = unsafe { std::mem::transmute::<usize, Args>(MALLOC.get()) };
    // SAFETY: with the caller's arguments.
    unsafe { next(a, 0) }
}

extern "C" fn on_calloc(
    a: usize,
    b: usize,
    _: usize,
    pc: usize,
    sp: usize,
    bp: usize,
) -> *mut c_void {
    event(pc, sp, bp);
    // SAFETY: the function with this name, which takes no more arguments.
    let next = unsafe { std::mem::transmute::<usize, Args>(CALLOC.get()) };
    // SAFETY: with the caller's arguments.
    unsafe { next(a, b) }
}

extern "C" fn on_realloc(
    a: usize,
    b: usize,
    _: usize,
    pc: usize,
    sp: usize,
    bp: usize,
) -> *mut c_void {
    event(pc, sp, bp);
    // SAFETY: the function with this name, which takes no more arguments.
    let next = unsafe { std::mem::transmute::<usize, Args>(REALLOC.get()) };
    // SAFETY: with the caller's arguments.
    unsafe { next(a, b) }
}

/// `dlclose`.
///
/// # Safety
/// As in POSIX.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlclose(handle: *mut c_void) -> c_int {
    // SAFETY: the function with this name.
    let next = unsafe {
        std::mem::transmute::<usize, unsafe extern "C" fn(*mut c_void) -> c_int>(DLCLOSE.get())
    };
    // SAFETY: by contract.
    let result = unsafe { next(handle) };
    compare::modules_changed();
    result
}
