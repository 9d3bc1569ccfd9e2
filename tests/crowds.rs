//! Robustness, case B17: a thousand threads at once, and very many one after another.

use crate::building::lives;
use crate::sandbox::{Run, Sandbox, length_of_ring, number, setup};

/// The bytes of a thread beside its events: the entries that say who owns a block now, since when, and a
/// rest of a block that is too small for them.
const THREAD_BYTES: u64 = 128;
/// The header, and what is not yet used of the last blocks.
const FIXED_BYTES: u64 = 256 << 10;

fn pairs(run: &Run) -> usize {
    run.said()["pairs"][0].parse().unwrap()
}

fn crowd<'a>(sandbox: &'a Sandbox, case: &str, threads: usize) -> crate::sandbox::Host<'a> {
    sandbox.program("crowd").args([case, &threads.to_string()])
}

#[test]
fn b17_a_thousand_threads_at_once() {
    let (sandbox, threads) = (setup("b17_at_once"), 1_000);
    let run = crowd(&sandbox, "together", threads).run().expect(0).sound();
    let rows = run.trace().rows();
    assert_eq!(lives(&rows, |size| size == 20_001), (pairs(&run), pairs(&run)));
    let workers = crate::trace::by_thread(rows).into_values();
    let full = workers.filter(|rows| rows.iter().any(|row| row.size == Some(20_001)));
    assert_eq!(full.count(), threads);
}

/// All events are there, and dead threads' blocks are used again. The number of threads is
/// `MALLOOK_THREADS`, 100 000 if that is not set.
#[test]
fn b17_short_threads_one_after_another() {
    let (sandbox, threads) = (setup("b17_in_turn"), number("MALLOOK_THREADS", 100_000));
    let run = crowd(&sandbox, "in_turn", threads).run().expect(0).sound();
    let info = run.trace().info();
    let bound = 16 * info.present() + THREAD_BYTES * threads as u64 + FIXED_BYTES;
    let size = run.trace().path().metadata().unwrap().len();
    assert!(size <= bound, "{size} bytes for {} moments", info.present());
    let calls =
        String::from_utf8(run.trace().dump(&["--op", "malloc", "--format", "sizes"]).stdout);
    let births = calls.unwrap().lines().filter(|line| line.contains("20001")).count();
    assert_eq!(births, pairs(&run));
}

#[test]
fn b17_short_threads_one_after_another_in_a_ring() {
    let (sandbox, threads) = (setup("b17_ring"), number("MALLOOK_THREADS", 100_000));
    let full = crowd(&sandbox, "in_turn", 100).env("MALLOOK_PREFIX", "few").run().expect(0);
    let around = |run: &Run| {
        let info = run.trace().info();
        info.present() + info.overwritten() - 2 * pairs(run) as u64
    };
    let few = around(&Run::of(full.output, &sandbox, "few").sound());
    // A thread that was joined may not be quite dead yet: some blocks more than living threads.
    let run = crowd(&sandbox, "in_turn", threads).ring("1M").run().expect(0).sound();
    assert_eq!(run.trace().path().metadata().unwrap().len(), length_of_ring(1 << 20));
    assert_eq!(around(&run), few, "the same stack serves all of them");
}

/// More threads live than the ring has blocks: what cannot be recorded is counted, exactly.
#[test]
fn b17_more_threads_than_blocks_of_the_ring() {
    let sandbox = setup("b17_small");
    let around = |prefix: &str, host: crate::sandbox::Host<'_>| {
        let output = host.env("MALLOOK_PREFIX", prefix).run().output;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let run = Run::of(output, &sandbox, prefix);
        let info = run.trace().info();
        (info.present() + info.overwritten() + info.lost(), info.lost())
    };
    let (all, none) = around("all", crowd(&sandbox, "together", 200));
    assert_eq!(none, 0);
    let (counted, lost) = around("small", crowd(&sandbox, "together", 200).ring("80K"));
    assert!(lost > 0);
    assert_eq!(counted, all);
}
