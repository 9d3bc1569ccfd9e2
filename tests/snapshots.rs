//! `mallook snapshot`: copies of traces that are being written.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::artifacts::artifacts;
use crate::sandbox::{Sandbox, number, setup};
use crate::trace::{Row, Trace, by_thread};

fn snapshot(source: impl AsRef<OsStr>, output: &Path) -> Output {
    let mut command = Command::new(&artifacts().mallook);
    command.arg("snapshot").arg(source).arg("-o").arg(output).output().unwrap()
}

/// Takes a copy, which must be whole, and nothing but what is missing may be said.
fn taken(source: impl AsRef<OsStr>, output: &Path) -> Trace {
    let _ = fs::remove_file(output);
    let said = snapshot(source, output);
    let stderr = String::from_utf8_lossy(&said.stderr);
    let news = stderr.lines().find(|line| !line.contains(" events are missing: "));
    assert_eq!((said.status.code(), news), (Some(0), None), "{said:?}");
    Trace::new(output.to_owned())
}

/// A program that runs until it is dropped, and its trace.
struct Running {
    child: Child,
    trace: Trace,
}

impl Running {
    fn start(sandbox: &Sandbox, program: &str, variables: &[(&str, &str)]) -> Running {
        let mut host = sandbox.program(program).arg("4");
        for (name, value) in variables {
            host = host.env(name, value);
        }
        let mut host = host.preloaded();
        let mut child = host.command.stdout(Stdio::null()).spawn().unwrap();
        let trace = sandbox.first_trace("trace", &mut child);
        Running { child, trace }
    }

    fn signal(&self, signal: i32) {
        // SAFETY: our own child, which was not waited for.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(self.trace.path());
    }
}

/// Threads that free each other's blocks: each copy has the causes of all that it has. `MALLOOK_SNAPSHOTS`
/// is the number of copies of a process.
#[test]
fn each_copy_of_a_growing_trace_is_a_moment_of_its_process() {
    for stacks in ["off", "full"] {
        for _ in 0..2 {
            let sandbox = setup("snapshots");
            let running = Running::start(&sandbox, "exchange", &[("MALLOOK_STACK", stacks)]);
            let copy = sandbox.path().join("copy");
            let mut moments = 0;
            for turn in 0..number("MALLOOK_SNAPSHOTS", 15) {
                running.signal(libc::SIGCONT);
                let source = running.child.id().to_string();
                let trace = taken(&source, &copy);
                // So that the file does not grow much faster than it is read.
                running.signal(libc::SIGSTOP);
                trace.check();
                let info = trace.info();
                assert_eq!((info.lost(), info.overwritten()), (0, 0), "{stacks}, {turn}");
                assert!(info.present() >= moments, "{stacks}, {turn}");
                moments = info.present();
            }
        }
    }
}

/// In a ring, each thread has a stretch of its events without a gap, and it is whole.
#[test]
fn each_copy_of_a_ring_has_threads_without_gaps() {
    let mut rows = 0;
    for size in ["80K", "1M"] {
        let sandbox = setup("ring_copies");
        let variables = [("MALLOOK_MODE", "ring"), ("MALLOOK_SIZE", size)];
        let running = Running::start(&sandbox, "endless", &variables);
        let copy = sandbox.path().join("copy");
        for turn in 0..number("MALLOOK_SNAPSHOTS", 40) {
            running.signal(libc::SIGCONT);
            let trace = taken(running.trace.path(), &copy);
            running.signal(libc::SIGSTOP);
            trace.check_what_is_there();
            for (tid, rows_of) in by_thread(trace.rows()) {
                rows += rows_of.len();
                check_stretch(&rows_of, &format!("{size}, {turn}, thread {tid}"));
            }
        }
    }
    assert!(rows > 10_000, "{rows}");
}

/// The sizes of `endless.c` follow each other.
fn check_stretch(rows: &[Row], context: &str) {
    let turn = |row: &Row| match row.size {
        Some(size @ 3_001..6_023) if row.op == "malloc" => Some((size - 3_001) / 2),
        _ => None,
    };
    let turns: Vec<_> = rows.iter().filter_map(turn).collect();
    for pair in turns.windows(2) {
        assert_eq!((pair[0] + 1) % 1_511, pair[1], "{context}");
    }
}

/// A copy has the stacks of its events: their sites are there.
#[test]
fn stacks_are_in_the_copy() {
    for (mode, size) in [("full", "1M"), ("ring", "1M")] {
        let sandbox = setup("copied_stacks");
        let variables = [("MALLOOK_MODE", mode), ("MALLOOK_SIZE", size), ("MALLOOK_STACK", "full")];
        let running = Running::start(&sandbox, "endless", &variables);
        let copy = sandbox.path().join("copy");
        for turn in 0..10 {
            running.signal(libc::SIGCONT);
            let trace = taken(running.trace.path(), &copy);
            running.signal(libc::SIGSTOP);
            let folded = trace.read(&["--format", "folded"]);
            assert!(!folded.contains("[unknown]"), "{mode}, {turn}: {folded}");
            let innermost = |line: &str| line.rsplit(';').next().unwrap_or_default().to_owned();
            let is_work = folded.lines().any(|line| innermost(line).starts_with("work"));
            let has_events = trace.info().present() > 100;
            assert!(!has_events || is_work, "{folded}");
        }
    }
}

/// Of a process that has ended the copy is the trace, holes included.
#[test]
fn the_copy_of_a_trace_of_the_past_is_the_same_trace() {
    let sandbox = setup("past_copy");
    let run = sandbox.program("exact").run();
    let trace = run.trace();
    let copy = taken(trace.path(), &sandbox.path().join("copy"));
    assert_eq!(copy.rows(), trace.rows());
    assert_eq!(copy.info().ending(), trace.info().ending());
    let space = |trace: &Trace| trace.path().metadata().unwrap().blocks();
    assert!(space(&copy) <= space(trace) + 8, "{} {}", space(&copy), space(trace));
}

/// A copy that cannot be made is refused with the reason, and no file appears.
#[test]
fn what_cannot_be_copied() {
    let sandbox = setup("no_copy");
    let output = sandbox.path().join("copy");
    let text = sandbox.file("text", "no trace at all");
    let golden = crate::artifacts::tests().join("golden/v1.trace");
    for (source, target, expected) in [
        (text.as_os_str(), &output, "text is no mallook trace"),
        ("/nowhere/trace".as_ref(), &output, "cannot open /nowhere/trace"),
        ("2147483646".as_ref(), &output, "there is no process 2147483646"),
        (sandbox.path().as_os_str(), &output, "it is no file"),
        (golden.as_os_str(), &golden, "it is a trace that is read"),
    ] {
        let said = snapshot(source, target);
        let stderr = String::from_utf8_lossy(&said.stderr);
        assert_eq!(said.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(expected), "{expected}: {stderr}");
        assert!(!output.exists());
    }
    let own = snapshot(std::process::id().to_string(), &output);
    assert!(String::from_utf8_lossy(&own.stderr).contains("writes no trace"), "{own:?}");
}
