//! `mallook` as it is typed: its commands against the flags of `mallook-dump`, which they replace,
//! and the answers to what is mistyped.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::artifacts::{artifacts, tests};
use crate::sandbox::{Sandbox, setup};
use crate::trace::{Row, Trace, rows};

/// Runs `mallook` in the directory.
fn mallook(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(&artifacts().mallook);
    command.current_dir(directory).args(arguments).env_remove("MALLOOK_PREFIX");
    // Of the suite, and like one of ours that was misspelt.
    command.env_remove("MALLOOK_TEST_STACK");
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn golden() -> PathBuf {
    tests().join("golden/v1.trace")
}

/// Two good traces, a ring, a cut one, a damaged one, none, and something else: by name.
fn samples() -> Sandbox {
    let sandbox = setup("samples");
    let whole = std::fs::read(golden()).unwrap();
    sandbox.file("golden", &whole);
    sandbox.file("cut", &whole[..17_000]);
    let mut damaged = whole;
    damaged[17_000..17_200].fill(0xa5);
    sandbox.file("damaged", damaged);
    sandbox.file("other", "hello");
    sandbox.program("threads").args(["2", "3000"]).env("MALLOOK_PREFIX", "ring").ring("80K").run();
    let ring = sandbox.traces("ring").remove(0);
    std::fs::rename(ring.path(), sandbox.path().join("ring")).unwrap();
    sandbox
}

/// The options of `mallook-dump`, and the command and the options of `mallook` that do the same.
const SPELLINGS: [(&[&str], &[&str]); 15] = [
    (&[], &["dump"]),
    (&["-f", "csv"], &["dump", "-f", "csv"]),
    (&["--format", "jsonl"], &["dump", "--format", "jsonl"]),
    (&["--format", "sizes"], &["dump", "--format", "sizes"]),
    (&["--op", "malloc,free"], &["dump", "--op", "malloc,free"]),
    (&["--op", "malloc", "--min-size", "1K"], &["dump", "--op", "malloc", "--min-size", "1K"]),
    (&["--max-size", "10 KiB"], &["dump", "--max-size", "10 KiB"]),
    (&["--tid", "24954"], &["dump", "--tid", "24954"]),
    (&["--since", "1us", "--until", "1s"], &["dump", "--since", "1us", "--until", "1s"]),
    (&["--address", "0x55a0768c12a0"], &["dump", "--address", "0x55a0768c12a0"]),
    (&["--check"], &["check"]),
    (&["--follow", "-f", "csv"], &["follow", "-f", "csv"]),
    (&["--min-size", "lots"], &["dump", "--min-size", "lots"]),
    (&["--since", "never"], &["dump", "--since", "never"]),
    (&["--nonsense"], &["dump", "--nonsense"]),
];

/// Output, exit code and messages but for the name of the program.
fn agree(sandbox: &Sandbox, old: &[&str], new: &[&str], files: &[&str]) -> Output {
    let mut dump = Command::new(&artifacts().dump);
    let dump = dump.current_dir(sandbox.path()).args(old).args(files).output().unwrap();
    let now = mallook(sandbox.path(), &[new, files].concat());
    let context = format!("{old:?} {new:?} {files:?}: {dump:?} {now:?}");
    assert_eq!(dump.status.code(), now.status.code(), "{context}");
    assert!(dump.stdout == now.stdout, "{context}");
    let is_usage = text(&dump.stderr).starts_with("error: ");
    let (dumped, said) = (text(&dump.stderr), text(&now.stderr));
    if is_usage {
        // The usage names the command.
        assert_eq!(dumped.lines().next(), said.lines().next(), "{context}");
    } else {
        assert_eq!(dumped.replace("mallook-dump: ", "mallook: "), said, "{context}");
    }
    dump
}

#[test]
fn both_spellings_agree() {
    let sandbox = samples();
    let mut codes = std::collections::BTreeSet::new();
    for (old, new) in SPELLINGS {
        for file in ["golden", "ring", "cut", "damaged", "other", "missing"] {
            codes.insert(agree(&sandbox, old, new, &[file]).status.code());
        }
        if !old.contains(&"--follow") {
            agree(&sandbox, old, new, &["golden", "ring"]);
            agree(&sandbox, old, new, &["golden", "missing"]);
        }
        agree(&sandbox, old, new, &["--output", "golden", "golden"]);
    }
    assert_eq!(Vec::from_iter(codes), [Some(0), Some(1), Some(2)]);
}

/// Of one trace; of many, the flag prints a summary each, and the command a table.
#[test]
fn info_of_one_trace_is_what_the_flag_prints() {
    let sandbox = samples();
    for file in ["golden", "ring", "cut", "damaged", "other", "missing"] {
        agree(&sandbox, &["--info"], &["info"], &[file]);
    }
}

#[test]
fn output_goes_to_a_file() {
    let sandbox = samples();
    for (command, option) in [("dump", "-o"), ("info", "--output"), ("check", "-o")] {
        let plain = mallook(sandbox.path(), &[command, "golden"]);
        let output = mallook(sandbox.path(), &[command, option, "out", "golden"]);
        assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
        assert_eq!(
            text(&plain.stdout),
            std::fs::read_to_string(sandbox.path().join("out")).unwrap()
        );
    }
}

/// A program in the place of the command: the answer is the line that works. A trace is summed up.
#[test]
fn what_was_meant() {
    let sandbox = samples();
    for (arguments, answer) in [
        (&["true"][..], "mallook: true is no command; did you mean: mallook run -- true\n"),
        (
            &["printf", "%s", "it's"],
            "mallook: printf is no command; did you mean: mallook run -- printf %s 'it'\\''s'\n",
        ),
        (
            &["--check", "golden"],
            "mallook: --check is no command; did you mean: mallook check golden\n",
        ),
    ] {
        let output = mallook(sandbox.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_eq!(text(&output.stderr), answer);
        assert_eq!(text(&output.stdout), "");
    }
    let answer = text(&mallook(sandbox.path(), &["printf", "%s", "it's"]).stderr);
    let line = answer.trim_end().split_once("did you mean: ").unwrap().1;
    let output = paste(&sandbox, line);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "it's"));
    let summed_up = |arguments: &[&str]| text(&mallook(sandbox.path(), arguments).stdout);
    assert!(summed_up(&["golden"]).contains("peak  "));
    assert_eq!(summed_up(&["golden"]), summed_up(&["summary", "golden"]));
    // A misspelt command is not a program.
    let typo = mallook(sandbox.path(), &["dmup", "golden"]);
    assert_eq!(typo.status.code(), Some(2));
    assert!(text(&typo.stderr).contains("'dump'"), "{typo:?}");
}

