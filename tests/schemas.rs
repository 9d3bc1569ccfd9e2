//! `--json`: the schemas of `docs` describe every field of what commands print.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::process::Stdio;

use crate::artifacts::{artifacts, tests};
use crate::sandbox::{Sandbox, have, setup, skip};

/// The commands that print JSON; a schema is called after its command.
const COMMANDS: [&[&str]; 8] = [
    &["summary"],
    &["stats"],
    &["leaks"],
    &["diff"],
    &["fragmentation"],
    &["info"],
    &["top"],
    &["ctl", "status"],
];

/// The JSON that a command prints, of all that can be read.
fn json(sandbox: &Sandbox, arguments: &[&str], code: i32) -> Vec<u8> {
    let command = sandbox.command(&artifacts().mallook).args(arguments);
    let output = command.run_alone();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    output.stdout
}

/// Outputs, each beside the name of its schema.
struct Outputs {
    sandbox: Sandbox,
    pairs: Vec<String>,
}

impl Outputs {
    /// Keeps what a command prints about traces that end its reading with this code.
    fn add(&mut self, command: &[&str], traces: &[&str], code: i32) {
        let words: Vec<_> = command.iter().take_while(|word| !word.starts_with('-')).collect();
        let schema = words.iter().map(|word| **word).collect::<Vec<_>>().join("-");
        let arguments = [command, &["--json"], traces].concat();
        let file = format!("{}.json", self.pairs.len());
        self.sandbox.file(&file, json(&self.sandbox, &arguments, code));
        self.pairs.extend([schema, file]);
    }

    /// The same of every command, by its default and with options.
    fn add_all(&mut self, prefix: &str, code: i32) {
        for command in [
            &["summary"][..],
            &["stats"],
            &["leaks", "--no-built-in"],
            &["leaks", "--at", "peak"],
            &["fragmentation"],
            &["fragmentation", "--at", "end", "--nearly-empty", "100"],
            &["info"],
        ] {
            self.add(command, &[prefix], code);
        }
        self.add(&["diff"], &[prefix, &format!("{prefix}@1ms")], code);
        self.add(&["top", "--once"], &[prefix], code);
        // Damage is no matter of the recording's state.
        self.add(&["ctl", "status"], &[prefix], 0);
    }
}

/// Records a program of ours, with these variables, under a prefix.
fn record(sandbox: &Sandbox, prefix: &str, variables: &[(&str, &str)], program: &[&str]) {
    let mut host = sandbox.program(program[0]).args(&program[1..]).env("MALLOOK_PREFIX", prefix);
    for (name, value) in variables {
        host = host.env(name, value);
    }
    let run = host.run();
    assert!(run.output.status.success(), "{program:?}: {:?}", run.output);
    assert!(!sandbox.traces(prefix).is_empty(), "{program:?} has left no trace");
}

#[test]
fn every_command_with_json_has_a_schema() {
    let sandbox = setup("json_commands");
    json(&sandbox, &["generate", "man", "man"], 0);
    let mut found = BTreeSet::new();
    for page in fs::read_dir(sandbox.path().join("man/man1")).unwrap() {
        let page = page.unwrap().file_name().into_string().unwrap();
        let Some(name) = page.strip_prefix("mallook-").and_then(|it| it.strip_suffix(".1")) else {
            continue;
        };
        let words: Vec<_> = name.split('-').collect();
        let help = json(&sandbox, &[&words[..], &["--help"]].concat(), 0);
        let help = String::from_utf8(help).unwrap();
        if help.lines().any(|line| line.trim_start().starts_with("--json")) {
            found.insert(name.to_owned());
        }
    }
    let expected: BTreeSet<_> = COMMANDS.iter().map(|words| words.join("-")).collect();
    assert_eq!(found, expected);
    let docs = tests().parent().unwrap().join("docs");
    let files = fs::read_dir(docs).unwrap().map(|file| file.unwrap().file_name());
    let files = files
        .filter_map(|file| file.to_str().unwrap().strip_suffix(".schema.json").map(str::to_owned));
    assert_eq!(files.collect::<BTreeSet<_>>(), expected);
}

