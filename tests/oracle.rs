//! An oracle that shares no code with us: valgrind sees the same allocations, each function and
//! size as often as we do.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::artifacts::artifacts;
use crate::sandbox::{Sandbox, have, setup, skip};
use crate::trace::Trace;

/// How often a function was called with a size.
type Counts = BTreeMap<(&'static str, u64), u64>;

/// valgrind knows one aligned function and one `realloc`, and sees `operator new` itself, where we
/// see the `malloc` that it is made of.
fn function(name: &str) -> Option<&'static str> {
    match name {
        "malloc" | "_Znwm" | "_Znam" => Some("malloc"),
        "calloc" => Some("calloc"),
        "realloc" | "reallocarray" => Some("realloc"),
        "posix_memalign" | "aligned_alloc" | "memalign" | "valloc" | "pvalloc" => Some("memalign"),
        _ => None,
    }
}

/// A line of valgrind's, without the PID:
/// `malloc(72) = 0x…`, `calloc(1,20) = …`, `realloc(0x…,96) = …`, `realloc(0x0,96)malloc(96) = …`,
/// `memalign(al 64, size 100) = …`.
fn parse(line: &str) -> Option<(&'static str, u64)> {
    let (name, rest) = line.split_once('(')?;
    let function = function(name)?;
    let arguments: Vec<_> = rest.split_once(')')?.0.split(',').map(str::trim).collect();
    let number = |text: &str| text.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
    Some((
        function,
        match arguments[..] {
            [count, size] if function == "calloc" => number(count) * number(size),
            [_, size] => number(size),
            [size] => number(size),
            _ => panic!("not understood: {line}"),
        },
    ))
}

fn valgrind_sees(log: &str) -> Counts {
    let mut counts = Counts::new();
    for line in log.lines().filter_map(|line| line.strip_prefix("--")) {
        let call = line.split_once("-- ").and_then(|(_, call)| parse(call));
        if let Some(call) = call {
            *counts.entry(call).or_default() += 1;
        }
    }
    counts
}

fn we_see(trace: &Trace) -> Counts {
    let mut counts = Counts::new();
    for row in trace.rows() {
        if let Some(function) = function(row.op) {
            *counts.entry((function, row.size.unwrap())).or_default() += 1;
        }
    }
    counts
}

/// The path of the library, made exactly so long: programs copy their environment, so both runs
/// need one of the same sizes.
fn padded(path: &Path, length: usize) -> String {
    let path = path.to_str().unwrap();
    assert!(path.len() <= length + 1 && path.starts_with('/'), "{path} is too long for {length}");
    format!("{}{path}", "/".repeat(length - path.len()))
}

