//! Programs that are started with an environment that does not load us: `env -i`, `sudo`, a daemon
//! that cleans up. Nothing of theirs is recorded, which the trace of whoever starts them says.

use core::ffi::c_char;
use core::ops::ControlFlow;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::host::objects;
use crate::record::wiped::WIPED;
use crate::session::environment::Environment;

use super::next;
use super::trampoline::{call_and_jump, save_arguments};

/// The environment has loaded us, and not the loader's own list (`/etc/ld.so.preload`).
static BY_ENVIRONMENT: AtomicBool = AtomicBool::new(false);
/// More arguments than this are a list without an end.
const MOST_ARGUMENTS: usize = 1 << 20;

/// Looks what has loaded us. At the start of a program.
#[cfg_attr(test, allow(dead_code, reason = "only the loader calls it"))]
pub fn at_start() {
    BY_ENVIRONMENT.store(loads_us(&Environment::now()), Relaxed);
}

/// Whether a program with this environment loads us: by our file's name, wherever it lies.
fn loads_us(environment: &Environment) -> bool {
    let Some(list) = environment.value(b"LD_PRELOAD") else { return false };
    let mut found = false;
    objects::for_each_object(&mut |object| {
        if !object.is_ours() {
            return ControlFlow::Continue(());
        }
        let name = object.path().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let mut libraries = list.split(|byte| b": ".contains(byte));
        found = libraries.any(|library| library.ends_with(name));
        ControlFlow::Break(())
    });
    found
}

/// Before a program is started with libc's environment.
pub fn look() {
    look_at(&Environment::now());
}

/// Before a program is started with this environment.
pub fn look_at(environment: &Environment) {
    if BY_ENVIRONMENT.load(Relaxed) && !loads_us(environment) {
        WIPED.session.note_unloaded();
    }
}

/// The environment of `execle`, which stands behind its arguments. `saved` is where
/// [`save_arguments`] has saved the registers: `rsi` is the first argument, and the return address
/// comes before those on the stack.
pub fn behind_arguments(saved: *const *const c_char) -> *const *const c_char {
    let argument = |index: usize| {
        let place = saved.wrapping_add(if index < 5 { 5 - index } else { 3 + index });
        // SAFETY: a saved register, or a word of the caller's frame before the end of its list.
        unsafe { place.read() }
    };
    match (0..MOST_ARGUMENTS).find(|&index| argument(index).is_null()) {
        Some(end) => argument(end + 1).cast(),
        None => core::ptr::null(),
    }
}

extern "C" fn before_spawn(environment: *const *const c_char) {
    next::resolve_once();
    look_at(&Environment::List(environment));
}

extern "C" fn before_command() {
    next::resolve_once();
    look();
}

/// A function that starts a program, and jumps to the next definition with all registers and the
/// stack as they were.
macro_rules! start {
    ($($name:ident => $next:ident, $before:ident;)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`, with a look at its environment.\n\n# Safety\nAs in POSIX.")]
            #[unsafe(naked)]
            #[cfg_attr(not(test), unsafe(no_mangle))]
            pub unsafe extern "C" fn $name() {
                core::arch::naked_asm!(
                    save_arguments!(),
                    "mov rdi, r9",
                    call_and_jump!(),
                    before = sym $before,
                    next = sym next::$next,
                );
            }
        )*
    };
}

start! {
    posix_spawn => POSIX_SPAWN, before_spawn;
    posix_spawnp => POSIX_SPAWNP, before_spawn;
    system => SYSTEM, before_command;
    popen => POPEN, before_command;
}
