//! The right of a thread to be in the slow path, which it never enters twice at once.
//!
//! Asynchronous signals are blocked there, as long as the process lets us make system calls.
//! Signals that the thread raises itself are never blocked: a host that survives its stack
//! overflows gets a signal that is blocked as its death. So the stack is touched before anything
//! changes, as far down as the slow path needs it.
//!
//! The state of a thread, one word of thread-local storage:
//!
//! ```text
//! bits 0, 1 the clock (`super::clock`) | 4..48 the frame in the slow path, 0: none
//!    | 48..64 times that a signal handler was refused
//! ```

use super::confined::is_confined;
use super::signals::SignalsBlocked;
use super::tls;

/// Bytes of stack below the caller that the slow path needs.
const DEPTH: usize = 768;
/// The bits of the clock.
const FLAGS: u64 = 0b1111;
const FRAME: u64 = (1 << 48) - 1 - FLAGS;
const REFUSED: u64 = 1 << 48;
/// Entries that are refused before the frame counts as left by a jump.
const MOST_REFUSED: u64 = 1024;
/// The largest part of a stack on which an outer frame shows that the inner one was left.
const SAME_STACK: u64 = 1 << 20;

/// The thread is in the slow path while this lives.
pub struct SlowPath {
    _signals: Option<SignalsBlocked>,
}

/// Reads the stack at its deepest place, so that a fault comes before anything has changed.
#[inline(always)]
fn touch_stack() {
    // SAFETY: reads where functions will put their frames. Where nothing is mapped, they would fault
    // as well. The stack pointer goes along, as valgrind wants it, and comes back.
    unsafe {
        core::arch::asm!(
            "sub rsp, {depth}",
            "mov {byte}, byte ptr [rsp]",
            "add rsp, {depth}",
            byte = out(reg_byte) _,
            depth = const DEPTH,
            options(readonly),
        );
    }
}

impl SlowPath {
    /// Enters; `None` for a signal handler that has interrupted the thread's slow path.
    #[inline(always)]
    pub fn enter() -> Option<SlowPath> {
        touch_stack();
        let signals = (!is_confined()).then(SignalsBlocked::new);
        let place = 0u8;
        let here = &raw const place as u64 & FRAME;
        let state = tls::state();
        if is_inside(state & FRAME, here) && state / REFUSED < MOST_REFUSED {
            tls::set_state(state + REFUSED);
            return None;
        }
        tls::set_state(state & FLAGS | here);
        Some(SlowPath { _signals: signals })
    }
}

impl Drop for SlowPath {
    fn drop(&mut self) {
        tls::set_state(tls::state() & FLAGS);
    }
}

/// Whether a frame may still be there for a function whose frame is `here`. One that lies a little
/// further down on the same stack was left by `siglongjmp`.
fn is_inside(frame: u64, here: u64) -> bool {
    frame != 0 && !(frame..frame + SAME_STACK).contains(&here)
}

/// The bits of the clock.
pub fn flags() -> u64 {
    tls::state() & FLAGS
}

/// Sets bits of the clock.
pub fn set_flags(flags: u64) {
    tls::set_state(tls::state() | flags & FLAGS);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_is_inside_and_a_caller_is_not() {
        let frame = 0x7fff_0000_1000;
        assert!(!is_inside(0, frame), "no frame");
        assert!(is_inside(frame, frame - 64), "a handler on the same stack");
        assert!(is_inside(frame, 0x5555_0000_0000), "a handler on a stack of its own");
        assert!(is_inside(frame, frame + SAME_STACK), "likewise, above");
        assert!(!is_inside(frame, frame), "the next call after a jump");
        assert!(!is_inside(frame, frame + 4096), "an outer function after a jump");
    }
}
