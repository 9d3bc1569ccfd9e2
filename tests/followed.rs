//! The cost of `--follow` while nothing happens, its end where the process is hidden, and files that cannot
//! be followed.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::artifacts::{artifacts, tests};
use crate::sandbox::{Sandbox, copy_program, have, setup, skip};
use crate::trace::Trace;

/// A process that has made three batches and waits for its input, which ends it; and its trace.
fn waiting(sandbox: &Sandbox, prefix: &str) -> (Child, Trace) {
    let host = sandbox.program("batches").env("MALLOOK_PREFIX", prefix);
    let mut host = host.preloaded().command.stdin(Stdio::piped()).spawn().unwrap();
    host.stdin.as_mut().unwrap().write_all(&[0; 3]).unwrap();
    let trace = sandbox.first_trace(prefix, &mut host);
    (host, trace)
}

/// Seconds of processor time, and how often the process has slept.
fn spent(pid: u32) -> (f64, u64) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let fields: Vec<_> = after_name.split_whitespace().collect();
    let ticks: f64 = fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let slept = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    // proc(5) counts in hundredths of a second.
    (ticks / 100.0, slept.unwrap().trim().parse().unwrap())
}

/// It sleeps: a turn every 50 ms, each of which takes little. Neither bound depends on the machine's
/// speed: a slow one makes fewer turns.
#[test]
fn nothing_is_done_while_nothing_happens() {
    let sandbox = setup("idle");
    let (mut host, trace) = waiting(&sandbox, "trace");
    let mut follow = Command::new(&artifacts().dump);
    follow.args(["--follow", "--format", "csv"]).arg(trace.path()).stdout(Stdio::piped());
    let mut follow = follow.spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    // All that there is has been printed.
    assert!(lines.by_ref().any(|line| line.unwrap().contains(",free,")));
    let (start, before) = (Instant::now(), spent(follow.id()));
    std::thread::sleep(Duration::from_secs(3));
    let (after, passed) = (spent(follow.id()), start.elapsed().as_secs_f64());
    let (busy, turns) = (after.0 - before.0, after.1 - before.1);
    assert!(turns as f64 <= 50.0 + 2.0 * passed / 0.05, "{turns} turns in {passed} s");
    assert!(busy <= passed / 4.0, "{busy} s of processor time in {passed} s");
    drop(host.stdin.take());
    assert!(host.wait().unwrap().success());
    drop(lines);
    assert!(follow.wait().unwrap().success());
}

/// Of another user's process, nobody can tell whether it still runs: that is what is said, and it is
/// followed until nothing has come for ten seconds.
#[test]
fn a_process_of_another_user() {
    let test = "followed::a_process_of_another_user";
    // SAFETY: geteuid(2) has no precondition.
    let root = unsafe { libc::geteuid() } == 0;
    if !root && !skip(test, "root") || !have(test, &["setpriv"]) {
        return;
    }
    let sandbox = setup("hidden");
    let directory = tempfile::tempdir().unwrap();
    let open = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    open(directory.path(), 0o755);
    let dump = directory.path().join("mallook-dump");
    copy_program(&artifacts().dump, &dump);
    let (mut host, trace) = waiting(&sandbox, "trace");
    // The same file, where the other user finds it.
    let path = directory.path().join("t.1.1.0");
    let in_place = fs::hard_link(trace.path(), &path).is_ok();
    if !in_place {
        drop(host.stdin.take());
        host.wait().unwrap();
        skip(test, "a temporary directory on the disk of the build");
        return;
    }
    open(trace.path(), 0o644);
    let other = |option: &str| {
        let other = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
        sandbox.command("setpriv").args(other).arg(&dump).arg(option).arg(&path).command
    };
    assert_eq!(trace.info().ending(), "still running");
    let info = String::from_utf8(other("--info").output().unwrap().stdout).unwrap();
    assert!(info.contains("\nended: cannot be told\n"), "{info}");
    let mut follow = other("--follow");
    let mut follow = follow.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.by_ref().any(|line| line.contains("malloc(30005)")));
    // What comes now is followed.
    host.stdin.as_mut().unwrap().write_all(&[0; 2]).unwrap();
    assert!(lines.by_ref().any(|line| line.contains("malloc(30009)")));
    drop(lines);
    let followed = follow.wait_with_output().unwrap();
    let said = String::from_utf8(followed.stderr).unwrap();
    assert!(followed.status.success(), "{said}");
    assert_eq!(said.matches("still runs cannot be told; followed until").count(), 1, "{said}");
    // It was running all the time.
    assert_eq!(trace.info().ending(), "still running");
    drop(host.stdin.take());
    assert!(host.wait().unwrap().success());
    let info = String::from_utf8(other("--info").output().unwrap().stdout).unwrap();
    assert!(info.contains("\nended: exited\n"), "{info}");
}

/// An input that no process writes in place is refused with the reason, at once.
#[test]
fn what_cannot_be_followed() {
    if !have("followed::what_cannot_be_followed", &["gzip", "zstd", "xz", "mkfifo"]) {
        return;
    }
    let sandbox = setup("refused");
    sandbox.file("t.1.1.0", fs::read(tests().join("golden/v1.trace")).unwrap());
    let script = "gzip -k t.1.1.0; zstd -q t.1.1.0; xz -k t.1.1.0; mkfifo pipe; mkdir in";
    assert!(sandbox.command("sh").args(["-c", script]).run_alone().status.success());
    for (name, reason) in [
        ("t.1.1.0.gz", "it is compressed, so nobody writes to it; mallook dump reads it"),
        ("t.1.1.0.zst", "it is compressed, so nobody writes to it; mallook dump reads it"),
        ("t.1.1.0.xz", "it is compressed, so nobody writes to it; mallook dump reads it"),
        ("pipe", "only files can be followed; mallook dump reads pipes"),
        ("-", "only files can be followed; mallook dump reads the standard input"),
        ("in", "it is a directory; mallook follow takes files, and prefixes"),
    ] {
        let follow = sandbox.command(&artifacts().mallook).args(["follow", "t.1.1.0", name]);
        let refused = follow.run_alone();
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{name}: {said}");
        assert_eq!(said, format!("mallook: {name}: {reason}\n"));
        assert!(refused.stdout.is_empty(), "{name}");
    }
}
