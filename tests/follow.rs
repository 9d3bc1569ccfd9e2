//! Traces that are being written: `--follow`, and what else is said of a running process.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdout, Command, Stdio};

use crate::artifacts::artifacts;
use crate::sandbox::{have, setup, wait_for};
use crate::trace::{Row, Trace, by_thread, rows};

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
    let trace = sandbox.first_trace("trace", &mut host);
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

/// The output of `--follow` for files, with these options.
fn follow(trace: &[&Trace], options: &[&str]) -> String {
    let mut command = Command::new(&artifacts().dump);
    command.arg("--follow").args(options).args(trace.iter().map(|trace| trace.path()));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Of a process that has ended, the same rows as a dump, in memory that does not grow with the trace; at the
/// same times where these are exact. Those of the counter are between clock syncs, of which a dump reads others
/// together.
#[test]
fn a_large_trace_of_the_past() {
    for clock in ["monotonic", "tsc"] {
        let sandbox = setup("past");
        let host = sandbox.program("pairs").args(["3", "500000"]).env("MALLOOK_CLOCK", clock);
        let run = host.run().expect(0);
        let trace = run.trace();
        let script = r#"ulimit -d 65536; exec "$0" --follow --format csv "$1""#;
        let host = sandbox.command("sh").args(["-c", script]).arg(&artifacts().dump);
        let output = host.arg(trace.path()).run_alone();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let followed = rows(&String::from_utf8(output.stdout).unwrap());
        let dumped = trace.rows();
        assert_eq!(followed.len(), dumped.len(), "{clock}");
        if clock == "monotonic" {
            let differs = followed.iter().zip(&dumped).position(|(one, other)| one != other);
            assert_eq!(differs, None);
        }
        // Between threads, times decide.
        let (followed, dumped) = (by_thread(followed), by_thread(dumped));
        for (tid, rows) in &dumped {
            let pairs = || followed[tid].iter().zip(rows);
            let differs = pairs().position(|(one, other)| one.call() != other.call());
            assert_eq!((differs, followed[tid].len()), (None, rows.len()), "{clock}, {tid}");
        }
    }
}

/// Call stacks come with the events, of a process that runs and of one of the past.
#[test]
fn stacks_are_followed() {
    let sandbox = setup("follow_stacks");
    let host = sandbox.program("batches").env("MALLOOK_STACK", "full");
    let mut host = host.preloaded().command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = host.stdin.take().unwrap();
    input.write_all(&[0; 3]).unwrap();
    let trace = sandbox.first_trace("trace", &mut host);
    let mut follow = Command::new(&artifacts().dump);
    follow.args(["--follow", "--stacks", "--format", "jsonl"]).arg(trace.path());
    let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines().map(Result::unwrap);
    for size in [30_001, 30_003, 30_005] {
        let line = lines.find(|line| line.contains(&format!("\"size\":{size},"))).unwrap();
        assert!(line.contains("\"stack\":[{") && line.contains("\"main\""), "{line}");
    }
    // Sites that are new since then, too: they are those of the end.
    drop(input);
    assert!(host.wait().unwrap().success());
    assert_eq!(lines.filter(|line| line.contains("\"stack\":[]")).count(), 0);
    assert!(follow.wait().unwrap().success());
    for format in ["text", "jsonl"] {
        let dumped = trace.read(&["--stacks", "--format", format]);
        assert_eq!(self::follow(&[&trace], &["--stacks", "--format", format]), dumped);
    }
}

/// A process that replaces itself goes on in its next trace; a prefix stands for all traces that have
/// it, and that will.
#[test]
fn exec_and_children() {
    let calls = |rows: &[Row]| rows.iter().map(Row::call).collect::<Vec<_>>();
    for (script, by_prefix) in [("read x; exec $0 1 50", false), ("read x; $0 1 50; true", true)] {
        let (found, expected) = loop {
            let (found, expected) = follow_two(script, by_prefix);
            // A program that is executed has two seconds to make its trace.
            let mut times: Vec<_> = expected.iter().map(|row| row.time_ns).collect();
            times.sort_unstable();
            let is_late = times.windows(2).any(|pair| pair[1] - pair[0] > 1_900_000_000);
            if by_prefix || !is_late {
                break (found, expected);
            }
        };
        assert_eq!(calls(&found), calls(&expected), "{script}");
    }
}

/// The rows of the two traces of this script, followed while it runs, and after it.
fn follow_two(script: &str, by_prefix: bool) -> (Vec<Row>, Vec<Row>) {
    let threads = artifacts().program("threads");
    let sandbox = setup("goes_on");
    let host = sandbox.command("sh").args(["-c", script]).arg(&threads);
    let mut host = host.preloaded().command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = host.stdin.take().unwrap();
    let first = sandbox.first_trace("trace", &mut host);
    let mut follow = Command::new(&artifacts().dump);
    follow.args(["--follow", "--format", "csv"]).current_dir(sandbox.path());
    let file = if by_prefix { "trace".as_ref() } else { first.path().as_os_str() };
    follow.arg(file).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut follow = follow.spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("time_ns,"));
    let before = lines.next().unwrap().unwrap();
    writeln!(input, "go").unwrap();
    let rest: Vec<_> = lines.map(|line| Row::parse(&line.unwrap())).collect();
    assert!(host.wait().unwrap().success() && follow.wait().unwrap().success());
    let mut found: Vec<_> = [Row::parse(&before)].into_iter().chain(rest).collect();
    let traces = sandbox.traces("trace");
    assert_eq!(traces.len(), 2, "{traces:?}");
    let mut expected: Vec<_> = traces.iter().flat_map(Trace::rows).collect();
    let key = |row: &Row| (row.pid, row.tid, row.op, row.address, row.size);
    found.sort_by_key(key);
    expected.sort_by_key(key);
    (found, expected)
}

