//! Copies of the library in one process: by `LD_PRELOAD` in either order, and by `dlopen`.

use std::fs;
use std::path::Path;

use crate::artifacts::artifacts;
use crate::building::preload;
use crate::sandbox::{Run, setup};

/// Copies of the library in one process: the first one records, each other one says so in a line.
#[test]
fn a1_two_copies_of_the_library() {
    let sandbox = setup("a1_copies");
    let copy = sandbox.path().join("recorder.so");
    fs::copy(&artifacts().library, &copy).unwrap();
    let (ours, twice) = (&artifacts().library, "the recorder is loaded twice, and only the first");
    let said = |run: &Run, first: &Path| {
        let stderr = String::from_utf8_lossy(&run.output.stderr).into_owned();
        assert_eq!(stderr, format!("mallook: {twice} one records: {}\n", first.display()));
    };
    for (number, (value, first)) in
        [(preload(&[&copy], &[]), &copy), (preload(&[], &[&copy]), ours)].iter().enumerate()
    {
        let prefix = format!("order{number}");
        let host = sandbox.program("fork").arg("plain").env("LD_PRELOAD", value);
        let output = host.env("MALLOOK_PREFIX", &prefix).run().output;
        let run = Run::of(output, &sandbox, &prefix).sound();
        assert!(run.output.status.success(), "{:?}", run.output);
        said(&run, first);
        // A trace a process.
        let mut pids: Vec<_> = run.traces.iter().map(|trace| trace.identity().0).collect();
        pids.dedup();
        assert!(run.traces.len() > 1 && pids.len() == run.traces.len(), "{:?}", run.traces);
    }
    // One that comes later, and what goes through it.
    let host = sandbox.program("loading").arg("copy").arg(&copy).env("MALLOOK_PREFIX", "later");
    let output = host.run().output;
    let run = Run::of(output, &sandbox, "later").sound();
    assert_eq!(run.output.status.code(), Some(0), "{:?}", run.output);
    said(&run, ours);
    assert_eq!(run.trace().identities(), [20_065, 20_069]);
}
