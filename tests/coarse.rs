//! The coarse clock: everything is there and in its thread's order, though events share times.
//!
//! These are other areas' programs; what a trace holds must not depend on the clock.

use std::time::Duration;

use crate::building::{lives, preload};
use crate::ring::check_newest;
use crate::sandbox::{Host, Random, Run, Sandbox, setup};
use crate::trace::{Row, Trace, by_thread, window};

fn coarse<'a>(sandbox: &'a Sandbox, program: &str) -> Host<'a> {
    sandbox.program(program).env("MALLOOK_CLOCK", "coarse")
}

/// Nothing was lost, and the trace says what clock it has.
fn check_info(run: &Run) {
    for trace in &run.traces {
        let info = trace.info();
        assert_eq!((info.lost(), info.overwritten()), (0, 0), "{trace:?}");
        assert_eq!(info.get("clock"), "coarse", "{trace:?}");
    }
}

/// The calls of a program, without addresses.
fn calls(rows: &[Row]) -> Vec<(&str, Option<u64>, Option<u64>)> {
    window(rows).iter().map(|row| (row.op, row.size, row.alignment)).collect()
}

/// Wide slots, too, which are several at once.
#[test]
fn coarse_or_not_the_rows_are_the_same() {
    let sandbox = setup("coarse");
    let run = coarse(&sandbox, "exact").run().expect(0);
    check_info(&run);
    let sandbox = setup("coarse_not");
    let other = sandbox.program("exact").run().expect(0);
    assert_eq!(calls(&run.trace().rows()), calls(&other.trace().rows()));
}

/// A thread's rows are its program; its times do not go back, as `rows` has checked for all.
#[test]
fn coarse_threads() {
    let (threads, rounds) = (4_u64, 20_000_u64);
    let sandbox = setup("coarse_threads");
    let run = coarse(&sandbox, "threads").args([threads, rounds].map(|n| n.to_string()));
    let run = run.run().expect(0);
    check_info(&run);
    let mut by_thread = by_thread(run.trace().rows());
    by_thread.remove(&run.trace().identity().0).expect("the main thread");
    assert_eq!(by_thread.len() as u64, threads);
    for rows in by_thread.values() {
        let rows = window(rows);
        assert_eq!(rows.len() as u64, 5 * rounds);
        let thread = (rows[0].size.unwrap() - 1_001) / 2 % threads;
        for (round, calls) in (0..).zip(rows.chunks(5)) {
            let ops = calls.iter().map(|row| row.op).collect::<Vec<_>>();
            assert_eq!(ops, ["malloc", "calloc", "realloc", "free", "free"], "{calls:#?}");
            for (call, row) in (0..3).zip(calls) {
                let size = 1_001 + 2 * (((round * 3 + call) % 2_003) * threads + thread);
                assert_eq!(row.size, Some(size), "thread {thread}, round {round}");
            }
            assert_eq!(calls[2].old_address, calls[0].address, "{calls:#?}");
            assert_eq!(calls[3].address, calls[1].address, "{calls:#?}");
            assert_eq!(calls[4].address, calls[2].address, "{calls:#?}");
        }
    }
}

/// Blocks of a ring are used again, and nothing is miscounted.
#[test]
fn coarse_ring() {
    let (threads, pairs) = (2_u64, 100_000_u64);
    let sandbox = setup("coarse_ring");
    let arguments = [threads, pairs].map(|n| n.to_string());
    let run = coarse(&sandbox, "pairs").args(&arguments).ring("256K").run().expect(0);
    let all = coarse(&sandbox, "pairs").args(&arguments).env("MALLOOK_PREFIX", "all");
    all.run().expect(0);
    let (info, all) = (run.trace().info(), sandbox.traces("all")[0].info());
    assert_eq!(info.lost(), 0);
    assert_eq!(info.present() + info.overwritten(), all.present());
    check_newest_of(run.trace(), threads);
}

fn check_newest_of(trace: &Trace, threads: u64) {
    let mut by_thread = by_thread(trace.rows());
    by_thread.remove(&trace.identity().0);
    by_thread.values().for_each(|rows| check_newest(rows, threads, None));
}

/// Killed within bursts: what is there is a thread's program.
#[test]
fn coarse_rings_that_are_killed() {
    let mut random = Random::new();
    for _ in 0..10 {
        let sandbox = setup("coarse_killed");
        let host = coarse(&sandbox, "pairs").args(["2", &u32::MAX.to_string()]).ring("256K");
        let mut child = host.preloaded().command.spawn().unwrap();
        sandbox.first_trace("trace", &mut child);
        std::thread::sleep(Duration::from_micros(random.below(20_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let trace = &sandbox.traces("trace")[0];
        // It may have been killed before its trace had a header.
        if trace.dump(&["--info"]).status.code() == Some(0) {
            assert_eq!(trace.info().lost(), 0);
            check_newest_of(trace, 2);
        }
    }
}

/// A forked child begins with a read of the clock, in a trace of its own.
#[test]
fn coarse_forks() {
    for (case, children) in [("plain", 1), ("at_once", 20), ("thread", 20)] {
        let sandbox = setup("coarse_fork");
        let run = coarse(&sandbox, "fork").arg(case).run().expect(0);
        check_info(&run);
        assert_eq!(run.traces.len(), children + 1, "{case}");
        for child in run.traces_of(&run.pids("child")) {
            assert_eq!(child.identities(), [20_003], "{case}: {child:?}");
        }
    }
}

/// Handlers that allocate interrupt bursts and their clock reads. Within a thread's block times
/// never go back, or the rows would not be in the order of what the handlers interrupt.
#[test]
fn coarse_b7_a_storm_of_signals() {
    for (case, ring) in [("timer", false), ("storm", false), ("storm", true)] {
        let sandbox = setup("coarse_b7");
        let bump = sandbox.library("bump");
        let host = coarse(&sandbox, "interrupted").args([case, "4000"]);
        let host = host.env("LD_PRELOAD", preload(&[], &[&bump]));
        let run = if ring { host.ring("128K") } else { host }.run().expect(0).sound();
        let (info, said) = (run.trace().info(), run.said());
        assert_eq!(info.lost(), 0, "{case}");
        let moments = info.present() + info.overwritten();
        assert_eq!(moments.to_string(), said["moments"][0], "{case}");
        let rows = run.trace().rows();
        for (size, name) in [(21, "pairs"), (35, "outer"), (49, "inner")] {
            let (births, deaths) = lives(&rows, |s| s == size);
            assert_eq!(births, deaths, "{case}: {name}");
            assert!(ring || births.to_string() == said[name][0], "{case}: {name}");
        }
    }
}

/// A clock that is misspelled is named with the values that there are.
#[test]
fn coarse_misspelled() {
    let sandbox = setup("coarse_misspelled");
    let run = sandbox.program("exact").env("MALLOOK_CLOCK", "corse").run();
    assert_eq!(run.output.status.code(), Some(0));
    let stderr = String::from_utf8_lossy(&run.output.stderr);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("MALLOOK_CLOCK=corse (expected tsc, coarse or monotonic)"), "{stderr}");
    assert!(["tsc", "monotonic"].contains(&run.trace().info().get("clock")));
}
