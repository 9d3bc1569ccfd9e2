//! `--fail-if`: what is above a limit fails, and so does what cannot be judged.

use std::process::{Command, Output};

use crate::artifacts::artifacts;
use crate::sandbox::{Sandbox, setup};

fn mallook(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    sandbox.command(&artifacts().mallook).args(arguments).run_alone()
}

/// The exit code, the output, and the lines on stderr.
fn said(output: Output) -> (Option<i32>, String, Vec<String>) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let lines = text(output.stderr).lines().map(str::to_owned).collect();
    (output.status.code(), text(output.stdout), lines)
}

/// Records one of the figures of our program under a prefix.
fn record(sandbox: &Sandbox, prefix: &str, what: &str) {
    let program = artifacts().program("figures");
    let run = ["run", "-q", "-o", prefix, "--", program.to_str().unwrap(), what];
    assert!(mallook(sandbox, &run).status.success());
}

#[test]
fn what_was_not_recorded_is_within_no_limit() {
    let sandbox = setup("unjudged");
    let source =
        sandbox.file("static.c", "int main(int c, char **v) { return v[c - 1][0] == '7'; }");
    let mut gcc = Command::new("gcc");
    gcc.arg("-static").arg(source).arg("-o").arg(sandbox.path().join("static"));
    assert!(gcc.status().unwrap().success());
    let unjudged = "no limit of --fail-if can be judged";
    let nothing = format!("mallook: no trace was written; {unjudged}");
    let of_program = format!("mallook: --only: no trace of typo is left; {unjudged}");
    for (options, expected) in [
        (&["-q"][..], &nothing),
        (&["--no-keep"], &nothing),
        (&["--summary"], &nothing),
        (&["--summary", "--only", "typo"], &of_program),
    ] {
        for (argument, code) in [("0", 125), ("7", 1)] {
            let limits = ["--fail-if", "leaked>0", "--", "./static", argument];
            let run = mallook(&sandbox, &[&["run"], options, &limits].concat());
            let (found, _, lines) = said(run);
            assert_eq!(found, Some(code), "{options:?}: {lines:?}");
            assert_eq!(lines.last(), Some(expected), "{options:?}");
            assert_eq!(
                lines.iter().filter(|line| line.contains("no trace")).count(),
                1,
                "{lines:?}"
            );
        }
    }
    let (code, _, lines) = said(mallook(&sandbox, &["run", "--only", "typo", "--", "ls"]));
    assert_eq!(code, Some(0));
    assert_eq!(lines, ["mallook: --only: no trace of typo is left"]);
}

#[test]
fn figures_that_a_command_does_not_have_are_refused_before_it_prints() {
    let sandbox = setup("no_such_figure");
    record(&sandbox, "a", "peak");
    record(&sandbox, "b", "rolling");
    for (command, figures) in [
        (&["summary", "a"][..], "grown, crossed, failed"),
        (&["leaks", "a"], "leaked, live_at_end"),
        (&["diff", "a", "b"], "live_at_end, allocations, allocated, temporary"),
    ] {
        for limit in ["peek>1", "crossed>=lots", "peak"] {
            let run = mallook(&sandbox, &[command, &["--fail-if", limit]].concat());
            let (code, out, lines) = said(run);
            assert_eq!((code, &*out), (Some(2), ""), "{command:?} {limit}: {lines:?}");
            let is_named = lines[0].ends_with(figures) || limit.contains("lots");
            assert!(is_named, "{command:?} {limit}: {lines:?}");
        }
        // The help has an example that works.
        let (_, help, _) = said(mallook(&sandbox, &[command[0], "--help"]));
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let examples = help.split("as in ").nth(1).unwrap().split(" (may").next().unwrap();
        for example in examples.split(", ") {
            let limit = example.trim_matches('\'');
            let code = mallook(&sandbox, &[command, &["--fail-if", limit]].concat()).status.code();
            assert!(matches!(code, Some(0 | 3)), "{command:?} {limit}: {code:?}");
        }
    }
}

#[test]
fn the_line_says_what_is_judged() {
    let sandbox = setup("judged");
    record(&sandbox, "a", "rolling");
    record(&sandbox, "b", "peak");
    let last = |arguments: &[&str]| {
        let (code, _, mut lines) = said(mallook(&sandbox, arguments));
        assert_eq!(code, Some(3), "{arguments:?}: {lines:?}");
        lines.pop().unwrap()
    };
    assert_eq!(
        last(&["diff", "a", "b", "--fail-if", "leaked>5K"]),
        "mallook: FAILED: leaked grew by 49.0 KiB (50,150 B), 44.0 KiB above the limit of 5.00 KiB (+879.5 %)"
    );
    assert_eq!(
        last(&["summary", "b", "--fail-if", "peak>=170301"]),
        "mallook: FAILED: peak is 166 KiB (170,301 B), which reaches the limit of 166 KiB"
    );
    assert_eq!(
        last(&["leaks", "b", "--fail-if", "live_at_end>0"]),
        "mallook: FAILED: live_at_end is 49.0 KiB (50,150 B), 49.0 KiB above the limit of 0 B"
    );
}