/// The variables that a program finds under valgrind, which adds some.
fn environment_under_valgrind(base: &Command) -> Vec<(String, String)> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["-q", "--log-file=/dev/null", "/usr/bin/env", "-0"]).env_clear();
    valgrind.current_dir(base.get_current_dir().unwrap());
    valgrind.envs(base.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = String::from_utf8(valgrind.output().unwrap().stdout).unwrap();
    let pairs = output.split_terminator('\0').filter_map(|entry| entry.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A call, how often valgrind sees it, and how often we do.
type Difference = ((&'static str, u64), u64, u64);

/// Runs the program under valgrind and under the library, and compares. `explained`: all that may
/// and must differ.
fn check(sandbox: &Sandbox, arguments: &[&str], explained: &[Difference]) {
    let (differences, _) = differences(sandbox, arguments);
    assert_eq!(differences, explained, "(call, valgrind, mallook)");
}

/// The calls that valgrind and we have seen a different number of times, and how many calls it has
/// seen in all.
fn differences(sandbox: &Sandbox, arguments: &[&str]) -> (Vec<Difference>, u64) {
    let mut base = Command::new("valgrind");
    base.env_clear().current_dir(sandbox.path());
    let fixed = [("PATH", "/usr/bin:/bin"), ("LC_ALL", "C"), ("MALLOOK_PREFIX", "trace")];
    base.envs(fixed).env("HOME", "/");
    base.envs([("PYTHONHASHSEED", "0"), ("PERL_HASH_SEED", "0"), ("PYTHONDONTWRITEBYTECODE", "1")]);

    let mut environment = environment_under_valgrind(&base);
    // A short path, so that it can be padded.
    let short = tempfile::tempdir().unwrap();
    let library = short.path().join("libmallook.so");
    symlink(&artifacts().library, &library).unwrap();
    for (name, value) in &mut environment {
        if name == "LD_PRELOAD" {
            *value = padded(&library, value.len());
        }
    }
    let log = sandbox.path().join("log");
    base.args(["--trace-malloc=yes", "--run-libc-freeres=no"]);
    base.arg(format!("--log-file={}", log.display())).args(arguments);
    let oracle = base.output().unwrap();
    assert!(oracle.status.success(), "{oracle:?}");

    let mut hooked = Command::new(arguments[0]);
    hooked.args(&arguments[1..]).current_dir(sandbox.path()).env_clear().envs(environment);
    let output = hooked.output().unwrap();
    assert_eq!((output.status, output.stdout), (oracle.status, oracle.stdout));

    let traces = sandbox.traces("trace");
    let [trace] = &traces[..] else { panic!("{traces:?}") };
    let (theirs, ours) = (valgrind_sees(&std::fs::read_to_string(log).unwrap()), we_see(trace));
    assert!(!theirs.is_empty());
    let calls: BTreeSet<_> = theirs.keys().chain(ours.keys()).copied().collect();
    let count = |counts: &Counts, call| counts.get(call).copied().unwrap_or(0);
    let differences: Vec<_> = (calls.iter())
        .map(|call| (*call, count(&theirs, call), count(&ours, call)))
        .filter(|(_, theirs, ours)| theirs != ours)
        .collect();
    (differences, theirs.values().sum())
}

#[test]
fn a_program_of_known_allocations() {
    if have("a_program_of_known_allocations", &["valgrind"]) {
        // For each new thread glibc allocates a table of all TLS segments (the DTV). The library
        // has one segment and valgrind's preloads have none: one entry of 16 bytes.
        let explained = [(("calloc", 272), 1, 0), (("calloc", 288), 0, 1)];
        let program = artifacts().program("threads");
        check(&setup("oracle"), &[program.to_str().unwrap(), "1", "3000"], &explained);
    }
}

#[test]
fn ls() {
    if have("ls", &["valgrind", "ls"]) {
        check(&setup("oracle"), &["/usr/bin/ls", "-l", "/usr/bin"], &[]);
    }
}

#[test]
fn sort() {
    if have("sort", &["valgrind", "sort"]) {
        let sandbox = setup("oracle");
        let lines: String = (0..2_000_u64).map(|i| format!("{}\n", i * i % 7_919)).collect();
        sandbox.file("lines", lines);
        check(&sandbox, &["/usr/bin/sort", "--parallel=1", "lines"], &[]);
    }
}

#[test]
fn perl() {
    if have("perl", &["valgrind", "perl"]) {
        let script = "my %h; $h{$_} = $_ x 3 for 1..1000; print scalar keys %h";
        check(&setup("oracle"), &["/usr/bin/perl", "-e", script], &[]);
    }
}

#[test]
fn python() {
    if Path::new("/usr/bin/python3").exists() && have("python", &["valgrind"]) {
        let script = "import json; print(json.dumps([1, {'two': 3}]))";
        check(&setup("oracle"), &["/usr/bin/python3", "-c", script], &[]);
    } else {
        skip("python", "/usr/bin/python3");
    }
}

/// It loads every extension with `RTLD_DEEPBIND`, of which the one of ICU is C++.
#[test]
fn php() {
    if have("php", &["valgrind", "php"]) {
        let script = r#"$document = new DOMDocument();
            $document->loadXML(str_repeat("<a>", 50) . str_repeat("</a>", 50));
            echo strlen($document->saveXML()), "\n";
            $format = new NumberFormatter("de_DE", NumberFormatter::DECIMAL);
            echo $format->format(1234567.891), "\n";"#;
        // valgrind's processor has other features, so ICU and OpenSSL choose other tables.
        let (differences, all) = differences(&setup("oracle"), &["/usr/bin/php", "-r", script]);
        let apart: u64 = differences.iter().map(|(_, theirs, ours)| theirs.abs_diff(*ours)).sum();
        assert!(apart <= 10 && all > 10_000, "{apart} of {all}: {differences:?}");
    }
}

#[test]
fn assembler() {
    if have("assembler", &["valgrind", "as"]) {
        let sandbox = setup("oracle");
        let code: String = (0..500).map(|i| format!("label{i}: mov ${i}, %eax\n")).collect();
        sandbox.file("code.s", code);
        check(&sandbox, &["/usr/bin/as", "-o", "code.o", "code.s"], &[]);
    }
}
