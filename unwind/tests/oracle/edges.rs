//! Cases that a shortcut would get wrong, or would not find again: a test for each of the unwinder's
//! protections that stacks of usual programs do not need.

use std::ffi::CStr;
use std::thread;

use mallook_unwind::{Site, Unwinder};

use crate::host::Sites;
use crate::programs::Program;
use crate::recorder::{self, Against, Heard, Recorder};

/// The observations of a function, in a thread with a stack of its own.
fn record(source: &'static str, against: Against, name: &'static CStr, a: u64, b: u64) -> Heard {
    let work = move || {
        let program = Program::new(source, &["-O2", "-Wl,-z,now"]);
        Recorder::new(against).record(|| _ = program.call(name, a, b))
    };
    thread::Builder::new().stack_size(64 << 20).spawn(work).unwrap().join().unwrap()
}

/// An unknown address ends an attempt, whose frames may lie where kept ones were.
#[test]
fn what_was_passed_by_is_not_met_again() {
    let Heard { stacks, each, .. } = record("edges.c", Against::All, c"passed_by", 1900, 1500);
    assert_eq!(stacks.len(), 3);
    assert!(each.iter().all(|(.., is_cut)| !is_cut), "{each:?}");
    assert!(stacks[1].len() > 1900 && (1500..1600).contains(&stacks[2].len()), "{each:?}");
}

#[test]
fn a_stack_that_was_too_deep_from_the_beginning_stands() {
    let Heard { each, .. } = record("edges.c", Against::All, c"too_deep", 3000, 3);
    assert!(each.len() == 3 && each.iter().all(|(.., is_cut)| *is_cut), "{each:?}");
    assert!(each[1..].iter().all(|(kept, frames, _)| kept * 100 > frames * 95), "{each:?}");
}

/// The frame of the guess is the last one, whatever was kept; and it is looked at again each time.
#[test]
fn a_guess_that_leads_to_nowhere() {
    let Heard { stacks, .. } = record("edges.c", Against::Fresh, c"nowhere", 0, 0);
    let [before, one, two, there, behind] = &stacks[..] else { panic!("{stacks:?}") };
    assert!(before.len() > 5 && behind.len() == before.len());
    for stack in [one, two] {
        assert!(stack.len() == 2 && stack[0] == Site::BROKEN, "{stacks:?}");
    }
    assert!(there.len() == 2 && !there[0].is_pseudo() && there[1] == one[1], "{stacks:?}");
}

#[test]
fn a_stack_that_has_overflown() {
    let Heard { stacks, .. } = record("edges.c", Against::Fresh, c"overflows", 3, 1 << 20);
    // The handler, the kernel's frame, and what was interrupted.
    assert_eq!(stacks.len(), 3);
    assert!(stacks.iter().all(|it| it.len() == 4 && it[0] == Site::BROKEN), "{stacks:?}");
}

/// Frames on a stack that is above what a signal has interrupted stand, too: a search does not go past
/// the kernel's frame to those outside of it, which are further down.
#[test]
fn handlers_above_what_they_interrupt_stand() {
    let Heard { each, .. } = record("signals.c", Against::All, c"signals_above", 5, 1 << 20);
    let sums = each.iter().fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    assert!(sums.0 * 100 > sums.1 * 70, "{sums:?}: {each:?}");
}

/// A stack that is below that of any thread, and on which nothing is.
fn below_all() -> usize {
    let (none, size) = (std::ptr::null_mut(), 1 << 16);
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
    // SAFETY: a fresh mapping.
    let place = unsafe { libc::mmap(none, size, rights, flags, -1, 0) };
    assert_ne!(place, libc::MAP_FAILED);
    place as usize + size / 2
}

/// A handler may go to a coroutine: that the stack pointer of its events is above shows nothing on
/// another stack, and the event that it has interrupted goes on later.
#[test]
fn an_event_on_another_stack_does_not_end_one() {
    let work = move || {
        let program = Program::new("special.c", &["-O2"]);
        let (unwinder, sites) = (Unwinder::new(), Sites::default());
        // SAFETY: reads the auxiliary vector. The kernel puts this on the stack of the first thread.
        let (below, above) = (below_all(), unsafe { libc::getauxval(libc::AT_RANDOM) } as usize);
        let listener = move |at: mallook_unwind::Registers| {
            let own = at.sp;
            assert!(below < own && own < above, "{below:#x} {own:#x} {above:#x}");
            for (lower, upper) in [(below, own), (own, above), (below, above)] {
                let thread = recorder::thread();
                // SAFETY: this thread's.
                let mut turn = unsafe { thread.turn(&sites, own) }.unwrap();
                // The current stack is the own one from here on.
                // SAFETY: the registers of the caller.
                unsafe { turn.capture(&unwinder, &sites, at) };
                drop(turn);
                // SAFETY: this thread's.
                let turn = unsafe { thread.turn(&sites, lower) }.unwrap();
                // SAFETY: likewise.
                assert!(unsafe { thread.turn(&sites, upper) }.is_none(), "{lower:#x} {upper:#x}");
                std::mem::forget(turn);
                // On the same stack, it shows that the event was left.
                // SAFETY: likewise.
                assert_eq!(unsafe { thread.turn(&sites, lower + 64) }.is_some(), lower == own);
            }
        };
        crate::event::listen(listener, || program.call(c"leaps", 1, 2));
    };
    thread::spawn(work).join().unwrap();
}
