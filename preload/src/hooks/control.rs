//! Calls by which a process restricts itself, and by which threads get names.
//!
//! `prctl` and `syscall` take any number of arguments: their hooks look at the first ones, and jump
//! to the next definition with all registers and the stack as they were.

use core::ffi::c_int;

use crate::host::confined::is_confined;
use crate::host::slow_path::SlowPath;
use crate::host::{clock, task};
use crate::record::call::prepare_stacks;
use crate::record::wiped::{WIPED, Wiped};
use crate::record::{cold, names};
use crate::session::confine::confine;

use super::next;
use super::process::before_exit_group;
use super::trampoline::{call_and_jump, save_arguments};

/// The strict mode of `PR_SET_SECCOMP`, and the operations of the system call `seccomp`.
const MODE_STRICT: usize = libc::SECCOMP_MODE_STRICT as usize;
const MODE_FILTER: usize = libc::SECCOMP_MODE_FILTER as usize;
const SET_MODE_STRICT: usize = libc::SECCOMP_SET_MODE_STRICT as usize;
const SET_MODE_FILTER: usize = libc::SECCOMP_SET_MODE_FILTER as usize;

/// The process is about to forbid itself system calls, or what comes before that.
fn before_confinement() {
    let Wiped { buffers, session, .. } = &WIPED;
    // A child that shares its parent's memory confines itself alone.
    if is_confined() || session.pid() != 0 && session.pid() != task::pid() {
        return;
    }
    cold::open();
    let _inside = SlowPath::enter();
    buffers.prepare(|buffers| prepare_stacks(Some(buffers)));
    prepare_stacks(None);
    confine(session);
}

/// The thread is about to forbid itself the time-stamp counter, and, if time `stands_still`, to ask
/// for the time.
fn before_no_counter(stands_still: bool) {
    clock::forbid_counter(stands_still);
    WIPED.buffers.current().leave_hot_path();
}

/// A probe for the filter passes no program, and changes nothing.
fn before_seccomp(is_strict: bool, is_filter: bool, program: usize) {
    if is_strict || is_filter && program != 0 {
        before_confinement();
    }
    if is_strict {
        before_no_counter(true);
    }
}

extern "C" fn before_prctl(option: c_int, value: usize, program: usize) {
    next::resolve_once();
    match option {
        libc::PR_SET_SECCOMP => before_seccomp(value == MODE_STRICT, value == MODE_FILTER, program),
        libc::PR_SET_NO_NEW_PRIVS if value == 1 => before_confinement(),
        libc::PR_SET_TSC if value == libc::PR_TSC_SIGSEGV as usize => before_no_counter(false),
        libc::PR_SET_NAME => names::changed(),
        _ => {}
    }
}

extern "C" fn before_syscall(number: libc::c_long, first: usize, second: usize, third: usize) {
    next::resolve_once();
    match number {
        libc::SYS_prctl => before_prctl(first as c_int, second, third),
        libc::SYS_seccomp => {
            before_seccomp(first == SET_MODE_STRICT, first == SET_MODE_FILTER, third);
        }
        libc::SYS_exit_group => before_exit_group(first as c_int),
        _ => {}
    }
}

/// `prctl`.
///
/// # Safety
/// As in Linux.
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn prctl() {
    core::arch::naked_asm!(
        "cmp edi, {seccomp}",
        "je 2f",
        "cmp edi, {no_new_privs}",
        "je 2f",
        "cmp edi, {tsc}",
        "je 2f",
        "cmp edi, {name}",
        "je 2f",
        "cmp qword ptr [rip + {next}], 0",
        "je 2f",
        "jmp qword ptr [rip + {next}]",
        "2:",
        save_arguments!(),
        call_and_jump!(),
        seccomp = const libc::PR_SET_SECCOMP,
        no_new_privs = const libc::PR_SET_NO_NEW_PRIVS,
        tsc = const libc::PR_SET_TSC,
        name = const libc::PR_SET_NAME,
        before = sym before_prctl,
        next = sym next::PRCTL,
    );
}

/// `syscall`.
///
/// # Safety
/// As in Linux.
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn syscall() {
    core::arch::naked_asm!(
        "cmp rdi, {prctl}",
        "je 2f",
        "cmp rdi, {seccomp}",
        "je 2f",
        "cmp rdi, {exit_group}",
        "je 2f",
        "cmp qword ptr [rip + {next}], 0",
        "je 2f",
        "jmp qword ptr [rip + {next}]",
        "2:",
        save_arguments!(),
        call_and_jump!(),
        prctl = const libc::SYS_prctl,
        seccomp = const libc::SYS_seccomp,
        exit_group = const libc::SYS_exit_group,
        before = sym before_syscall,
        next = sym next::SYSCALL,
    );
}

/// # Safety
/// As in glibc.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_setname_np(
    thread: libc::pthread_t,
    name: *const core::ffi::c_char,
) -> c_int {
    // SAFETY: by contract.
    let error = unsafe { next::PTHREAD_SETNAME_NP.get()(thread, name) };
    names::changed();
    error
}
