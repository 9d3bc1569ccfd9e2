//! The life of the process: start, fork, exec and the end.
//!
//! The start notes which process the memory belongs to, before a child that shares it may record
//! there. The trace would be right without the rest, which records markers and gives back space at
//! a clean end. `vfork` and `posix_spawn` are not hooked: their children write into their parent's
//! trace until they exec.

use mallook_format::Kind;

use crate::host::task;
use crate::record::cold;
use crate::record::wiped::{WIPED, wipe_on_fork};
use crate::session::close::close;
use crate::session::lifecycle::Stage;

use super::{next, shadow};

/// # Safety
/// As in POSIX.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn fork() -> libc::pid_t {
    cold::mark_self(Kind::Forking);
    let session = &WIPED.session;
    let parent = session.pid();
    // SAFETY: by contract.
    let child = unsafe { next::FORK.get()() };
    if child > 0 {
        cold::mark(Kind::Forked, child as u32);
    } else if child == 0 && parent != 0 {
        // The memory is wiped in a child of this one, too.
        session.belongs_to(task::pid(), parent);
    }
    child
}

extern "C" fn before_exec() {
    next::resolve_once();
    cold::mark_self(Kind::Exec);
}

/// An exec function that puts a marker and jumps to the next definition with all registers and the
/// stack as they were, however many arguments there are.
macro_rules! exec {
    ($($name:ident => $next:ident),* $(,)?) => {
        $(
            #[doc = concat!("`", stringify!($name), "`, with a marker before it.\n\n# Safety\nAs in POSIX.")]
            #[unsafe(naked)]
            #[cfg_attr(not(test), unsafe(no_mangle))]
            pub unsafe extern "C" fn $name() {
                core::arch::naked_asm!(
                    // Seven words and the return address: the stack is aligned for the call.
                    "push rdi", "push rsi", "push rdx", "push rcx", "push r8", "push r9", "push rax",
                    "call {before}",
                    "pop rax", "pop r9", "pop r8", "pop rcx", "pop rdx", "pop rsi", "pop rdi",
                    "jmp qword ptr [rip + {next}]",
                    before = sym before_exec,
                    next = sym next::$next,
                );
            }
        )*
    };
}

exec! {
    execve => EXECVE,
    execveat => EXECVEAT,
    fexecve => FEXECVE,
    execv => EXECV,
    execvp => EXECVP,
    execvpe => EXECVPE,
    execl => EXECL,
    execlp => EXECLP,
    execle => EXECLE,
}

#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = at_start;

/// The start of a process. A child that shares its memory may be the first to allocate there, and
/// could not know any more which process the memory belongs to.
#[cfg_attr(test, allow(dead_code, reason = "only the loader calls it"))]
extern "C" fn at_start() {
    // An error is said when there is something to record.
    let _ = WIPED.session.identify(wipe_on_fork);
    next::resolve_once();
    shadow::say();
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
    if recording && task::pid() == session.pid() {
        cold::mark(Kind::End, 0);
        close(session);
    }
}
