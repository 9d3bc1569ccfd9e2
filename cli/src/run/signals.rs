//! Signals that reach the launcher (`mallook run`) end up at the program, once, and the launcher
//! outlives it.
//!
//! Everything is blocked and taken with sigwaitinfo(2), one signal after the other: no handler
//! runs, no system call is interrupted, and what arrives before the program exists waits for it.
//!
//! A terminal sends its signals to the whole foreground process group, so that the program has
//! them already; only what another process sent to the launcher is passed on. (A process that
//! sends to the whole group cannot be told apart: the program then gets the signal twice, as it
//! does `SIGCONT` from a shell.)
//!
//! Signals that were ignored when the launcher started are not blocked and stay ignored, in the program
//! too. `SIGPIPE` is the exception: the Rust runtime has ignored it before `main` could look, and the
//! program gets the default.

use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::ptr;

use libc::{c_int, pid_t, siginfo_t, sigset_t};

/// Faults of the launcher itself, for which there is no waiting.
const FAULTS: [c_int; 7] = [
    libc::SIGABRT,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGSEGV,
    libc::SIGSYS,
    libc::SIGTRAP,
];

/// The blocked signals, and how things were before.
pub struct Signals {
    blocked: Set,
    mask: Set,
    children_ignored: bool,
}

impl Signals {
    /// Blocks all signals but faults and those that are ignored.
    pub fn block() -> Signals {
        // With SIGCHLD ignored, the kernel would throw the exit code away.
        let children_ignored = is_ignored(libc::SIGCHLD);
        if children_ignored {
            set_disposition(libc::SIGCHLD, libc::SIG_DFL);
        }
        let mut blocked = Set::full();
        for signal in 1..=libc::SIGRTMAX() {
            if FAULTS.contains(&signal) || is_ignored(signal) {
                blocked.remove(signal);
            }
        }
        Signals { mask: blocked.apply(libc::SIG_BLOCK), blocked, children_ignored }
    }

    /// Lets the program start with the mask and dispositions that the launcher was started with.
    pub fn restore_in(&self, command: &mut Command) {
        let (mask, children_ignored) = (self.mask, self.children_ignored);
        let restore = move || {
            if children_ignored {
                set_disposition(libc::SIGCHLD, libc::SIG_IGN);
            }
            mask.apply(libc::SIG_SETMASK);
            Ok(())
        };
        // SAFETY: the closure makes two system calls and touches only its own copies, which is
        // allowed between fork and exec.
        unsafe { command.pre_exec(restore) };
    }

    /// Passes signals on until the program has ended.
    pub fn see_through(&self, program: Child) -> io::Result<ExitStatus> {
        // A process ID is a positive pid_t.
        let pid = program.id() as pid_t;
        loop {
            let signal = self.blocked.wait()?;
            if signal.si_signo != libc::SIGCHLD {
                if is_for_program(&signal, pid) {
                    send(pid, signal.si_signo);
                }
                continue;
            }
            // One SIGCHLD can stand for several changes, or for a child that was inherited.
            while let Some(status) = poll(pid)? {
                match status.stopped_signal() {
                    Some(signal) => stop_too(signal),
                    None => return Ok(status),
                }
            }
        }
    }
}

/// Ends this process by the signal, without a second core dump. Returns if the signal is harmless.
pub fn die_of(signal: c_int) {
    // SAFETY: PR_SET_DUMPABLE takes one plain number. Unlike a limit of 0 on the size of core
    // dumps, it also holds where the kernel pipes them into a program.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) };
    set_disposition(signal, libc::SIG_DFL);
    deliver(signal);
}

/// Stops the launcher with the program, so that the shell sees a stopped job. `SIGCONT` from the
/// shell goes to both. A plain `SIGSTOP` is a matter between its sender and the program.
fn stop_too(signal: c_int) {
    if matches!(signal, libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU) {
        deliver(signal);
    }
}

/// Lets the signal, which should be blocked, act on the launcher.
///
/// It is raised before it is unblocked: together with one that the terminal sent, it then stops
/// the launcher once and not twice.
fn deliver(signal: c_int) {
    // SAFETY: raise(3) has no precondition.
    unsafe { libc::raise(signal) };
    let before = Set::only(signal).apply(libc::SIG_UNBLOCK);
    before.apply(libc::SIG_SETMASK);
}

