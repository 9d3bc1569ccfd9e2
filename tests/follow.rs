//! Traces that are being written: `--follow`, and what else is said of a running process.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdout, Command, Stdio};

use crate::artifacts::artifacts;
use crate::sandbox::setup;
use crate::trace::Row;

/// Reads lines until one has been released whose allocation had this size; returns the addresses
/// that were given out on the way, in order, with their sizes.
fn read_until(lines: &mut std::io::Lines<BufReader<ChildStdout>>, size: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    let mut wanted = None;
    for line in lines {
        let row = Row::parse(&line.unwrap());
        if row.is_free() && row.address == wanted {
            return seen;
        }
        if let Some(size @ 30_001..40_000) = row.size {
            seen.push(size);
        }
        if row.size == Some(size) {
            wanted = row.address;
        }
    }
    panic!("the end before {size}, after {seen:?}");
}

/// Events are printed as they come, each once and in order, and the end of the process is the end.
#[test]
fn events_are_followed_until_the_process_ends() {
    let sandbox = setup("follow");
    let mut host = sandbox.program("batches").preloaded().command;
    let mut host = host.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = host.stdin.take().unwrap();
    input.write_all(&[0; 3]).unwrap();
    let trace = loop {
        match sandbox.traces("trace").pop() {
            Some(trace) => break trace,
            None => std::thread::yield_now(),
        }
    };
    assert_eq!(trace.info().ending(), "still running");

    let mut follow = Command::new(&artifacts().dump);
    follow.args(["--follow", "--format", "csv"]).arg(trace.path()).stdout(Stdio::piped());
    let mut follow = follow.spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("time_ns,"));
    assert_eq!(read_until(&mut lines, 30_005), [30_001, 30_003, 30_005]);
    // More than a block holds.
    input.write_all(&[0; 2000]).unwrap();
    let expected: Vec<u64> = (3..2003).map(|i| 30_001 + 2 * i).collect();
    assert_eq!(read_until(&mut lines, 34_005), expected);
    drop(input);
    assert!(host.wait().unwrap().success());
    assert!(follow.wait().unwrap().success());
    assert_eq!(trace.info().ending(), "exited");
}

/// The command line is in the trace when it is asked for, and only then.
#[test]
fn the_command_line_is_kept_on_request() {
    for (value, expected) in [("1", Some("secret")), ("0", None)] {
        let sandbox = setup("cmdline");
        let host = sandbox.program("exact").arg("secret").env("MALLOOK_CMDLINE", value);
        let run = host.run();
        let info = run.trace().info();
        let said = info.0.get("command line").map(|line| line.rsplit(' ').next().unwrap());
        assert_eq!(said, expected);
    }
}