/// Runs a line in a shell that finds `mallook`.
fn paste(sandbox: &Sandbox, line: &str) -> Output {
    let directory = artifacts().mallook.parent().unwrap().display();
    let path = format!("{directory}:{}", std::env::var("PATH").unwrap());
    sandbox.command("sh").args(["-c", line]).env("PATH", path).run_alone()
}

#[test]
fn the_help_of_run_shows_the_defaults() {
    let sandbox = setup("defaults");
    let help = text(&mallook(sandbox.path(), &["run", "--help"]).stdout);
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for (option, default) in [
        ("--output", "$MALLOOK_PREFIX, else mallook.out"),
        ("--mode", "$MALLOOK_MODE, else full"),
        ("--size", "$MALLOOK_SIZE, else 64M"),
        ("--max", "$MALLOOK_MAX, else none"),
        ("--clock", "$MALLOOK_CLOCK, else tsc where it is invariant, else monotonic"),
        ("--library", "the built-in one"),
    ] {
        let (_, rest) = help.split_once(&format!("{option} <")).unwrap();
        let first = rest.split_once("[default: ").unwrap().1;
        assert!(first.starts_with(&format!("{default}]")), "{option}: {help}");
    }
}

/// One grammar for sizes, and one way to say that it was not followed.
#[test]
fn sizes() {
    let sandbox = samples();
    let code = |arguments: &[&str]| mallook(sandbox.path(), arguments).status.code();
    for size in ["1.5M", "1mib", "96 K", "98304", "1_000_000"] {
        assert_eq!(
            code(&["run", "-q", "--mode", "ring", "--size", size, "true"]),
            Some(0),
            "{size}"
        );
        assert_eq!(code(&["run", "-q", "--max", size, "true"]), Some(0), "{size}");
        assert_eq!(code(&["dump", "--min-size", size, "golden"]), Some(0), "{size}");
    }
    for (arguments, found) in [
        (&["run", "--size", "64X", "true"][..], "found \"64X\", expected a number of bytes"),
        (&["run", "--max", "1.5.5G", "true"], "found \"1.5.5G\", expected a number of bytes"),
        (&["run", "--size", "79K", "true"], "found 80896 bytes, expected a size from 80K to 1T"),
        (&["dump", "--max-size", "many", "x"], "found \"many\", expected a number of bytes"),
    ] {
        let output = mallook(sandbox.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains(found), "{output:?}");
    }
}

