//! `PREFIX.control`, which tells programs that start: whose it is, who removes it, and what is no such file.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output};

use mallook_reader::{EventKind, Events, Follow, Trace};

use super::outside::Family;
use super::{births, mallook, refused, said, traces};
use crate::artifacts::artifacts;
use crate::sandbox::{Sandbox, copy_program, have, setup, skip};

/// `mallook run` with traces called `trace`.
fn run(sandbox: &Sandbox, options: &[&str], program: &[&str]) -> (Option<i32>, String) {
    let output = mallook(sandbox, &[&["run", "-o", "trace"], options, &["--"], program].concat());
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// A file of that name is a user's own until it says otherwise.
#[test]
fn a_file_of_somebody_stays() {
    let sandbox = setup("somebodys");
    let pairs = artifacts().program("pairs");
    let pairs = [pairs.to_str().unwrap(), "1", "10"];
    let path = sandbox.file("trace.control", "my precious data\n");
    for options in [&["-q"][..], &["-q", "--for", "1ms"]] {
        let (code, stderr) = run(&sandbox, options, &pairs);
        assert!(
            code == Some(0) && stderr.contains("trace.control is a file of somebody"),
            "{stderr}"
        );
        assert_eq!(fs::read(&path).unwrap(), b"my precious data\n");
    }
    for action in ["pause", "resume"] {
        let error = refused(&sandbox, &["ctl", action, "trace"], 2);
        assert!(error.contains("trace.control is a file of somebody"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"my precious data\n");
    }
    // Nor does it tell anything, however it begins.
    fs::write(&path, "paused because of rain\n").unwrap();
    let before = traces(&sandbox);
    run(&sandbox, &[], &pairs);
    let new = traces(&sandbox).into_iter().find(|path| !before.contains(path)).unwrap();
    assert!(calls(&new) >= 20);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let (code, stderr) = run(&sandbox, &[], &pairs);
    assert!(code == Some(0) && stderr.contains("trace.control is no regular file"), "{stderr}");
    assert!(path.is_dir());
}

#[test]
fn what_is_left_goes_when_a_program_starts() {
    let sandbox = setup("left");
    let path = sandbox.file("trace.control", "paused\n");
    let (code, stderr) = run(&sandbox, &[], &["./nothing"]);
    assert_eq!(
        (code, fs::read(&path).unwrap().as_slice()),
        (Some(127), &b"paused\n"[..]),
        "{stderr}"
    );
    let pairs = artifacts().program("pairs");
    let (code, stderr) = run(&sandbox, &[], &[pairs.to_str().unwrap(), "1", "10"]);
    assert_eq!((code, path.exists()), (Some(0), false), "{stderr}");
    assert!(calls(&traces(&sandbox)[0]) >= 20);
}

/// Processes that run are told by it, whatever another run with their prefix does.
#[test]
fn what_was_said_to_others_is_said_again() {
    let sandbox = setup("others");
    let family = Family::start(&sandbox, &[]);
    said(&sandbox, &["ctl", "pause", "trace"]);
    let pairs = artifacts().program("pairs");
    let pairs = [pairs.to_str().unwrap(), "1", "10"];
    for options in [&[][..], &["--for", "9999s"], &["--for", "1ms"]] {
        let (code, stderr) = run(&sandbox, options, &pairs);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stderr.contains("trace.control tells whether programs pause"), "{stderr}");
        assert_eq!(fs::read(sandbox.path().join("trace.control")).unwrap(), b"paused\n");
    }
    said(&sandbox, &["ctl", "resume", "trace"]);
    family.end();
}

/// A process whose trace is about to get its name, so that nobody finds it yet, heeds what is said then; what was
/// said before that its parent does not do is no matter.
#[test]
fn what_is_said_while_a_trace_has_no_name() {
    const PAIRS: u64 = 8 * 20_000;
    for (start, before, text, expected) in [
        ("", "", "paused\n", 0),
        ("", "", "running\n", PAIRS),
        ("", "running\n", "paused\n", 0),
        ("", "paused\n", "running\n", PAIRS),
        ("", "paused\n", "paused\n", 0),
        ("paused", "", "running\n", PAIRS),
        ("", "", "paused because of rain\n", PAIRS),
        ("", "paused\n", "paused because of rain\n", PAIRS),
    ] {
        let sandbox = setup("no_name");
        let host = sandbox.program("waits").args(["linkat", "trace.control", before, text]);
        let run = host.env("MALLOOK_START", start).run().expect(6);
        let control = fs::read(sandbox.path().join("trace.control")).unwrap_or_default();
        if run.said().contains_key("unavailable") || control != text.as_bytes() {
            let lacks = "seccomp, and files without names";
            skip("told::what_is_said_while_a_trace_has_no_name", lacks);
            return;
        }
        let trace = run.trace_of(run.pids("child")[0]);
        assert_eq!(trace.info().lost(), 0, "{before:?} {text:?}");
        let found = births(trace.path());
        let born = found.get(&(20_003, false)).copied().unwrap_or(0);
        assert_eq!(born, expected, "{start:?} {before:?} {text:?}: {found:?}");
    }
}

fn calls(path: &Path) -> usize {
    let trace = Trace::open(path).unwrap();
    Events::of(&trace).filter(|event| matches!(event.kind, EventKind::Call(_))).count()
}

/// The files that another user needs to record, in a directory where nobody removes another's.
struct Shared(tempfile::TempDir);

impl Shared {
    fn new() -> Shared {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o1777)).unwrap();
        let shared = Shared(directory);
        for (source, name) in
            [(&artifacts().mallook, "mallook"), (&artifacts().library, "libmallook.so")]
        {
            copy_program(source, &shared.path(name));
        }
        shared
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn as_other(&self, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        command.current_dir(self.0.path()).arg(program).args(arguments);
        command
    }

    /// A command of the other user's.
    fn mallook(&self, arguments: &[&str]) -> Output {
        self.as_other(self.path("mallook"), arguments).env("HOME", self.0.path()).output().unwrap()
    }

    /// The number of calls of a program of the other user's.
    fn calls(&self) -> usize {
        let before = Follow::with_this_prefix(&self.path("t"));
        let mut ls = self.as_other("ls", &["/"]);
        ls.env("LD_PRELOAD", self.path("libmallook.so")).env("MALLOOK_PREFIX", self.path("t"));
        let output = ls.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let mut new = Follow::with_this_prefix(&self.path("t"));
        new.retain(|path| !before.contains(path));
        // Of setpriv, as root.
        let (of_root, own): (Vec<_>, Vec<_>) =
            new.into_iter().partition(|path| path.metadata().unwrap().uid() == 0);
        of_root.iter().for_each(|path| fs::remove_file(path).unwrap());
        let [own] = &own[..] else { panic!("{own:?}") };
        calls(own)
    }
}

