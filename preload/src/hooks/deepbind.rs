//! `dlopen` and `dlmopen`: a library that is loaded with `RTLD_DEEPBIND` looks for `malloc` in the
//! libraries that it names before it looks at us, and finds libc's.
//!
//! So before the first such library is loaded, ours are written into libc's symbol table, in the
//! place of the functions that we forward to anyhow: a lookup in libc finds our function, from any
//! scope and in constructors too, and everything else is bound as ever. Functions that another
//! library behind us defines stay as they are: those may ask libc for the real ones.
//!
//! The loader looks at the return address of `dlopen` (the caller's `RUNPATH`, `$ORIGIN` and name
//! space), so the hooks jump on.

use core::ffi::{c_int, c_long};
use core::ops::ControlFlow;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Release};

use crate::host::elf::{Object, Symbol};
use crate::host::{objects, stderr, task};

use super::next;
use super::optional::{self, Optional};
use super::symbols;

/// glibc's; other libcs have no such flag.
const RTLD_DEEPBIND: c_int = 8;
const LM_ID_BASE: c_long = 0;

/// The progress of the change to libc's table, which is made once in the life of a program.
static STAGE: AtomicU32 = AtomicU32::new(UNTOUCHED);
const UNTOUCHED: u32 = 0;
const CHANGING: u32 = 1;
const CHANGED: u32 = 2;
/// The number of times that a thread yields to another one that makes the change.
const PATIENCE: u32 = 10_000;

extern "C" fn before_dlopen(_path: usize, flags: c_int) -> usize {
    next_function(&optional::DLOPEN, flags & RTLD_DEEPBIND != 0)
}

extern "C" fn before_dlmopen(space: c_long, _path: usize, flags: c_int) -> usize {
    next_function(&optional::DLMOPEN, space == LM_ID_BASE && flags & RTLD_DEEPBIND != 0)
}

/// Where nobody defines it.
extern "C" fn nothing() -> usize {
    0
}

fn next_function(function: &Optional, deep: bool) -> usize {
    next::resolve_once();
    if deep {
        change_once();
    }
    match function.next() {
        0 => function.late().unwrap_or(nothing as *const () as usize),
        next => next,
    }
}

/// A function that calls another one with its arguments and jumps to the address that this returns.
macro_rules! trampoline {
    ($($name:ident => $before:ident;)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`.\n\n# Safety\nAs in POSIX.")]
            #[unsafe(naked)]
            #[cfg_attr(not(test), unsafe(no_mangle))]
            pub unsafe extern "C" fn $name() {
                core::arch::naked_asm!(
                    // Three words and the return address: the stack is aligned for the call.
                    "push rdi", "push rsi", "push rdx",
                    "call {before}",
                    "pop rdx", "pop rsi", "pop rdi",
                    "jmp rax",
                    before = sym $before,
                );
            }
        )*
    };
}

trampoline! {
    dlopen => before_dlopen;
    dlmopen => before_dlmopen;
}

/// Changes libc's table, unless that was done; waits for another thread that does it.
fn change_once() {
    // Acquire: pairs with the Release below. Nothing is published by claiming the change.
    if STAGE.compare_exchange(UNTOUCHED, CHANGING, Acquire, Acquire).is_ok() {
        change();
        // Release: pairs with the Acquire above and below: libc's table is changed.
        STAGE.store(CHANGED, Release);
        return;
    }
    for _ in 0..PATIENCE {
        if STAGE.load(Acquire) == CHANGED {
            return;
        }
        task::yield_now();
    }
}

fn change() {
    let (mut libc, mut ours) = (None, None);
    objects::for_each_object(&mut |object| {
        if object.is_ours() {
            ours = Some(*object);
        } else if libc.is_none() && object.function(c"gnu_get_libc_version").is_some() {
            libc = Some(*object);
        }
        ControlFlow::Continue(())
    });
    let (Some(libc), Some(ours)) = (libc, ours) else { return };
    let mut range: Option<(usize, usize)> = None;
    for_each_shared(&libc, &ours, &mut |symbol, _| {
        let (start, end) = (symbol as usize, symbol as usize + size_of::<Symbol>());
        range = Some(range.map_or((start, end), |(s, e)| (s.min(start), e.max(end))));
    });
    let Some((start, end)) = range else { return };
    let changed = symbols::while_writable(start, end, || {
        for_each_shared(&libc, &ours, &mut |symbol, ours| {
            symbols::set_value(symbol, libc.value(ours as u64));
        });
    });
    if changed.is_err() {
        // Nothing may have been recorded yet.
        stderr::remember_stderr();
        stderr::UNSEEN.say([
            &b"a library is loaded with RTLD_DEEPBIND, and its allocations cannot be recorded: "[..],
            b"mprotect is refused",
        ]);
    }
}

/// Calls `visit` with the symbols of libc whose function we forward to, and with our function.
fn for_each_shared(libc: &Object, ours: &Object, visit: &mut dyn FnMut(*mut Symbol, usize)) {
    next::for_each(&mut |name, next| {
        let Some(hook) = ours.function(name) else { return };
        libc.symbols_of(name, &mut |symbol| {
            // SAFETY: a symbol of libc's table.
            let Symbol { st_value: value, .. } = unsafe { symbol.read() };
            if libc.address(value) == next as u64 {
                visit(symbol, hook);
            }
        });
    });
}
