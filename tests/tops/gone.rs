//! Files that are removed, or are no trace yet, while `mallook top` looks at them.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Heaps;
use crate::artifacts::{artifacts, tests};
use crate::sandbox::{Sandbox, setup};

/// A command that prints a state a line.
struct States(Child, BufReader<ChildStdout>);

impl States {
    fn start(sandbox: &Sandbox) -> States {
        let mut command = Command::new(&artifacts().mallook);
        command.args(["top", "--json", "--interval", "100ms"]).arg(sandbox.path().join("trace"));
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        States(child, output)
    }

    /// Waits for a state that is like this.
    fn wait_for(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) {
        let (start, mut line) = (Instant::now(), String::new());
        loop {
            line.clear();
            assert!(self.1.read_line(&mut line).unwrap() != 0, "the end before {what}");
            if is_so(&serde_json::from_str(&line).unwrap()) {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "no {what}: {line}");
        }
    }

    /// Stops it, and waits until that is so; or lets it go on.
    fn signal(&self, signal: i32) {
        let pid = self.0.id();
        // SAFETY: a process of our own.
        assert_eq!(unsafe { libc::kill(pid as i32, signal) }, 0);
        let is_stopped = || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.rsplit(") ").next().unwrap().starts_with('T')
        };
        while signal == libc::SIGSTOP && !is_stopped() {
            std::thread::yield_now();
        }
    }
}

impl Drop for States {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The file of one process is removed, whether that has ended or has written more than was seen: the others are
/// followed on.
#[test]
fn a_file_that_is_removed_ends_alone() {
    for grows in [false, true] {
        let sandbox = setup("removed");
        let mut first = Heaps::start(&sandbox, "off");
        let mut second = Heaps::start(&sandbox, "off");
        let traces = sandbox.traces("trace");
        let of_first = traces.iter().find(|trace| trace.identity().0 == first.child.id()).unwrap();
        let mut states = States::start(&sandbox);
        states.wait_for("both", |now| now["live_blocks"].as_u64() >= Some(14));
        if grows {
            states.signal(libc::SIGSTOP);
            // Some megabytes.
            (0..20).for_each(|_| first.allocate(1000));
            fs::remove_file(of_first.path()).unwrap();
            states.signal(libc::SIGCONT);
            states.wait_for("damage", |now| now["damaged_places"] == 1);
        } else {
            fs::remove_file(of_first.path()).unwrap();
            drop(first);
            states.wait_for("the end of one", |now| now["running"] == 1);
        }
        second.allocate(9);
        let pid = second.child.id();
        states.wait_for("the other", |now| {
            let mut rows = now["processes"].as_array().unwrap().iter();
            rows.any(|row| row["pid"] == pid && row["live_bytes"].as_u64() >= Some(7000))
        });
        drop(second);
        let mut said = String::new();
        std::io::copy(&mut states.1, &mut std::io::sink()).unwrap();
        states.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(states.0.wait().unwrap().code(), Some(i32::from(grows)), "{said}");
        assert_eq!(said.contains("found no file or another one"), grows, "{said}");
    }
}

/// A file of a prefix may have been removed, or have no header yet.
#[test]
fn a_file_that_is_no_trace_yet_is_left_out() {
    let sandbox = setup("no_trace_yet");
    let golden = fs::read(tests().join("golden/v1.trace")).unwrap();
    sandbox.file("trace.1.2.3", golden);
    sandbox.file("trace.1.2.4", "");
    let prefix = sandbox.path().join("trace");
    for arguments in [&["top", "--once", "--json"][..], &["follow", "--format", "csv"]] {
        let output = sandbox.command(&artifacts().mallook).args(arguments).arg(&prefix).run_alone();
        assert!(output.status.success() && !output.stdout.is_empty(), "{output:?}");
        // A file that is named is another matter.
        let empty = sandbox.path().join("trace.1.2.4");
        let output = sandbox.command(&artifacts().mallook).args(arguments).arg(&empty).run_alone();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
}
