//! The life of the process: start, fork, exec and the end.
//!
//! The start notes which process the memory belongs to, before a child that shares it may record
//! there. The trace would be right without the rest, which records markers and gives back space at
//! a clean end. `vfork` is not hooked: its children, and those of `posix_spawn`, write into their
//! parent's trace until they exec.

use core::ffi::{c_char, c_int};
use core::sync::atomic::Ordering::Relaxed;

use mallook_format::{Control, Kind};

use crate::file::inherited;
use crate::host::confined::is_confined;
use crate::host::{task, wiped_memory};
use crate::record::cold;
use crate::record::wiped::{WIPED, Wiped, wipe_on_fork};
use crate::session::close::{close, give_back};
use crate::session::environment::Environment;
use crate::session::lifecycle::Stage;

use super::trampoline::{call_and_jump, save_arguments};
use super::{next, shadow, twice, unloaded};

/// # Safety
/// As in POSIX.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn fork() -> libc::pid_t {
    cold::mark_self(Kind::Forking, 0);
    let session = &WIPED.session;
    let parent = session.pid();
    session.has_forked.store(1, Relaxed);
    let unfinished = WIPED.buffers.current().unfinished_blocks();
    // SAFETY: by contract.
    let child = unsafe { next::FORK.get()() };
    if child > 0 {
        cold::mark(Kind::Forked, is_confined().into(), child as u32, 0);
    } else if child == 0 {
        if parent != 0 {
            inherited::keep(unfinished);
        }
        in_child(parent);
    }
    child
}

/// The memory that the child of a fork finds: zeros, or its parent's where the kernel has not wiped it.
fn in_child(parent: u32) {
    let Wiped { buffers, session, .. } = &WIPED;
    if session.has_forked.load(Relaxed) != 0 {
        // SAFETY: a child has one thread, and this one is in no hook but this.
        unsafe { wiped_memory::zero_all() };
    }
    // Handlers of `pthread_atfork` may have recorded.
    if session.stage() == Stage::Unopened && session.pid() == 0 {
        buffers.start_anew();
        if parent != 0 && !is_confined() {
            // The memory is wiped in a child of this one, too.
            session.belongs_to(task::pid(), parent);
        }
    }
}

extern "C" fn before_exec() {
    unloaded::look();
    before_any_exec();
}

extern "C" fn before_exec_with(environment: *const *const c_char) {
    unloaded::look_at(&Environment::List(environment));
    before_any_exec();
}

/// `saved` is where the registers of arguments are, with the stack behind them.
extern "C" fn before_execle(saved: *const *const c_char) {
    unloaded::look_at(&Environment::List(unloaded::behind_arguments(saved)));
    before_any_exec();
}

extern "C" fn before_any_exec() {
    next::resolve_once();
    if !cold::mark_self(Kind::Exec, 0) && is_own_process() {
        WIPED.session.note(0, Control::EXECED);
    }
    give_back_own();
}

extern "C" fn before_exit(code: c_int) {
    next::resolve_once();
    if !cold::mark_self(Kind::Exit, code as u32) && is_own_process() {
        WIPED.session.note(Control::EXITED_BITS, Control::exited_bits(code as u8));
    }
}

extern "C" fn before_sudden_exit(code: c_int) {
    before_exit(code);
    give_back_own();
}

/// Before a system call that ends the process.
pub(super) fn before_exit_group(code: c_int) {
    before_sudden_exit(code);
}

/// Gives back space. A child that shares its parent's memory leaves that its trace.
fn give_back_own() {
    let session = &WIPED.session;
    if session.stage() != Stage::Unopened && is_own_process() {
        give_back(session);
    }
}

/// Whether the caller is the process that the session belongs to, and not a child that shares its
/// memory. A confined process is taken for itself.
fn is_own_process() -> bool {
    is_confined() || task::pid() == WIPED.session.pid()
}

/// A function that ends the process and puts a marker before that.
macro_rules! exit {
    ($($name:ident, $before:ident => $next:ident),* $(,)?) => {
        $(
            #[doc = concat!("`", stringify!($name), "`, with a marker before it.\n\n# Safety\nAs in POSIX.")]
            #[unsafe(naked)]
            #[cfg_attr(not(test), unsafe(no_mangle))]
            #[allow(non_snake_case, reason = "`_Exit` is called so")]
            pub unsafe extern "C" fn $name() {
                core::arch::naked_asm!(
                    // One word and the return address: the stack is aligned for the call.
                    "push rdi",
                    "call {before}",
                    "pop rdi",
                    "jmp qword ptr [rip + {next}]",
                    before = sym $before,
                    next = sym next::$next,
                );
            }
        )*
    };
}

exit! {
    exit, before_exit => EXIT,
    quick_exit, before_exit => QUICK_EXIT,
    _exit, before_sudden_exit => UNDERSCORE_EXIT,
    _Exit, before_sudden_exit => UNDERSCORE_EXIT_OF_C,
}

/// An exec function that puts a marker and jumps to the next definition with all registers and the
/// stack as they were, however many arguments there are.
macro_rules! exec {
    ($($name:ident => $next:ident, $environment:literal, $before:ident;)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`, with a marker before it.\n\n# Safety\nAs in POSIX.")]
            #[unsafe(naked)]
            #[cfg_attr(not(test), unsafe(no_mangle))]
            pub unsafe extern "C" fn $name() {
                core::arch::naked_asm!(
                    save_arguments!(),
                    concat!("mov rdi, ", $environment),
                    call_and_jump!(),
                    before = sym $before,
                    next = sym next::$next,
                );
            }
        )*
    };
}

exec! {
    execve => EXECVE, "rdx", before_exec_with;
    execveat => EXECVEAT, "rcx", before_exec_with;
    fexecve => FEXECVE, "rdx", before_exec_with;
    execv => EXECV, "0", before_exec;
    execvp => EXECVP, "0", before_exec;
    execvpe => EXECVPE, "rdx", before_exec_with;
    execl => EXECL, "0", before_exec;
    execlp => EXECLP, "0", before_exec;
    execle => EXECLE, "rsp", before_execle;
}

#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = at_start;

/// The start of a process. A child that shares its memory may be the first to allocate there, and
/// could not know any more which process the memory belongs to.
#[cfg_attr(test, allow(dead_code, reason = "only the loader calls it"))]
extern "C" fn at_start() {
    WIPED.session.identify(wipe_on_fork);
    next::resolve_once();
    shadow::say();
    twice::say();
    unloaded::at_start();
}

#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_END: extern "C" fn() = at_end;

/// The clean end: one marker, and the space after the last claimed block goes back.
#[cfg_attr(test, allow(dead_code, reason = "only the loader calls it"))]
extern "C" fn at_end() {
    let session = &WIPED.session;
    let recording = matches!(session.settled_stage(), Stage::Recording | Stage::Stopped);
    if recording && is_own_process() {
        cold::mark(Kind::End, 0, 0, 0);
        close(session);
    }
}
