//! Call stacks: programs whose stacks are known, by the names that `nm` has for their addresses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sandbox::{Host, Run, Sandbox, have, setup};
use crate::trace::Trace;

/// The functions of a program, by address, as `nm` has them.
struct Symbols {
    program: PathBuf,
    functions: BTreeMap<u64, String>,
}

impl Symbols {
    fn of(program: &Path) -> Symbols {
        let output = Command::new("nm").arg("--defined-only").arg(program).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let functions = text.lines().filter_map(|line| {
            let mut words = line.split(' ');
            let address = u64::from_str_radix(words.next()?, 16).ok()?;
            let is_function = ["t", "T"].contains(&words.next()?);
            is_function.then(|| (address, words.next().unwrap().to_owned()))
        });
        Symbols { program: program.to_owned(), functions: functions.collect() }
    }

    /// The function of a frame of the program, or the file of another one.
    fn name(&self, module: &str, address: u64) -> String {
        if Path::new(module) == self.program {
            return self.functions.range(..=address).next_back().unwrap().1.clone();
        }
        module.rsplit('/').next().unwrap().to_owned()
    }
}

/// A birth: the function, the size, and the names of its frames, innermost first.
#[derive(Debug, PartialEq)]
struct Birth {
    function: String,
    size: u64,
    frames: Vec<String>,
}

/// The births of a trace with their stacks, as JSON Lines have them.
fn births(trace: &Trace, symbols: &Symbols) -> Vec<Birth> {
    let text = trace.read(&["--stacks", "--no-symbols", "--format", "jsonl"]);
    let rows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let births = rows.filter(|row| {
        let op = row["op"].as_str().unwrap_or_default();
        // A reallocation that a kill has come into has no birth yet.
        row["size"].is_u64() && !op.starts_with("free") && !row["address"].is_null()
    });
    let frame = |frame: &serde_json::Value| {
        let Some(module) = frame["module"].as_str() else { return "?".to_owned() };
        let offset = frame["offset"].as_str().unwrap().trim_start_matches("0x");
        symbols.name(module, u64::from_str_radix(offset, 16).unwrap())
    };
    births
        .map(|row| Birth {
            function: row["op"].as_str().unwrap().to_owned(),
            size: row["size"].as_u64().unwrap(),
            frames: row["stack"].as_array().map_or(vec![], |it| it.iter().map(frame).collect()),
        })
        .collect()
}

fn program(sandbox: &Sandbox, options: &[&str]) -> PathBuf {
    let all = [&["-O2", "-fno-optimize-strlen", "-fomit-frame-pointer"], options].concat();
    sandbox.build("special/stacks.c", "stacks", &all)
}

fn with_stacks<'a>(sandbox: &'a Sandbox, program: &Path, how: &str) -> Host<'a> {
    sandbox.command(program).env("MALLOOK_STACK", how)
}

/// The trace of the program, and that of its child: PIDs may begin again between them.
fn parent(run: &Run) -> &Trace {
    of_family(run, false)
}

fn child(run: &Run) -> &Trace {
    of_family(run, true)
}

fn of_family(run: &Run, forked: bool) -> &Trace {
    assert_eq!(run.traces.len(), 2, "{:?}", run.traces);
    let is_forked = |trace: &&Trace| trace.info().get("process").contains("forked from");
    run.traces.iter().find(|trace| is_forked(trace) == forked).unwrap()
}

/// Size, and the frames from the innermost one to `main` or the outermost one in the program.
const KNOWN: &[(u64, &str)] = &[
    (1001, "leaf middle outer main"),
    (1003, "leaf recursive recursive recursive recursive recursive main"),
    (1005, "leaf with_alloca main"),
    (1007, "leaf aligned_frame main"),
    (1009, "leaf compare libc.so.6 libc.so.6 sorted main"),
    (1011, "leaf handler libc.so.6 libc.so.6 libc.so.6 raiser main"),
    (1013, "leaf jumper jumped main"),
    (1015, "leaf jumped main"),
    (1017, "leaf coroutine"),
    (1019, "leaf thread_body"),
    (1021, "leaf jumped_to tail_caller main"),
    (1023, "leaf pushes main"),
    (1025, "leaf aligned_and_long main"),
    (1101, "all_functions main"),
    (1103, "all_functions main"),
    (1105, "all_functions main"),
    (1107, "all_functions main"),
    (1109, "all_functions main"),
    (1111, "all_functions main"),
    (1113, "all_functions main"),
    (1115, "all_functions main"),
];

/// Fails unless each birth of a known size has its stack, and there are `rounds` of each.
fn check_known(births: &[Birth], rounds: usize) {
    for &(size, expected) in KNOWN {
        let expected: Vec<_> = expected.split(' ').collect();
        let found: Vec<_> = births.iter().filter(|birth| birth.size == size).collect();
        assert_eq!(found.len(), rounds, "{size}");
        for birth in found {
            assert_eq!(birth.frames[..expected.len().min(birth.frames.len())], expected, "{size}");
            let rest = &birth.frames[expected.len()..];
            let of_libc = |name: &String| name == "libc.so.6" || name == "_start";
            assert!(rest.iter().all(of_libc), "{size}: {birth:?}");
        }
    }
}

