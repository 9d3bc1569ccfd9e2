//! SIGKILL at any moment: every trace is read back whole, and each thread's rows are a prefix of
//! what the thread did.

use std::time::Duration;

use crate::sandbox::{Random, number, outcome, setup, skip};
use crate::trace::{Row, by_thread};

/// The program of `endless.c`: the calls of a thread, from the first to the n-th.
fn program(thread: u64) -> impl Iterator<Item = (&'static str, Option<u64>)> {
    (0..).flat_map(move |turn| {
        let size = 3_001 + 2 * (turn % 1_511) + thread;
        let grown = (turn % 7 == 3).then_some(("realloc", Some(size + 3_022)));
        [("malloc", Some(size))].into_iter().chain(grown).chain([("free", None)])
    })
}

/// Whether a row belongs to the endless part: its sizes, or releases of such a block.
fn check_prefix(tid: u32, rows: &[Row]) -> usize {
    let is_first = |row: &Row| row.op == "malloc" && matches!(row.size, Some(3_001 | 3_002));
    let Some(start) = rows.iter().position(is_first) else { return 0 };
    let rows = &rows[start..];
    let thread = rows[0].size.unwrap() - 3_001;
    let mut block = None;
    for (position, (row, (op, size))) in rows.iter().zip(program(thread)).enumerate() {
        let context = || format!("thread {tid}, call {position}: {row:?}");
        assert_eq!((row.op, row.size), (op, size), "{}", context());
        match op {
            "free" => assert_eq!(row.address, block, "{}", context()),
            "realloc" => assert_eq!(row.old_address, block, "{}", context()),
            _ => assert!(row.address.is_some(), "{}", context()),
        }
        // Only the very last call can have been cut off in its middle.
        assert!(row.address.is_some() || position + 1 == rows.len(), "{}", context());
        block = row.address;
    }
    rows.len()
}

/// The number of moments is `MALLOOK_KILLS`, 200 if that is not set. Half of them are random times
/// after the start of the process, half are random times after its trace has appeared.
#[test]
fn every_trace_of_a_killed_process_is_a_prefix_of_its_program() {
    let mut random = Random::new();
    let (mut calls, mut unreadable) = (0, Vec::new());
    for turn in 0..number("MALLOOK_KILLS", 200) {
        let sandbox = setup("kill");
        let mut child = sandbox.program("endless").preloaded().command.spawn().unwrap();
        if turn % 2 == 0 {
            sandbox.first_trace("trace", &mut child);
        }
        std::thread::sleep(Duration::from_micros(random.below(4_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        for trace in sandbox.traces("trace") {
            let output = trace.dump(&["--info"]);
            if output.status.code() != Some(0) {
                unreadable.push(outcome(&output).2);
                continue;
            }
            let threads = by_thread(trace.rows());
            assert!(threads.len() <= 2, "{threads:?}");
            calls += threads.iter().map(|(tid, rows)| check_prefix(*tid, rows)).sum::<usize>();
            let info = trace.info();
            assert_eq!((info.lost(), info.overwritten()), (0, 0));
            assert_eq!(info.ending(), "killed or cut off");
        }
    }
    assert!(unreadable.is_empty(), "{} traces cannot be read: {unreadable:#?}", unreadable.len());
    assert!(calls > 0, "no process lived long enough to do anything");
}

/// SIGKILL at every instruction of some calls, where a new block begins among them: what a killed
/// process leaves is what its parent sees when it steps it, and a slot that is there is there whole. It has
/// what it refers to: the slots of its stack, as those of all before it, are there already.
#[test]
fn at_every_instruction_a_slot_is_whole_or_not_there() {
    let test = "at_every_instruction_a_slot_is_whole_or_not_there";
    for (clock, mode) in [
        ("tsc", "full"),
        ("coarse", "full"),
        ("tsc", "ring"),
        ("tsc", "stacks"),
        ("coarse", "stacks"),
    ] {
        let sandbox = setup("steps");
        let host = sandbox.program("steps").arg("trace").env("MALLOOK_CLOCK", clock);
        let host = match mode {
            "ring" => host.ring("80K"),
            "stacks" => host.env("MALLOOK_STACK", "full"),
            _ => host,
        };
        let said = host.run().expect(0).said();
        if said.contains_key("unavailable") {
            skip(test, "ptrace");
            return;
        }
        let number = |name: &str| said[name][0].parse::<u64>().unwrap();
        assert_eq!(number("changed"), 0, "{clock}, {mode}: {said:?}");
        // In a ring, slots of another round are in front.
        assert!(mode == "ring" || number("ahead") == 0, "{clock}, {mode}: {said:?}");
        println!("{clock}, {mode}: {said:?}");
        // Six slots a turn: malloc, two of realloc, free, two of a size that needs a prefix.
        assert!(number("slots") >= 40 * 6, "{clock}, {mode}: {said:?}");
    }
}
