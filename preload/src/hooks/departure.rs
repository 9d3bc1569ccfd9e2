//! Calls after which the trace may not be found under its name any more, or not be opened: the
//! process gives up rights, changes what it sees of the file system, or sets limits to its
//! descriptors and files. The trace grows before them.

use crate::record::wiped::WIPED;
use crate::session::confine::depart;

use super::next;
use super::trampoline::{call_and_jump, save_arguments};

extern "C" fn before_departure() {
    next::resolve_once();
    depart(&WIPED.session);
}

/// A function that prepares the trace and jumps to the next definition with all registers and the
/// stack as they were.
macro_rules! departure {
    ($($name:ident => $next:ident),* $(,)?) => {
        $(
            #[doc = concat!("`", stringify!($name), "`, with the trace grown before it.\n\n# Safety\nAs in the manual.")]
            #[unsafe(naked)]
            #[cfg_attr(not(test), unsafe(no_mangle))]
            pub unsafe extern "C" fn $name() {
                core::arch::naked_asm!(
                    save_arguments!(),
                    call_and_jump!(),
                    before = sym before_departure,
                    next = sym next::$next,
                );
            }
        )*
    };
}

departure! {
    setuid => SETUID,
    setgid => SETGID,
    seteuid => SETEUID,
    setegid => SETEGID,
    setreuid => SETREUID,
    setregid => SETREGID,
    setresuid => SETRESUID,
    setresgid => SETRESGID,
    setfsuid => SETFSUID,
    setfsgid => SETFSGID,
    setgroups => SETGROUPS,
    initgroups => INITGROUPS,
    chroot => CHROOT,
    unshare => UNSHARE,
    setns => SETNS,
    pivot_root => PIVOT_ROOT,
    setrlimit => SETRLIMIT,
    setrlimit64 => SETRLIMIT64,
    prlimit => PRLIMIT,
    prlimit64 => PRLIMIT64,
}
