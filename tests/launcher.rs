//! `mallook run`: the program behaves as without it, and its traces are where it was asked for.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use crate::artifacts::artifacts;
use crate::sandbox::{Host, Sandbox, setup};
use crate::trace::Trace;

fn launch<'a>(sandbox: &'a Sandbox, options: &[&str], program: &[&str]) -> Host<'a> {
    let launcher = sandbox.command(&artifacts().mallook).arg("run").args(options);
    launcher.arg("--").args(program)
}

fn ends() -> String {
    artifacts().program("ends").to_str().unwrap().to_owned()
}

#[test]
fn the_exit_code_and_the_traces() {
    let sandbox = setup("launch");
    let output = launch(&sandbox, &["-o", "here"], &[&ends()]).run_alone();
    assert_eq!(output.status.code(), Some(9), "{output:?}");
    let traces = sandbox.traces("here");
    assert_eq!(traces.len(), 1);
    assert_eq!(traces[0].identities(), [20_001, 20_011, 20_015]);
    let name = traces[0].path().file_name().unwrap().to_str().unwrap().to_owned();
    assert!(String::from_utf8(output.stderr).unwrap().contains(&name), "the trace is named");
}

#[test]
fn quiet() {
    let sandbox = setup("quiet");
    let output = launch(&sandbox, &["-q"], &[&ends(), "_exit"]).run_alone();
    assert_eq!((output.status.code(), output.stderr), (Some(3), Vec::new()));
    assert_eq!(sandbox.traces("mallook.out").len(), 1);
}

/// Gaps of the traces are said, of any program of the tree, and nothing where there are none.
#[test]
fn a7_what_is_not_recorded_is_said() {
    let sandbox = setup("unseen");
    let carrier = sandbox.build("special/carrier.c", "carrier", &[]);
    let carrier = carrier.to_str().unwrap();
    let says = "carrier: carries an allocator of its own (_rjem_malloc): what goes to that is not";
    let left =
        "programs that were started without LD_PRELOAD in their environment are not recorded";
    let in_a_tree = format!("true; {carrier}; true");
    for (program, expected) in [
        (&["/bin/true"][..], [0, 0]),
        (&[carrier], [1, 0]),
        (&["/bin/sh", "-c", &in_a_tree], [1, 0]),
        (&["/bin/sh", "-c", "env -i /bin/true"], [0, 1]),
        (&["/usr/bin/env", "-i", "/bin/true"], [0, 1]),
        (&["/usr/bin/env", "A=B", "/bin/true"], [0, 0]),
    ] {
        let output = launch(&sandbox, &["-o", "t"], program).run_alone();
        assert!(output.status.success(), "{program:?}: {output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        let count = |text: &str| stderr.lines().filter(|line| line.contains(text)).count();
        assert_eq!([count(says), count(left)], expected, "{program:?}: {stderr}");
        let unloaded = |trace: &Trace| trace.read(&["--info"]).contains("\nunrecorded: a program");
        let traces = sandbox.traces("t");
        assert_eq!(traces.iter().filter(|trace| unloaded(trace)).count(), expected[1]);
        for trace in traces {
            std::fs::remove_file(trace.path()).unwrap();
        }
    }
}

#[test]
fn death_by_a_signal_is_handed_on() {
    let sandbox = setup("signal");
    let output = launch(&sandbox, &["-o", "here"], &[&ends(), "abort"]).run_alone();
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{output:?}");
    assert_eq!(sandbox.traces("here")[0].identities(), [20_001]);
}

#[test]
fn options_reach_the_library() {
    let sandbox = setup("options");
    let options = ["-q", "-o", "here", "--mode", "ring", "--size", "96K", "--clock", "monotonic"];
    let output = launch(&sandbox, &options, &[&ends()]).run_alone();
    assert_eq!((output.status.code(), output.stderr), (Some(9), Vec::new()));
    let info = sandbox.traces("here")[0].info();
    assert!(info.get("mode").starts_with("ring"), "{info:?}");
    assert_eq!(info.get("clock"), "monotonic");
}

#[test]
fn what_cannot_be_run() {
    let sandbox = setup("cannot");
    let code = |program: &str| launch(&sandbox, &[], &[program]).run_alone().status.code();
    assert_eq!(code("/nonexistent"), Some(127));
    assert_eq!(code("/etc/passwd"), Some(126));
    let usage = sandbox.command(&artifacts().mallook).arg("run").run_alone();
    assert_eq!(usage.status.code(), Some(2));
}

/// Manual pages and completions know the options of their programs.
#[test]
fn generated_pages() {
    for what in ["man", "bash", "zsh", "fish"] {
        for (program, arguments, option) in [
            (&artifacts().mallook, ["generate", what], "library"),
            (&artifacts().dump, ["--generate", what], "since"),
        ] {
            let output = Command::new(program).args(arguments).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let name = program.file_name().unwrap().to_str().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{name} {arguments:?}");
            assert!(text.contains(name) && text.contains(option), "{name} {arguments:?}: {text}");
        }
    }
}
