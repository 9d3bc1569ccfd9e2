//! `PREFIX.control`, which tells programs that start: whose it is, who removes it, and what is no such file.

use std::fs;
use std::path::Path;

use mallook_reader::{EventKind, Events, Trace};

use super::{mallook, refused, said, traces};
use crate::artifacts::artifacts;
use crate::sandbox::{Sandbox, setup};

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

fn calls(path: &Path) -> usize {
    let trace = Trace::open(path).unwrap();
    Events::of(&trace).filter(|event| matches!(event.kind, EventKind::Call(_))).count()
}
