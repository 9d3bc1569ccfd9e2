//! `mallook export`, opened by programs that others have written: their counts are those of a plain replay
//! of the csv.
//!
//! The law of the modules:
//!
//! ```text
//! truth               the figures of a trace, from a plain replay
//! profiles lines tables  the formats: of places, of lines, of columns
//! bounds              the memory that exports take
//! refusals hostile    the refusals; names and traces that may hold anything
//! ```

mod bounds;
mod hostile;
mod lines;
mod profiles;
mod refusals;
mod tables;
mod truth;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::artifacts::{artifacts, tests};
use crate::sandbox::{Run, Sandbox};

/// A run of the test program with call stacks.
fn recorded(sandbox: &Sandbox) -> Run {
    sandbox.program("exported").env("MALLOOK_STACK", "full").run().expect(0)
}

/// Runs `mallook export` on these traces.
fn run_export(to: &str, options: &[&str], traces: &[&Path], output: &Path) -> Output {
    let mut mallook = Command::new(&artifacts().mallook);
    mallook.args(["export", "--to", to, "--output"]).arg(output).args(options).args(traces);
    mallook.output().unwrap()
}

/// The output of `mallook export`, which has to find nothing wrong. Failed calls may be left out.
fn export(sandbox: &Sandbox, to: &str, traces: &[&Path]) -> PathBuf {
    export_as(sandbox, to, traces, to)
}

/// The same, with the name of the output.
fn export_as(sandbox: &Sandbox, to: &str, traces: &[&Path], name: &str) -> PathBuf {
    let path = sandbox.path().join(name);
    let output = run_export(to, &[], traces, &path);
    let said = String::from_utf8_lossy(&output.stderr);
    let is_news = |line: &&str| {
        let failed = line.split_once(": failed calls left out: ");
        failed.is_none_or(|(_, rest)| rest.contains(';')) && !line.ends_with("by causality")
    };
    assert_eq!(said.lines().find(is_news), None, "{to}");
    assert_eq!(output.status.code(), Some(0), "{to}: {output:?}");
    path
}

/// The stdout of a program that has to end with this code and say nothing on stderr.
fn said_by(sandbox: &Sandbox, program: &str, arguments: &[&str], code: i32) -> String {
    let output = sandbox.command(program).args(arguments).run_alone();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*stderr), (Some(code), ""), "{program} {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A program of `programs/special`.
fn special(name: &str) -> String {
    tests().join("programs/special").join(name).to_str().unwrap().to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
