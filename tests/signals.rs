//! Robustness, cases B about signals, ends and stacks. The names begin with the numbers of the cases.

use std::path::Path;

use crate::building::{lives, preload};
use crate::sandbox::{Host, Run, Sandbox, outcome, setup};
use crate::trace::Row;

/// The sizes of `interrupted.c`: the program's, a handler's, a handler's in a handler.
const SIZES: [u64; 3] = [21, 35, 49];

fn interrupted<'a>(sandbox: &'a Sandbox, case: &str, signals: u64, bump: &Path) -> Host<'a> {
    let host = sandbox.program("interrupted").args([case, &signals.to_string()]);
    host.env("LD_PRELOAD", preload(&[], &[bump]))
}

fn told(run: &Run, name: &str) -> u64 {
    run.said()[name][0].parse().unwrap()
}

/// All that the allocator has counted is there. Handlers begin and end between two instructions of
/// what they interrupt, so what is born later dies earlier.
fn check_nested(run: &Run) {
    let info = run.trace().info();
    assert_eq!((info.lost(), info.overwritten()), (0, 0));
    assert_eq!(info.present(), told(run, "moments"));
    let rows = run.trace().rows();
    for (size, name) in SIZES.into_iter().zip(["pairs", "outer", "inner"]) {
        let count = told(run, name) as usize;
        assert_eq!(lives(&rows, |s| s == size), (count, count), "{name}");
    }
    let mut open: Vec<&Row> = Vec::new();
    let mut nested = 0;
    for row in &rows {
        if row.size.is_some_and(|size| SIZES.contains(&size)) {
            open.push(row);
            nested += usize::from(open.len() > 1);
        } else if row.is_free() && open.last().is_some_and(|last| last.address == row.address) {
            open.pop();
        } else {
            let is_open = open.iter().any(|other| other.address == row.address);
            assert!(!row.is_free() || !is_open, "{row:?} while {:?} lives", open.last());
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert!(nested > 0, "no handler ever came between");
}

#[test]
fn b7_a_handler_that_allocates_ten_thousand_times_a_second() {
    let sandbox = setup("b7_timer");
    let bump = sandbox.library("bump");
    check_nested(&interrupted(&sandbox, "timer", 2_000, &bump).run().expect(0).sound());
}

/// Signals as fast as the kernel sends them: hooks are interrupted everywhere.
#[test]
fn b7_a_storm_of_signals_whose_handler_allocates() {
    let sandbox = setup("b7_storm");
    let bump = sandbox.library("bump");
    check_nested(&interrupted(&sandbox, "storm", 8_000, &bump).run().expect(0).sound());
}

/// Blocks are closed and used again while handlers allocate: every moment is there or counted.
#[test]
fn b7_in_a_ring() {
    for (case, signals) in [("timer", 2_000), ("storm", 8_000)] {
        let sandbox = setup("b7_ring");
        let bump = sandbox.library("bump");
        let host = interrupted(&sandbox, case, signals, &bump).ring("128K");
        let run = host.run().expect(0).sound();
        let info = run.trace().info();
        assert!(info.overwritten() > 0, "{case}");
        assert_eq!(info.present() + info.overwritten(), told(&run, "moments"), "{case}");
        // What is there is in the program's order: a birth, then its death.
        let rows = run.trace().rows();
        let (births, deaths) = lives(&rows, |size| SIZES.contains(&size));
        assert_eq!(births, deaths, "{case}");
    }
}

/// Handlers that leave by `siglongjmp`, from the middle of hooks: the call that was interrupted
/// never ends, so it may be missing; nothing else is.
fn check_jumps(run: &Run) {
    let (info, jumps) = (run.trace().info(), told(run, "jumps"));
    assert!(jumps >= 3_000, "{jumps}");
    let (found, moments) = (info.present() + info.overwritten(), told(run, "moments"));
    // A release is recorded before it is made, all else after it.
    assert!(found.abs_diff(moments) <= jumps, "{found} of {moments}, {jumps} jumps: {info:?}");
}

#[test]
fn b15_handlers_that_jump_out_of_hooks() {
    let sandbox = setup("b15_jumps");
    let bump = sandbox.library("bump");
    let run = interrupted(&sandbox, "jumps", 3_000, &bump).run().expect(0).sound();
    check_jumps(&run);
    let jumps = told(&run, "jumps") as usize;
    assert_eq!(lives(&run.trace().rows(), |size| size == 35), (jumps, jumps), "the handler's own");
}

/// A slot that was handed out and never filled keeps its block open for some time, but not for ever.
#[test]
fn b15_handlers_that_jump_out_of_hooks_in_a_ring() {
    let sandbox = setup("b15_ring");
    let bump = sandbox.library("bump");
    let host = interrupted(&sandbox, "jumps", 3_000, &bump).ring("96K");
    check_jumps(&host.run().expect(0).sound());
}

fn contexts(case: &str) -> Run {
    setup(case).program("contexts").arg(case).run().expect(0).sound()
}

#[test]
fn b15_longjmp_out_of_handlers() {
    let rows = contexts("jump").trace().rows();
    assert_eq!(lives(&rows, |size| size == 20_001), (10_000, 10_000));
    assert_eq!(lives(&rows, |size| size == 20_003), (10_000, 10_000));
}

#[test]
fn b15_coroutines_on_stacks_of_their_own() {
    let rows = contexts("coroutines").trace().rows();
    for number in 0..64 {
        assert_eq!(lives(&rows, |size| size == 1_001 + 2 * number), (200, 200), "{number}");
    }
}

/// The recorder opens the trace, takes blocks and grows the file on a few KiB of stack.
#[test]
fn b15_the_first_event_comes_on_a_small_alternate_stack() {
    let run = contexts("alternate");
    let child = run.trace_of(run.pids("child")[0]);
    assert_eq!(lives(&child.rows(), |size| size == 20_001), (10_000, 10_000));
}

/// Exceptions pass through frames that allocate; then everything that C++ runs at the end.
#[test]
fn b6_b15_destructors_of_cxx_exceptions_and_detached_threads() {
    let sandbox = setup("b6");
    let program = sandbox.build("special/ends.cc", "program", &["-std=c++17"]);
    let early = sandbox.library("early");
    for (prefix, value) in [("before", preload(&[&early], &[])), ("after", preload(&[], &[&early]))]
    {
        let host = sandbox.command(&program).env("LD_PRELOAD", value);
        let output = host.env("MALLOOK_PREFIX", prefix).run().output;
        let run = Run::of(output, &sandbox, prefix).expect(9).sound();
        let rows = run.trace().rows();
        let count = |wanted| lives(&rows, |size| size == wanted);
        for (size, number) in [
            // The program's static object, a thread's, and atexit.
            (20_001, 1),
            (20_003, 1),
            (20_011, 1),
            (20_013, 1),
            (20_041, 1),
            // PTHREAD_DESTRUCTOR_ITERATIONS.
            (20_021, 4),
            // Objects that are unwound, 4 for each exception; and catches.
            (20_031, 4_000),
            (20_033, 4_000),
            (20_035, 1_000),
            // Of the preloaded library, whose destructor runs before or after ours.
            (20_023, 1),
            (20_025, 1),
        ] {
            // 20 021 is the preloaded library's, too.
            let number = number + usize::from(size == 20_021);
            assert_eq!(count(size), (number, number), "{prefix}: {size}");
        }
        let exceptions = rows.iter().filter(|row| row.size == Some(1_003)).count();
        assert_eq!(exceptions, 1_000, "{prefix}");
        // Four threads run until the process is gone; at most one block of each lives on.
        let (births, deaths) = lives(&rows, |size| size == 601);
        assert!(births >= 5_000 && births - deaths <= 4, "{prefix}: {births}, {deaths}");
        assert_eq!(run.trace().info().ending(), "exited", "{prefix}");
    }
}

fn unseen(case: &str) -> Run {
    let sandbox = setup(case);
    let alone = sandbox.program("unseen").arg(case).run_alone();
    assert!(!alone.stdout.is_empty(), "{alone:?}");
    let run = sandbox.program("unseen").arg(case).run().expect(0).sound();
    assert_eq!(outcome(&run.output), outcome(&alone), "with the library, and without");
    run
}

#[test]
fn b8_no_helper_thread() {
    assert_eq!(unseen("threads").said()["threads"], ["1"]);
}

/// The kernel refuses with EINVAL where a second thread is.
#[test]
fn b8_a_user_namespace_can_be_entered() {
    let said = unseen("namespace").said();
    assert_ne!(said["unshare"][0], format!("-1 {}", libc::EINVAL));
}

/// Pending, blocked, ignored and caught signals are at all times what they are without us.
#[test]
fn b9_no_signal_is_touched() {
    let said = unseen("signals").said();
    assert_eq!(said["start"].len(), 5);
    assert!(said["busy"].iter().any(|line| line.starts_with("SigCgt") && !line.ends_with("00")));
}