#[test]
fn known_call_trees() {
    if !have("known_call_trees", &["nm"]) {
        return;
    }
    let sandbox = setup("trees");
    for options in [&[][..], &["-no-pie"], &["-fcf-protection=none"], &["-O1"], &["-Os"]] {
        // Without optimisation for tail calls, one frame more is there.
        let sandbox = setup("trees");
        let program = program(&sandbox, options);
        let run = with_stacks(&sandbox, &program, "full").arg("300").run().expect(0);
        let (parent, child) = (parent(&run), child(&run));
        let symbols = Symbols::of(&program);
        let (parent, child) = (births(parent, &symbols), births(child, &symbols));
        if options != ["-O1"] {
            check_known(&parent, 300);
        }
        let deep = parent.iter().find(|birth| birth.size == 1301).unwrap();
        assert!((1024..=2048).contains(&deep.frames.len()), "{}", deep.frames.len());
        assert!(deep.frames[1..1024].iter().all(|name| name == "recursive"), "{deep:?}");
        let of_child = child.iter().find(|birth| birth.size == 1201).unwrap();
        assert_eq!(of_child.frames[..3], ["leaf", "child_only", "main"]);
    }
    drop(sandbox);
}

/// The events that a ring keeps have whole stacks, though most earlier ones are overwritten.
#[test]
fn known_call_trees_in_a_ring() {
    if !have("known_call_trees_in_a_ring", &["nm"]) {
        return;
    }
    let sandbox = setup("ring");
    let program = program(&sandbox, &[]);
    let host = with_stacks(&sandbox, &program, "full").ring("160K").arg("2000");
    let run = host.run().expect(0);
    let (trace, symbols) = (parent(&run), Symbols::of(&program));
    assert!(trace.info().overwritten() > 10_000, "{:?}", trace.info());
    let births = births(trace, &symbols);
    let mut seen = 0;
    for &(size, expected) in KNOWN {
        let expected: Vec<_> = expected.split(' ').collect();
        for birth in births.iter().filter(|birth| birth.size == size) {
            assert_eq!(birth.frames[..expected.len()], expected, "{size}");
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen}");
    trace.check();
}

/// A trace that is killed anywhere has the stacks of all that it has.
#[test]
fn a_killed_process_keeps_its_stacks() {
    if !have("a_killed_process_keeps_its_stacks", &["nm"]) {
        return;
    }
    let sandbox = setup("killed");
    let program = program(&sandbox, &[]);
    let symbols = Symbols::of(&program);
    for wait in [0, 1, 3, 10, 30, 100] {
        let sandbox = setup("killed");
        let host = with_stacks(&sandbox, &program, "full").args(["1", "on"]);
        let mut child = host.preloaded().command.spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
        for trace in sandbox.traces("trace") {
            for birth in births(&trace, &symbols) {
                let known = match birth.size {
                    1001 => &["leaf", "middle", "outer", "main"][..],
                    1401 => &["leaf", "recursive", "recursive"],
                    _ => &[],
                };
                assert!(birth.frames.iter().zip(known).all(|(name, it)| name == it), "{birth:?}");
                assert!(birth.frames.len() >= known.len(), "{birth:?}");
                assert!(!birth.frames.is_empty(), "{birth:?}");
            }
        }
    }
}

/// The other ways: the caller alone, and frame pointers where all code keeps them.
#[test]
fn callers_and_frame_pointers() {
    if !have("callers_and_frame_pointers", &["nm"]) {
        return;
    }
    let sandbox = setup("modes");
    let program = program(&sandbox, &["-fno-omit-frame-pointer"]);
    let symbols = Symbols::of(&program);
    let run = with_stacks(&sandbox, &program, "caller").arg("20").run().expect(0);
    let callers = births(parent(&run), &symbols);
    for (size, caller) in [(1001, "leaf"), (1103, "all_functions"), (1111, "all_functions")] {
        let mut found = callers.iter().filter(|birth| birth.size == size).peekable();
        assert!(found.peek().is_some(), "{size}");
        assert!(found.all(|birth| birth.frames == [caller]), "{size}");
    }
    drop(run);

    let sandbox = setup("pointers");
    let run = with_stacks(&sandbox, &program, "fp").arg("20").run().expect(0);
    let pointers = births(parent(&run), &symbols);
    for (size, expected) in [(1001, "leaf middle outer main"), (1005, "leaf with_alloca main")] {
        let expected: Vec<_> = expected.split(' ').collect();
        let mut found = pointers.iter().filter(|birth| birth.size == size).peekable();
        assert!(found.peek().is_some(), "{size}");
        assert!(found.all(|birth| birth.frames[..expected.len()] == expected), "{size}");
    }
    // They are taken for what they are, and the tables are not asked.
    let guesses = |run: &Run| {
        let text = parent(run).read(&["--stacks", "--no-symbols", "--format", "jsonl"]);
        text.matches(r#""kind":"guessed""#).count()
    };
    assert!(guesses(&run) > 100, "{}", guesses(&run));
    drop(run);
    let sandbox = setup("tables");
    let run = with_stacks(&sandbox, &program, "full").arg("20").run().expect(0);
    assert_eq!(guesses(&run), 0);
}

/// Nothing but the stacks differs from a trace without them.
#[test]
fn events_are_the_same_with_stacks_and_without() {
    let sandbox = setup("same");
    let program = program(&sandbox, &[]);
    let calls = |how: &str| {
        let sandbox = setup("same");
        let run = with_stacks(&sandbox, &program, how).arg("50").run().expect(0);
        let rows = parent(&run).rows();
        let moments: u64 = rows.iter().map(|row| row.moments()).sum();
        assert_eq!(moments, parent(&run).info().present());
        // Addresses differ from run to run.
        let function = |call: String| call.split(',').next().map(str::to_owned);
        rows.iter().map(|row| (function(row.call()), row.size)).collect::<Vec<_>>()
    };
    let plain = calls("off");
    assert!(plain.len() > 1000);
    for how in ["caller", "fp", "full"] {
        assert_eq!(calls(how), plain, "{how}");
    }
}
