//! The life of the process: start, fork, exec and the end.
//!
//! Whose memory it is must be known before a child that shares it may record there. The rest is not
//! needed for the trace to be right; it puts markers where they belong, and gives back space at a
//! clean end. `vfork` and `posix_spawn` are not touched: their children write into
//! their parent's trace until they exec.

use core::sync::atomic::Ordering::Relaxed;

use mallook_format::{BLOCK_SIZE, CURSOR_CLOSED, Control, Kind, Loss, Mode};

use crate::state::{Phase, WIPED};
use crate::sys::{self, SignalsBlocked};
use crate::{file, next, recorder};

/// # Safety
/// As in POSIX.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn fork() -> libc::pid_t {
    recorder::mark_self(Kind::Forking);
    let session = &WIPED.session;
    let parent = session.pid();
    // SAFETY: by contract.
    let child = unsafe { next::FORK.get()() };
    if child > 0 {
        recorder::mark(Kind::Forked, child as u32);
    } else if child == 0 && parent != 0 {
        // The memory is wiped in a child of this one, too.
        session.belongs_to(sys::pid(), parent);
    }
    child
}

extern "C" fn before_exec() {
    next::resolve_once();
    recorder::mark_self(Kind::Exec);
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
/// could not tell any more whose memory it is.
#[cfg_attr(test, allow(dead_code, reason = "only the loader calls it"))]
extern "C" fn at_start() {
    // What does not work is said when there is something to record.
    let _ = WIPED.session.identify();
}

#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_END: extern "C" fn() = at_end;

/// The clean end: one marker, and the space behind the last claimed block goes back.
#[cfg_attr(test, allow(dead_code, reason = "only the loader calls it"))]
extern "C" fn at_end() {
    let session = &WIPED.session;
    let phase = session.settled_phase();
    if !matches!(phase, Phase::Recording | Phase::Stopped) || sys::pid() != session.pid() {
        return;
    }
    recorder::mark(Kind::End, 0);
    let Some(live) = session.live() else { return };
    live.control.fetch_or(Control::ENDED, Relaxed);
    if session.mode() == Mode::Full {
        let _signals = SignalsBlocked::new();
        if session.advance(Phase::Recording, Phase::Closing) {
            // From here on a claim allocates its own block, and waits for the phase to change.
            let claimed = live.cursor.fetch_or(CURSOR_CLOSED, Relaxed) & !CURSOR_CLOSED;
            let length = (claimed + 1) * BLOCK_SIZE as u64;
            let _ = file::with_file(session, |file| {
                // SAFETY: blocks behind the last claimed one are not in use.
                unsafe { sys::truncate(file, length) }.map_err(|_| Loss::Space)
            });
            session.set_phase(Phase::Closed);
        }
    }
}