/// Root says what a user's programs do, and the user says otherwise.
#[test]
fn root_controls_and_locks_nobody_out() {
    // SAFETY: geteuid(2) has no precondition.
    let root = unsafe { libc::geteuid() } == 0;
    let test = "told::root_controls_and_locks_nobody_out";
    if !root && !skip(test, "root") || !have(test, &["setpriv"]) {
        return;
    }
    let (shared, sandbox) = (Shared::new(), setup("roots"));
    let (prefix, control) = (shared.path("t"), shared.path("t.control"));
    let prefix = prefix.to_str().unwrap();
    assert!(shared.calls() > 0);
    said(&sandbox, &["ctl", "pause", prefix]);
    assert_eq!(control.metadata().unwrap().uid(), 65_534);
    assert_eq!(shared.calls(), 0);
    let output = shared.mallook(&["ctl", "resume", prefix]);
    assert!(output.status.success(), "{output:?}");
    assert!(shared.calls() > 0);

    // Where the traces are of several users, all may read what root says, and nobody removes it.
    fs::remove_file(&control).unwrap();
    fs::copy(&Follow::with_this_prefix(&shared.path("t"))[0], shared.path("t.1.1.0")).unwrap();
    said(&sandbox, &["ctl", "pause", prefix]);
    assert_eq!(control.metadata().unwrap().uid(), 0);
    assert_eq!(shared.calls(), 0);
    let output = shared.mallook(&["run", "-q", "-o", prefix, "--", "true"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(
        stderr.contains("cannot remove ") && stderr.contains("t.control, which stays"),
        "{stderr}"
    );

    // What would not be heeded is not written.
    fs::remove_file(&control).unwrap();
    fs::rename(shared.path("t.1.1.0"), shared.path("r.1.1.0")).unwrap();
    let output = shared.mallook(&["ctl", "pause", shared.path("r").to_str().unwrap()]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && stderr.contains("another user's"), "{output:?}");
    assert!(!shared.path("r.control").exists());
}
