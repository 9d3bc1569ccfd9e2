//! The ring: what is there is the newest, whole and in order, and what is not is counted exactly.

use std::fs;
use std::time::Duration;

use mallook_format::{BLOCK_SIZE, CURSOR_OFFSET, Phase, State};

use crate::artifacts::artifacts;
use crate::processes::in_a_pid_namespace;
use crate::sandbox::{Random, Run, Sandbox, length_of_ring, setup, wait_for};
use crate::trace::{Row, Trace, by_thread};

/// The turn and thread that a size of `pairs.c` tells.
fn turn_of(size: u64, threads: u64) -> (u64, u64) {
    ((size - 1) / threads, (size - 1) % threads)
}

fn run(sandbox: &Sandbox, ring: Option<&str>, threads: u64, pairs: u64) -> Run {
    let host = sandbox.program("pairs").args([threads.to_string(), pairs.to_string()]);
    let host = host.env("MALLOOK_PREFIX", ring.unwrap_or("full"));
    let run = match ring {
        Some(size) => host.ring(size).run(),
        None => host.run(),
    };
    assert!(run.output.status.success(), "{:?}", run.output);
    run
}

/// The call moments of the program apart from its pairs: start-up, threads, end.
fn moments_around(threads: u64) -> u64 {
    let sandbox = setup("around");
    run(&sandbox, None, threads, 0);
    let [trace] = &sandbox.traces("full")[..] else { panic!("not one trace") };
    moments(&trace.rows())
}

fn moments(rows: &[Row]) -> u64 {
    rows.iter().map(Row::moments).sum()
}

/// Checks that the rows of a working thread are its program up to some moment, without a gap, and
/// up to its end where that is known. Returns the thread's number and how many turns are there.
pub fn check_newest(rows: &[Row], threads: u64, pairs: Option<u64>) {
    let ours = |row: &&Row| row.size.is_some_and(|size| size <= 509 * threads);
    // A release at the start belongs to a block whose birth was overwritten.
    let start = rows.iter().position(|row| ours(&row)).unwrap_or(rows.len());
    assert!(rows[..start].len() <= 1 || !rows[start..].is_empty(), "{:?}", &rows[..start]);
    let rows = &rows[start..];
    let Some(first) = rows.first() else { return };
    let (first_turn, thread) = turn_of(first.size.unwrap(), threads);
    let mut turns = 0;
    for (turn, pair) in (first_turn..).zip(rows.chunks(2)) {
        let expected = 1 + (turn % 509) * threads + thread;
        assert_eq!((pair[0].op, pair[0].size), ("malloc", Some(expected)), "turn {turn}");
        if let Some(free) = pair.get(1) {
            assert_eq!((free.op, free.address), ("free", pair[0].address), "turn {turn}");
        }
        turns = turn;
    }
    if let Some(pairs) = pairs {
        assert_eq!(rows.len() % 2, 0);
        assert_eq!(turns % 509, (pairs - 1) % 509, "thread {thread} does not reach its end");
    }
}

fn only_trace(sandbox: &Sandbox, prefix: &str) -> Trace {
    let mut traces = sandbox.traces(prefix);
    assert_eq!(traces.len(), 1);
    traces.remove(0)
}

/// Ten million events from four threads in one MiB.
#[test]
fn ten_million_events_in_a_mebibyte() {
    let (threads, pairs) = (4, 1_250_000);
    let around = moments_around(threads);
    let sandbox = setup("ring");
    run(&sandbox, Some("1M"), threads, pairs);
    let trace = only_trace(&sandbox, "1M");
    assert_eq!(trace.path().metadata().unwrap().len(), length_of_ring(1 << 20));
    let rows = trace.rows();
    let info = trace.info();
    let present = moments(&rows);
    assert_eq!(info.lost(), 0);
    assert_eq!(info.overwritten() + present, 2 * threads * pairs + around);
    // All blocks but those that are in use are full.
    assert!(present > (63 - 2 * (threads + 1)) * 1_000, "{present} events present");

    let mut by_thread = by_thread(rows);
    by_thread.remove(&trace.identity().0).expect("the main thread");
    assert_eq!(by_thread.len() as u64, threads);
    for rows in by_thread.values() {
        check_newest(rows, threads, Some(pairs));
    }
}

/// Sixteen threads share four blocks: most have none, and what they do is counted as lost.
#[test]
fn more_threads_than_blocks() {
    let (threads, pairs) = (16, 20_000);
    let around = moments_around(threads);
    let sandbox = setup("crowd");
    run(&sandbox, Some("80K"), threads, pairs);
    let trace = only_trace(&sandbox, "80K");
    assert_eq!(trace.path().metadata().unwrap().len(), length_of_ring(80 << 10));
    let rows = trace.rows();
    let info = trace.info();
    assert!(info.lost() > 0);
    let total = info.overwritten() + info.lost() + moments(&rows);
    assert_eq!(total, 2 * threads * pairs + around);
}

