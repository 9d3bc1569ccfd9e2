//! Threads: each one's rows are what it did, in its order, and the order of all is a possible one.

use std::collections::HashMap;

use crate::sandbox::setup;
use crate::trace::{by_thread, window};

const THREADS: u64 = 8;
const ROUNDS: u64 = 20_000;

/// The sizes of `threads.c`.
fn size(thread: u64, round: u64, call: u64) -> Option<u64> {
    Some(1_001 + 2 * (((round * 3 + call) % 2_003) * THREADS + thread))
}

/// Eight threads, 100 000 calls each.
#[test]
fn rows_of_each_thread_are_its_program() {
    let sandbox = setup("threads");
    let arguments = [THREADS, ROUNDS].map(|number| number.to_string());
    let run = sandbox.program("threads").args(arguments).run().expect(0);
    let info = run.trace().info();
    assert_eq!((info.lost(), info.overwritten()), (0, 0));

    let mut threads = by_thread(run.trace().rows());
    let (pid, ..) = run.trace().identity();
    threads.remove(&pid).expect("the main thread");
    let mut seen = Vec::new();
    for (tid, rows) in threads {
        let rows = window(&rows);
        let thread = (rows[0].size.unwrap() - 1_001) / 2 % THREADS;
        seen.push(thread);
        assert_eq!(rows.len() as u64, 5 * ROUNDS, "thread {tid}");
        for (round, calls) in (0..).zip(rows.chunks(5)) {
            let [block, other, moved, free_other, free_moved] = calls else { unreachable!() };
            let context = || format!("thread {tid}, round {round}: {calls:#?}");
            let ops = calls.iter().map(|row| row.op).collect::<Vec<_>>();
            assert_eq!(ops, ["malloc", "calloc", "realloc", "free", "free"], "{}", context());
            let sizes = [block, other, moved].map(|row| row.size);
            assert_eq!(sizes, [0, 1, 2].map(|call| size(thread, round, call)), "{}", context());
            assert_eq!(moved.old_address, block.address, "{}", context());
            assert_eq!(free_other.address, other.address, "{}", context());
            assert_eq!(free_moved.address, moved.address, "{}", context());
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..THREADS).collect::<Vec<_>>());
}

/// Threads free each other's blocks, and get each other's addresses at once: still nothing is born
/// where something lives, and nothing dies that does not live.
#[test]
fn addresses_that_move_between_threads_live_one_life_at_a_time() {
    for _ in 0..3 {
        check_handoff();
    }
}

fn check_handoff() {
    let sandbox = setup("handoff");
    let run = sandbox.program("handoff").args(["4", "100000"]).run().expect(0);
    let rows = run.trace().rows();
    let is_ours = |size| size == Some(2_001);
    assert_eq!(rows.iter().filter(|row| is_ours(row.size)).count(), 400_000);
    let mut living = HashMap::new();
    for row in &rows {
        let address = row.address.unwrap();
        if row.is_free() {
            assert!(living.remove(&address).is_some(), "death without life: {row:?}");
        } else {
            if let Some(old) = row.old_address.filter(|&old| old != 0) {
                assert!(living.remove(&old).is_some(), "death without life: {row:?}");
            }
            if address != 0 {
                let before = living.insert(address, row);
                assert!(before.is_none(), "two lives at once: {before:?}, {row:?}");
            }
        }
    }
    assert!(!living.values().any(|row| is_ours(row.size)), "blocks left over");
}
