//! The exec family: the program that follows gets its arguments and environment unchanged, the
//! trace says that the process was replaced, and an exec that fails is only a marker.

use std::process::Output;

use crate::artifacts::artifacts;
use crate::sandbox::{Run, Sandbox, setup};

const INHERIT: [&str; 4] = ["execl", "execlp", "execv", "execvp"];
const PASS: [&str; 5] = ["execle", "execve", "execvpe", "fexecve", "execveat"];
/// How `--format sizes` shows an exec.
pub const EXEC_MARKER: &str = "@ Possible End, Ready to exec";

fn host<'a>(sandbox: &'a Sandbox, arguments: &[&str]) -> crate::sandbox::Host<'a> {
    sandbox.program("exec").args(arguments).env("INHERITED", "a b=c").env("MALLOOK_MODE", "full")
}

fn program() -> String {
    artifacts().program("exec").to_str().unwrap().to_owned()
}

/// The arguments and the environment that the leaf has found, without what makes the library load.
fn leaf_lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let is_ours = |line: &&str| {
        line.starts_with("environment <LD_PRELOAD=")
            || line.starts_with("environment <MALLOOK_PREFIX=")
            || line.starts_with("environment <MALLOOK_STACK=")
    };
    text.lines().filter(|line| !is_ours(line)).map(str::to_owned).collect()
}

/// Two images of one process: the first one replaced, the second one ended.
fn check_images(run: &Run, function: &str) {
    let [first, second] = &run.traces[..] else { panic!("{function}: {:?}", run.traces) };
    assert_eq!(first.identity().0, second.identity().0, "{function}");
    assert_eq!(first.identities(), [20_001], "{function}");
    let sizes = first.sizes();
    assert_eq!(sizes.last().unwrap(), EXEC_MARKER, "{function}");
    assert_eq!(first.info().ending(), "replaced itself by exec", "{function}");
    assert_eq!(second.identities(), [20_003], "{function}");
    assert_eq!(second.sizes().first().unwrap(), "@ Start", "{function}");
    assert_eq!(second.info().ending(), "exited", "{function}");
}

#[test]
fn arguments_and_environment_arrive_unchanged() {
    for function in INHERIT.iter().chain(&PASS) {
        let sandbox = setup(function);
        let alone = host(&sandbox, &[function, &program()]).run_alone();
        let lines = leaf_lines(&alone);
        assert!(lines.iter().any(|line| line == "argument <the last>"), "{function}: {alone:?}");
        let run = host(&sandbox, &[function, &program()]).run().expect(7);
        assert_eq!(leaf_lines(&run.output), lines, "{function}");
        check_images(&run, function);
    }
}

/// `env -i`: the second image is not traced, and its environment is exactly what it was given.
#[test]
fn an_environment_without_the_library_stays_so() {
    for function in PASS {
        let sandbox = setup(function);
        let run = host(&sandbox, &[function, &program(), "bare"]).run().expect(7);
        let lines = String::from_utf8(run.output.stdout.clone()).unwrap();
        let environment: Vec<_> = lines.lines().filter(|l| l.starts_with("environment")).collect();
        assert_eq!(environment, ["environment <ONLY=this one>", "environment <EMPTY=>"]);
        assert_eq!(run.trace().identities(), [20_001], "{function}");
        assert_eq!(run.trace().sizes().last().unwrap(), EXEC_MARKER, "{function}");
    }
}

#[test]
fn a_process_goes_on_after_a_failing_exec() {
    for function in INHERIT.iter().chain(&PASS) {
        let sandbox = setup(function);
        let alone = host(&sandbox, &[function, "/nonexistent"]).run_alone();
        let run = host(&sandbox, &[function, "/nonexistent"]).run().expect(8);
        assert_eq!(run.output.stdout, alone.stdout, "{function}: errno");
        let trace = run.trace();
        assert_eq!(trace.identities(), [20_001, 20_005], "{function}");
        let sizes = trace.sizes();
        assert_eq!(sizes.iter().filter(|line| *line == EXEC_MARKER).count(), 1, "{function}");
        assert_eq!(sizes.last().unwrap(), "@ End", "{function}");
        assert_eq!(trace.info().ending(), "exited", "{function}");
    }
}

#[test]
fn exec_from_a_thread() {
    let sandbox = setup("thread");
    let run = host(&sandbox, &["thread", &program()]).run().expect(7);
    check_images(&run, "execv in a thread");
}

/// Whoever starts a program without the library says so: the process itself, also before its first
/// event, and for a child that leaves no trace, its parent.
#[test]
fn a7_programs_that_are_started_without_the_library() {
    let functions = [
        ("execle", &["fork", "vfork"][..]),
        ("execve", &["fork", "vfork"]),
        ("execvpe", &["fork", "vfork"]),
        ("fexecve", &["fork", "vfork"]),
        ("execveat", &["fork", "vfork"]),
        ("posix_spawn", &["itself", "fork", "early"]),
        ("posix_spawnp", &["itself", "fork", "early"]),
        ("system", &["itself", "fork", "early"]),
        ("popen", &["itself"]),
    ];
    for (function, places) in functions {
        for place in places {
            for environment in ["kept", "bare"] {
                let sandbox = setup(function);
                let host = sandbox.program("leaves").args([function, place, environment]);
                let run = host.run().expect(0);
                let context = format!("{function}, {place}, {environment}: {:?}", run.traces);
                let of = |identity| {
                    let has = |trace: &&crate::trace::Trace| trace.identities().contains(&identity);
                    run.traces.iter().find(has)
                };
                let parent = of(20_005).unwrap_or_else(|| panic!("{context}"));
                assert_eq!(of(20_003).is_some(), environment == "kept", "{context}");
                let said = parent.info().0.contains_key("unrecorded");
                assert_eq!(said, environment == "bare", "{context}");
            }
        }
    }
}