/// Killed in the middle: the trace is whole, and it accounts for at least what was done and at most
/// what was begun.
#[test]
fn a_killed_ring() {
    let threads: u64 = 2;
    let around = moments_around(threads);
    let mut random = Random::new();
    for _ in 0..20 {
        let sandbox = setup("killed");
        let counters = sandbox.file("counters", vec![0; 128 * threads as usize]);
        let arguments = [threads.to_string(), u64::from(u32::MAX).to_string()];
        let host = sandbox.program("pairs").args(arguments).arg(&counters).ring("256K");
        let mut child = host.preloaded().command.spawn().unwrap();
        let count = |offset: usize| -> u64 {
            let bytes = fs::read(&counters).unwrap();
            let of = |t| u64::from_le_bytes(bytes[t * 128 + offset..][..8].try_into().unwrap());
            (0..threads as usize).map(of).sum()
        };
        wait_for("pairs", || (count(64) >= 50_000).then_some(()));
        std::thread::sleep(Duration::from_micros(random.below(20_000)));
        child.kill().unwrap();
        child.wait().unwrap();

        let trace = only_trace(&sandbox, "trace");
        let rows = trace.rows();
        let info = trace.info();
        assert_eq!(info.lost(), 0);
        // Whatever happens around the pairs has happened by now, but for the end.
        let recorded = info.overwritten() + moments(&rows);
        let (done, begun) = (count(64), count(0));
        assert!(recorded >= done, "{recorded} recorded, {done} done");
        assert!(recorded <= begun + around, "{recorded} recorded, {begun} begun, {around} around");
        let mut by_thread = by_thread(rows);
        by_thread.remove(&trace.identity().0).expect("the main thread");
        for rows in by_thread.values() {
            check_newest(rows, threads, None);
        }
    }
}

/// A thread that is killed between taking a block and opening it leaves one of the next turn that
/// still holds all of the last one: what was in there, and what had been before, still counts.
#[test]
fn a_block_that_was_just_taken_still_counts() {
    let (threads, pairs) = (1, 100_000);
    let sandbox = setup("taken");
    run(&sandbox, Some("1M"), threads, pairs);
    let trace = only_trace(&sandbox, "1M");
    let info = trace.info();
    let total = info.overwritten() + info.present();

    let mut bytes = fs::read(trace.path()).unwrap();
    let word = |bytes: &[u8], offset| u64::from_le_bytes(bytes[offset..][..8].try_into().unwrap());
    let state = |block| State::from_word(word(&bytes, block * BLOCK_SIZE)).unwrap();
    let closed = (1..64).filter(|&block| state(block).phase == Phase::Closed);
    // The oldest one is the next to be taken: its next turn is 63 claims later.
    let oldest = closed.min_by_key(|&block| state(block).sequence).expect("a closed block");
    let last = state(oldest);
    let sequence = last.sequence + 63;
    let taken = State { sequence, parity: last.parity ^ 1, phase: Phase::Preparing };
    let cursor = word(&bytes, CURSOR_OFFSET).max(sequence + 1);
    bytes[oldest * BLOCK_SIZE..][..8].copy_from_slice(&taken.word().to_le_bytes());
    bytes[CURSOR_OFFSET..][..8].copy_from_slice(&cursor.to_le_bytes());
    let trace = Trace::new(sandbox.file("taken.1.1.0", bytes));
    let info = trace.info();
    assert_eq!(info.overwritten() + info.present(), total);
}

/// Events of several slots leave some at the end of a block: which must not show what an earlier
/// turn of the ring has left there, while the block is the one that is written to.
#[test]
fn a_ring_that_ends_anywhere_is_the_end_of_its_program() {
    let mut random = Random::new();
    for _ in 0..30 {
        let turns = 20_000 + random.below(2_000);
        let calls = (0..turns).flat_map(|turn| {
            let born = ("malloc", Some(1_001 + 2 * (turn % 509)));
            match (turn % 3, turn % 4) {
                (0, _) => vec![("malloc", Some(i64::MAX as u64 - turn))],
                (_, 1) => vec![born],
                _ => vec![born, ("free", None)],
            }
        });
        let calls: Vec<_> = calls.collect();
        let sandbox = setup("suffix");
        let run = sandbox.program("suffix").arg(turns.to_string()).ring("80K").run().expect(0);
        let (rows, info) = (run.trace().rows(), run.trace().info());
        let found: Vec<_> = rows.iter().map(|row| (row.op, row.size)).collect();
        assert!(found.len() < calls.len() && found.len() > 1_500, "{turns} turns: {info:?}");
        let from = calls.len() - found.len();
        let differs = found.iter().zip(&calls[from..]).position(|(found, call)| found != call);
        assert_eq!(differs, None, "{turns} turns, {} rows: {info:?}", found.len());
        assert_eq!(info.lost(), 0);
        assert_eq!(info.present() + info.overwritten(), calls.len() as u64, "{turns} turns");
    }
}

/// A dead thread leaves a block that is not full, of which the ring makes another use: that must not
/// show what an earlier use has left where the dead thread has not come to.
#[test]
fn blocks_of_dead_threads_are_used_again() {
    let sandbox = setup("heirs");
    let before = sandbox.program("heirs").arg("0").run().expect(0).trace().info().present();
    let mut random = Random::new();
    for _ in 0..30 {
        let pairs = random.below(6_000);
        let sandbox = setup("heirs");
        let run = sandbox.program("heirs").arg(pairs.to_string()).ring("80K").run().expect(0);
        let info = run.sound().trace().info();
        assert_eq!(info.present() + info.overwritten(), before + 2 * pairs, "{pairs}: {info:?}");
    }
}

/// Threads that get the IDs of dead ones do not keep those alive: their blocks are used again.
#[test]
fn thread_ids_that_are_used_again() {
    let sandbox = setup("reused");
    // Whoever sets the next PID sets it for all.
    let Some(host) = in_a_pid_namespace("thread_ids_that_are_used_again", &sandbox) else { return };
    let host = host.arg(artifacts().program("reused")).args(["30", "12"]).ring("1M");
    let run = Run::of(host.run_alone(), &sandbox, "trace").expect(0).sound();
    let said = run.said();
    if said.contains_key("unavailable") {
        crate::sandbox::skip("thread_ids_that_are_used_again", "the right to set the next PID");
        return;
    }
    assert!(said["same"][0].parse::<u64>().unwrap() > 30, "{said:?}");
    let info = run.trace().info();
    assert_eq!(info.lost(), 0, "{info:?}");
    assert!(info.overwritten() > 100_000, "{info:?}");
}
