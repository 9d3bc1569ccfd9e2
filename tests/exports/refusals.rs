//! The refusals of `mallook export`, and its messages about omissions.

use std::fs;

use super::{recorded, run_export};
use crate::artifacts::tests;
use crate::sandbox::setup;

#[test]
fn one_process_where_addresses_are_those_of_one() {
    let sandbox = setup("refused");
    let golden = ["v1.trace", "v1-stacks.trace"].map(|name| tests().join("golden").join(name));
    let both = [&*golden[0], &*golden[1]];
    for to in ["heaptrack", "mtrace", "memory_replay", "rep"] {
        let path = sandbox.path().join(to);
        let output = run_export(to, &[], &both, &path);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{to}");
        assert!(said.contains("has a place for one process, and these are 2 traces"), "{said}");
        assert!(!path.exists());
    }
    for to in ["pprof", "firefox", "massif", "dhat", "ctf", "parquet", "folded"] {
        let output = run_export(to, &[], &both, &sandbox.path().join(to));
        assert_eq!(output.status.code(), Some(0), "{to}: {output:?}");
    }
}

#[test]
fn directories_are_new_ones() {
    let sandbox = setup("directories");
    let golden = tests().join("golden/v1.trace");
    let full = sandbox.path().join("full");
    fs::create_dir(&full).unwrap();
    let empty = sandbox.path().join("empty");
    fs::create_dir(&empty).unwrap();
    fs::write(full.join("precious"), "").unwrap();
    let trace = sandbox.file("a.trace", fs::read(&golden).unwrap());
    for (path, said, code) in
        [(&full, "it is there, and is not empty", 2), (&trace, "--output", 2), (&empty, "", 0)]
    {
        let output = run_export("parquet", &[], &[&golden], path);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{}: {stderr}", path.display());
        assert!(stderr.contains(said), "{stderr}");
    }
    assert_eq!(fs::read(&trace).unwrap(), fs::read(&golden).unwrap());
    assert_eq!(full.read_dir().unwrap().count(), 1);
    assert_eq!(empty.read_dir().unwrap().count(), 5);
    // Nothing half-made is left.
    assert_eq!(sandbox.path().read_dir().unwrap().count(), 3);
    let output = run_export("ctf", &["--cost", "peak"], &[&golden], &sandbox.path().join("ctf"));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

/// A trace is never overwritten, and what is missing is said.
#[test]
fn what_is_missing_is_said() {
    let sandbox = setup("missing");
    let run = recorded(&sandbox);
    let output = run_export("rep", &[], &[run.trace().path()], run.trace().path());
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let path = sandbox.path().join("rep");
    let output = run_export("rep", &[], &[run.trace().path()], &path);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said, "mallook: --to rep: failed calls left out: 2\n");

    let ring = setup("missing-ring");
    let run = ring.program("pairs").args(["1", "9001"]).ring("80K").run().expect(0);
    let output = run_export("heaptrack", &[], &[run.trace().path()], &ring.path().join("h"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("events are missing: "), "{said}");

    let whole = fs::read(tests().join("golden/v1.trace")).unwrap();
    let cut = ring.file("cut", &whole[..16_700]);
    let output = run_export("dhat", &[], &[&cut], &ring.path().join("dhat"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    serde_json::from_slice::<serde_json::Value>(&fs::read(ring.path().join("dhat")).unwrap())
        .unwrap();
}