/// The traces that `--pid` and `--exe` leave, and the events that `--address` leaves.
#[test]
fn filters() {
    let sandbox = setup("filters");
    let shell = format!("{} 2 100; ls >/dev/null; true", artifacts().program("threads").display());
    let run = sandbox.command("sh").args(["-c", &shell]).run();
    let names: Vec<_> = run.traces.iter().map(|t| t.path().file_name().unwrap()).collect();
    let names: Vec<_> = names.iter().map(|name| name.to_str().unwrap()).collect();
    let read = |options: &[&str]| {
        let output = mallook(sandbox.path(), &[&["dump", "-f", "csv"], options, &names].concat());
        (output.status.code(), rows(&text(&output.stdout)))
    };
    let (_, all) = read(&[]);
    let check = |options: &[&str], wanted: &dyn Fn(&Row) -> bool| {
        let expected: Vec<_> = all.iter().filter(|row| wanted(row)).cloned().collect();
        assert!(!expected.is_empty() && expected.len() < all.len(), "{options:?} proves nothing");
        assert_eq!(read(options), (Some(0), expected), "{options:?}");
    };
    let of = |exe: &str| {
        let is_it = |trace: &&Trace| trace.info().get("executable").ends_with(exe);
        run.traces.iter().find(is_it).unwrap()
    };
    let (threads, ls) = (of("/threads"), of("/ls"));
    let pid = threads.identity().0;
    check(&["--pid", &pid.to_string()], &|row| row.pid == pid);
    check(&["--exe", "threads"], &|row| row.pid == pid);
    check(&["--exe", ls.info().get("executable")], &|row| row.pid == ls.identity().0);
    check(&["--exe", "ls", "--exe", "threads"], &|row| [pid, ls.identity().0].contains(&row.pid));
    let moved = all.iter().find(|row| row.old_address.is_some_and(|old| old != 0));
    let address = moved.map_or(all[0].address, |row| row.old_address).unwrap();
    let is_at = |row: &Row| [row.address, row.old_address].contains(&Some(address));
    check(&["--address", &format!("{address:#x}")], &is_at);
    let nobody = mallook(sandbox.path(), &[&["dump", "--exe", "nobody"], &names[..]].concat());
    assert_eq!(nobody.status.code(), Some(2), "{nobody:?}");
}

/// The list after a run names the programs, and its commands work as they stand.
#[test]
fn the_list_after_a_run() {
    let sandbox = setup("list");
    let ends = artifacts().program("ends");
    let script = format!("ls / >/dev/null; {}; true", ends.display());
    let arguments = ["run", "-o", "it's here", "--", "sh", "-c", &script];
    let output = mallook(sandbox.path(), &arguments);
    let said = text(&output.stderr);
    let lines: Vec<_> = said.lines().collect();
    let traces = sandbox.traces("it's here");
    assert_eq!(lines.len(), 1 + traces.len() + 2, "{said}");
    assert!(lines[0].starts_with(&format!("mallook: {} traces written, ", traces.len())), "{said}");
    for (program, prefix) in [("ls ", "ls"), ("ends ", "ends")] {
        assert!(
            lines.iter().any(|line| line.trim_start().starts_with(program)),
            "{prefix}: {said}"
        );
    }
    for (line, start) in
        [(lines[lines.len() - 2], "summary: "), (lines[lines.len() - 1], "events:  ")]
    {
        let pasted = paste(&sandbox, line.strip_prefix(start).unwrap());
        assert!(pasted.status.success() && pasted.stderr.is_empty(), "{line}: {pasted:?}");
        assert!(pasted.stdout.len() > 100, "{line}: {pasted:?}");
    }
}