/// Traces with call stacks and without, of one process and of several, whole ones and such as lack events.
fn recorded(sandbox: &Sandbox) -> Vec<(&'static str, i32)> {
    let figures = artifacts().program("figures");
    let figures = figures.to_str().unwrap();
    record(sandbox, "one", &[("MALLOOK_CMDLINE", "1")], &["figures", "peak"]);
    record(sandbox, "stacks", &[("MALLOOK_STACK", "full")], &["figures", "crossed"]);
    let ring = [("MALLOOK_MODE", "ring"), ("MALLOOK_SIZE", "80K")];
    record(sandbox, "ring", &ring, &["figures", "rolling"]);
    record(sandbox, "bounded", &[("MALLOOK_MAX", "80K")], &["figures", "rolling"]);
    record(sandbox, "paused", &[], &["paused", "2"]);
    record(sandbox, "nothing", &[("MALLOOK_START", "paused")], &["figures", "peak"]);
    record(sandbox, "extremes", &[], &["extremes"]);
    let script = format!("{figures} peak; {figures} crossed; exec {figures} big");
    let tree = sandbox.command("sh").args(["-c", &script]).env("MALLOOK_PREFIX", "tree").run();
    assert!(tree.output.status.success(), "{:?}", tree.output);
    assert_eq!(sandbox.traces("tree").len(), 4);
    let whole = fs::read(sandbox.traces("ring")[0].path()).unwrap();
    sandbox.file("damaged", &whole[..whole.len() / 2]);
    json(sandbox, &["cut", "--since", "1ns", "--until", "100s", "-o", "cut", "tree"], 0);
    vec![
        ("one", 0),
        ("stacks", 0),
        ("ring", 0),
        ("bounded", 0),
        ("paused", 0),
        ("nothing", 0),
        ("extremes", 0),
        ("tree", 0),
        ("damaged", 1),
        ("cut", 0),
    ]
}

/// More sizes than are told apart, as rows of classes and of further ones are.
fn record_sizes(sandbox: &Sandbox) {
    let script = "kept = [bytes(size) for size in range(6000)]";
    let host = sandbox.command("python3").args(["-c", script]).env("PYTHONMALLOC", "malloc");
    let run = host.env("MALLOOK_PREFIX", "sizes").run();
    assert!(run.output.status.success(), "{:?}", run.output);
}

/// The outputs of commands on a process that runs, and waits.
fn add_running(outputs: &mut Outputs) {
    let sandbox = outputs.sandbox.clone();
    let mut host = sandbox.program("heaps").env("MALLOOK_PREFIX", "running").preloaded().command;
    let mut child = host.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    outputs.add_all("running", 0);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn schemas_describe_every_field() {
    let test = "schemas_describe_every_field";
    if !have(test, &["python3"]) {
        return;
    }
    let sandbox = setup("schemas");
    let traces = recorded(&sandbox);
    record_sizes(&sandbox);
    let mut outputs = Outputs { sandbox: sandbox.clone(), pairs: Vec::new() };
    for (prefix, code) in traces {
        outputs.add_all(prefix, code);
    }
    outputs.add_all("sizes", 0);
    // Its call stacks end in every way.
    let golden = tests().join("golden/v1-stacks.trace");
    outputs.add_all(golden.to_str().unwrap(), 0);
    add_running(&mut outputs);
    sandbox.file("ours.supp", "leak:main\n");
    outputs.add(&["leaks", "--suppressions", "ours.supp"], &["stacks"], 0);
    outputs.add(&["diff", "--per", "call"], &["one,ring", "paused,tree"], 0);
    outputs.add(&["diff", "--per", "second", "--cost", "allocations"], &["nothing", "one"], 0);
    for by in ["stack", "function", "size"] {
        outputs.add(&["diff", "--by", by], &["stacks", "stacks@1ms"], 0);
    }
    let docs = tests().parent().unwrap().join("docs");
    let host = sandbox.command("python3").arg(tests().join("programs/special/schemas.py"));
    let output = host.arg(docs).args(&outputs.pairs).run_alone();
    match String::from_utf8_lossy(&output.stdout).trim() {
        "valid" => {}
        "jsonschema MISSING" => assert!(!skip(test, "jsonschema")),
        _ => panic!("{output:?}"),
    }
}