/// Whether the program would miss this signal if it were not passed on.
fn is_for_program(signal: &siginfo_t, program: pid_t) -> bool {
    let by_kernel = signal.si_code > 0;
    match signal.si_signo {
        // A timer from before the launcher's exec, which fork does not hand down.
        libc::SIGALRM => true,
        // When a terminal goes away, only the leader of its session is told.
        libc::SIGHUP if by_kernel => leads_session(),
        // The program has what it sent to its process group.
        _ => !by_kernel && sender(signal) != program,
    }
}

fn sender(signal: &siginfo_t) -> pid_t {
    // SAFETY: the field lies within the structure, which sigwaitinfo(2) filled, and any bytes are
    // a valid number.
    unsafe { signal.si_pid() }
}

fn leads_session() -> bool {
    // SAFETY: getsid(2) has no precondition.
    let session = unsafe { libc::getsid(0) };
    u32::try_from(session) == Ok(std::process::id())
}

/// The number of a process that has not been waited for is its own, so this meets no stranger.
fn send(pid: pid_t, signal: c_int) {
    // SAFETY: kill(2) has no precondition. It fails if the program has other rights than we have;
    // then the sender's signal has no effect, as if it had been sent there directly.
    unsafe { libc::kill(pid, signal) };
}

/// A change in the state of the child, if there is one to tell of.
fn poll(pid: pid_t) -> io::Result<Option<ExitStatus>> {
    let mut status = 0;
    // SAFETY: the pointer is valid for writing a number.
    match unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG | libc::WUNTRACED) } {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(Some(ExitStatus::from_raw(status))),
    }
}

fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null pointer changes nothing, the other is valid for writing.
    unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: a structure of numbers and an optional function, for all of which zeros are valid,
    // in case that the call failed for a signal that the C library keeps to itself.
    let action = unsafe { action.assume_init() };
    action.sa_sigaction == libc::SIG_IGN
}

/// `SIG_DFL` or `SIG_IGN`.
fn set_disposition(signal: c_int, disposition: libc::sighandler_t) {
    // SAFETY: neither disposition runs code of this process.
    unsafe { libc::signal(signal, disposition) };
}

/// A set of signals.
#[derive(Clone, Copy)]
struct Set(sigset_t);

impl Set {
    fn full() -> Set {
        let mut set = MaybeUninit::uninit();
        // SAFETY: the pointer is valid for writing a set.
        unsafe { libc::sigfillset(set.as_mut_ptr()) };
        // SAFETY: sigfillset(3) has written it and cannot fail on a valid pointer.
        Set(unsafe { set.assume_init() })
    }

    fn only(signal: c_int) -> Set {
        let mut set = MaybeUninit::uninit();
        // SAFETY: the pointer is valid for writing a set.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: sigemptyset(3) has written it and cannot fail on a valid pointer.
        let mut set = Set(unsafe { set.assume_init() });
        // SAFETY: the set is initialised. An unknown signal leaves it empty.
        unsafe { libc::sigaddset(&mut set.0, signal) };
        set
    }

    fn remove(&mut self, signal: c_int) {
        // SAFETY: the set is initialised. An unknown signal leaves it as it is.
        unsafe { libc::sigdelset(&mut self.0, signal) };
    }

    /// Changes the mask of this thread, the only one, and returns the mask of before.
    fn apply(&self, how: c_int) -> Set {
        let mut before = Set::full();
        // SAFETY: both sets are initialised. It fails only for an unknown `how`.
        unsafe { libc::pthread_sigmask(how, &self.0, &mut before.0) };
        before
    }

    /// Waits for a signal of the set, which must be blocked, and takes it.
    fn wait(&self) -> io::Result<siginfo_t> {
        let mut info = MaybeUninit::zeroed();
        loop {
            // SAFETY: the set is initialised and the pointer is valid for writing.
            if unsafe { libc::sigwaitinfo(&self.0, info.as_mut_ptr()) } > 0 {
                // SAFETY: the call succeeded and has filled it.
                return Ok(unsafe { info.assume_init() });
            }
            let error = io::Error::last_os_error();
            // Being stopped and continued interrupts the call.
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}
