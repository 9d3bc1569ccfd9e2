//! Threads that wait while another one opens the trace or changes its length: they lose nothing,
//! however long a slow disk takes, within reason.

use std::process::Command;

use crate::artifacts::tests;
use crate::building::lives;
use crate::sandbox::{Host, Run, Sandbox, have, setup, skip};

/// Events of the eight threads of `waits.c`.
const PAIRS: usize = 8 * 20_000;

fn check(test: &str, sandbox: &Sandbox, host: Host<'_>, call: &str) {
    let output = host.arg(call).env("MALLOOK_PREFIX", call).run().output;
    let run = Run::of(output, sandbox, call).expect(6);
    if run.said().contains_key("unavailable") {
        skip(test, "seccomp");
        return;
    }
    let trace = run.trace_of(run.pids("child")[0]);
    let info = trace.info();
    assert_eq!(info.lost(), 0, "{call}: {info:?}");
    assert_eq!(lives(&trace.rows(), |size| size == 20_003), (PAIRS, PAIRS), "{call}");
}

#[test]
fn b17_threads_wait_for_a_slow_disk() {
    for call in ["linkat", "ftruncate"] {
        let sandbox = setup("waiting");
        check("b17_threads_wait_for_a_slow_disk", &sandbox, sandbox.program("waits"), call);
    }
}

/// There the first event of a process comes from a thread, without a fork.
#[test]
fn a5_b17_threads_wait_for_a_slow_disk_over_musl() {
    let test = "a5_b17_threads_wait_for_a_slow_disk_over_musl";
    if !have(test, &["musl-gcc"]) {
        return;
    }
    let sandbox = setup("waiting_musl");
    let program = sandbox.path().join("waits");
    let mut gcc = Command::new("musl-gcc");
    // The kernel's headers, which musl-gcc does not look for.
    let headers = ["-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu"];
    gcc.args(["-O0", "-fno-builtin"]).args(headers).arg("-o").arg(&program);
    let built = gcc.arg(tests().join("programs/waits.c")).output().unwrap();
    assert!(built.status.success(), "{built:?}");
    check(test, &sandbox, sandbox.command(&program), "linkat");
}