/// Several traces of the past are merged by time, as a dump merges them.
#[test]
fn several_traces() {
    let sandbox = setup("several");
    let script = "ls / >/dev/null; ls -l / >/dev/null; true";
    let run = sandbox.command("sh").args(["-c", script]).run();
    let traces: Vec<_> = run.traces.iter().collect();
    let dumped = crate::trace::dump(&["--format", "csv"], &traces).stdout;
    assert_eq!(follow(&traces, &["--format", "csv"]), String::from_utf8(dumped).unwrap());
}

/// A process in a PID namespace of its own has another number there than here.
#[test]
fn a_process_in_a_pid_namespace() {
    let test = "a_process_in_a_pid_namespace";
    if !have(test, &["unshare"]) {
        return;
    }
    let sandbox = setup("namespace");
    let namespace = ["-p", "-f", "--mount-proc"];
    if !sandbox.command("unshare").args(namespace).arg("true").run_alone().status.success() {
        crate::sandbox::skip(test, "the right to make a PID namespace");
        return;
    }
    let batches = artifacts().program("batches");
    let host = sandbox.command("unshare").args(namespace).args(["env"]);
    let library = format!("LD_PRELOAD={}", artifacts().library.display());
    let host = host.args([library.as_str(), "MALLOOK_PREFIX=trace"]).arg(batches);
    let mut command = host.command;
    let mut host = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = host.stdin.take().unwrap();
    input.write_all(&[0; 3]).unwrap();
    let is_ours = |trace: &Trace| trace.info().get("executable").ends_with("/batches");
    let trace = wait_for("its trace", || sandbox.traces("trace").into_iter().find(is_ours));
    assert_eq!(trace.info().ending(), "still running");
    let mut follow = Command::new(&artifacts().dump);
    follow.args(["--follow", "--format", "csv"]).arg(trace.path()).stdout(Stdio::piped());
    let mut follow = follow.spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    assert_eq!(read_until(&mut lines, 30_005), [30_001, 30_003, 30_005]);
    input.write_all(&[0; 2]).unwrap();
    assert_eq!(read_until(&mut lines, 30_009), [30_007, 30_009]);
    drop(input);
    assert!(host.wait().unwrap().success());
    assert!(follow.wait().unwrap().success());
}

/// On btrfs, the device of a file is not that of its mappings.
#[test]
fn a_process_on_btrfs() {
    let test = "a_process_on_btrfs";
    if !have(test, &["mkfs.btrfs", "mount", "unshare"]) {
        return;
    }
    let sandbox = setup("btrfs");
    let script = r#"truncate -s 120M image && mkfs.btrfs -q image && mkdir -p on &&
        mount -o loop image on || exit 9
        mkfifo input; export MALLOOK_PREFIX=on/trace MALLOOK_CLOCK=monotonic
        LD_PRELOAD="$1" "$2" <input & exec 3>input
        printf xxx >&3; until ls on/trace.* >/dev/null 2>&1; do :; done
        "$0" --info on/trace.* | grep ended:
        "$0" --follow --format csv on/trace.* >rows 3>&- & printf xx >&3; exec 3>&-; wait
        "$0" --format csv on/trace.* | cmp - rows && echo same; umount on"#;
    let host = sandbox.command("unshare").args(["-m", "sh", "-c", script]);
    let host = host.arg(&artifacts().dump).arg(&artifacts().library);
    let output = host.arg(artifacts().program("batches")).run_alone();
    if output.status.code() == Some(9) || output.status.code() == Some(1) {
        crate::sandbox::skip(test, "a loop device, and the right to mount it");
        return;
    }
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.ends_with("ended: still running\nsame\n"), "{output:?}");
}
