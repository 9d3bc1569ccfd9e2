//! `mallook cut` and `mallook merge`: what is written is what is read.

use std::collections::HashMap;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Output};

use mallook_format::{Kind, REALLOC_FRESH};
use mallook_reader::export::Format;
use mallook_reader::{Event, EventKind, Events, Range, Source, Stacks, Trace as Reader, merge};

use crate::artifacts::{artifacts, tests};
use crate::fuzz::encode::{Encoder, Moment, Process, Way};
use crate::fuzz::{expand, read, shorten};
use crate::mutation::mutate;
use crate::sandbox::{Random, Run, Sandbox, number, setup};
use crate::trace::{Row, Trace};

fn mallook(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    let mut command = Command::new(&artifacts().mallook);
    command.current_dir(sandbox.path()).args(arguments);
    command.output().unwrap()
}

/// The standard output of a run without errors.
fn good(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let output = mallook(sandbox, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A trace of the sandbox with this name.
fn written(sandbox: &Sandbox, name: &str) -> Trace {
    Trace::new(sandbox.path().join(name))
}

/// Everything that can be printed of events.
const ALL: [&str; 5] = ["dump", "--stacks", "--no-symbols", "--format", "text"];

/// A cut of everything prints what the trace does.
fn same_as_a_whole(sandbox: &Sandbox, trace: &Path) {
    let trace = trace.to_str().unwrap();
    good(sandbox, &["cut", "-o", "whole.cut", trace]);
    for format in ["text", "jsonl"] {
        let print = |file| {
            let options = [&ALL[..4], &[format, "--", file]].concat();
            let text = good(sandbox, &options);
            // The file's own name is not the same.
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let (cut, whole) = (print("whole.cut"), print(trace));
        let differs = whole.iter().zip(&cut).find(|(one, other)| one != other);
        assert_eq!(differs, None, "{trace}");
        assert_eq!(cut.len(), whole.len(), "{trace}");
    }
    written(sandbox, "whole.cut").check();
    std::fs::remove_file(sandbox.path().join("whole.cut")).unwrap();
}

fn with_stacks(sandbox: &Sandbox, program: &str, arguments: &[&str]) -> Run {
    sandbox.program(program).args(arguments).env("MALLOOK_STACK", "full").run()
}

#[test]
fn a_cut_of_everything_is_the_same() {
    let sandbox = setup("whole_cut");
    for golden in ["v1.trace", "v1-stacks.trace"] {
        same_as_a_whole(&sandbox, &tests().join("golden").join(golden));
    }
    for (program, arguments) in [
        ("threads", &["4", "3000"][..]),
        ("extremes", &[]),
        ("operators", &[]),
        ("exact", &["7", "2000"]),
        ("reused", &[]),
    ] {
        let run = with_stacks(&sandbox, program, arguments);
        for trace in &run.traces {
            same_as_a_whole(&sandbox, trace.path());
        }
    }
}

/// The live blocks after the rows up to a moment: the row of each birth, by address.
fn live(rows: &[Row]) -> HashMap<u64, Row> {
    let mut live = HashMap::new();
    for row in rows {
        if row.failed {
            continue;
        }
        let dies = if row.is_free() { row.address } else { row.old_address };
        dies.map(|address| live.remove(&address));
        if !row.is_free() && row.address.is_some_and(|address| address != 0) {
            live.insert(row.address.unwrap(), row.clone());
        }
    }
    live
}

/// The calls of a range are those that a filter finds, and before them stand the births of what lives
/// then, with their own times.
#[test]
fn a_range_and_what_lives_at_its_start() {
    let sandbox = setup("cut_range");
    let run = with_stacks(&sandbox, "threads", &["4", "4000"]);
    let whole = run.trace();
    let rows = whole.rows();
    let path = whole.path().to_str().unwrap();
    let time = |part: usize| rows[rows.len() * part / 10].time_ns;
    for (since, until) in [(0, 3), (2, 5), (5, 9), (7, 7)] {
        let (since, until) = (time(since), time(until));
        let unix = |ns: u64| format!("@{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000);
        let range = ["--since", &unix(since), "--until", &unix(until)];
        good(&sandbox, &[&["cut", "-o", "range.cut"], &range[..], &[path]].concat());
        let cut = written(&sandbox, "range.cut");
        let (before, within): (Vec<_>, Vec<_>) =
            cut.rows().into_iter().partition(|row| row.time_ns < since);
        let expected: Vec<_> =
            rows.iter().filter(|row| (since..=until).contains(&row.time_ns)).cloned().collect();
        // A reallocation that goes on at the end has no address yet.
        let ended: Vec<_> = within.into_iter().filter(|row| row.address.is_some()).collect();
        assert_eq!(ended, expected);
        let first = rows.iter().position(|row| row.time_ns >= since).unwrap();
        let mut alive = live(&rows[..first]);
        // A reallocation that began before the range has not killed its block by then.
        for row in &expected {
            let began = row.start_ns.is_some_and(|start| start < since);
            let old = row.old_address.filter(|_| began);
            assert!(old.is_none_or(|old| before.iter().any(|row| row.address == Some(old))));
        }
        for row in &before {
            let known = alive.remove(&row.address.unwrap()).unwrap();
            let facts = |row: &Row| (row.time_ns, row.tid, row.op, row.address, row.size);
            assert_eq!(facts(row), facts(&known));
        }
        assert!(alive.is_empty(), "{alive:?}");
        cut.check();
        let info = cut.info();
        assert!(info.get("cut").starts_with("from "), "{}", info.get("cut"));
        assert_eq!(info.get("process"), whole.info().get("process"));
        std::fs::remove_file(cut.path()).unwrap();
    }
}

/// A ring that was cut says what it had overwritten, and frees of older memory are no error.
#[test]
fn a_ring_and_a_forked_child() {
    let sandbox = setup("cut_ring");
    let run = sandbox.program("threads").args(["2", "30000"]).ring("160K").run();
    let ring = run.trace();
    let path = ring.path().to_str().unwrap();
    good(&sandbox, &["cut", "-o", "ring.cut", path]);
    let cut = written(&sandbox, "ring.cut");
    assert!(ring.info().overwritten() > 10_000);
    assert_eq!(cut.info().overwritten(), ring.info().overwritten());
    assert_eq!(cut.info().present(), ring.info().present());
    assert_eq!(cut.rows(), ring.rows());
    let run = sandbox.command("sh").args(["-c", "(ls / | cat) >/dev/null; true"]).run();
    for (number, trace) in run.traces.iter().enumerate() {
        let name = format!("child{number}.cut");
        good(&sandbox, &["cut", "-o", &name, trace.path().to_str().unwrap()]);
        written(&sandbox, &name).check();
        assert_eq!(written(&sandbox, &name).rows(), trace.rows());
    }
}

/// A process tree becomes one file, without the processes that were over before the range.
#[test]
fn several_traces_are_one_file() {
    let sandbox = setup("merge");
    let script = "ls / >/dev/null; ls -l / >/dev/null; true";
    let run = sandbox.command("sh").args(["-c", script]).run();
    assert!(run.traces.len() >= 3);
    let said = good(&sandbox, &["merge", "-o", "all", "trace"]);
    assert!(said.starts_with(&format!("all: {} traces, ", run.traces.len())), "{said}");
    let of = |file: &str| good(&sandbox, &["dump", "--events", "all", "--format", "jsonl", file]);
    assert_eq!(of("all"), of("trace"));
    let json = |file: &str| -> Vec<serde_json::Value> {
        let text = good(&sandbox, &["info", "--json", file]);
        serde_json::from_str(&text).unwrap()
    };
    let (merged, each) = (json("all"), json("trace"));
    for (one, other) in merged.iter().zip(&each) {
        for key in ["pid", "kinds", "threads", "ending", "start_ns", "lost", "blocks_used"] {
            assert_eq!(one[key], other[key], "{key}");
        }
    }
    assert_eq!(merged.len(), each.len());
    // Compressed, through a pipe, and merged again.
    let gzip = Command::new("gzip").arg("-k").arg(sandbox.path().join("all")).status().unwrap();
    assert!(gzip.success());
    assert_eq!(of("all.gz"), of("trace"));
    good(&sandbox, &["merge", "-o", "again", "all"]);
    assert_eq!(of("again"), of("trace"));
    // The last process alone.
    let last = each.iter().max_by_key(|it| it["start_ns"].as_u64()).unwrap();
    let start = last["start_ns"].as_u64().unwrap();
    let since = format!("@{}.{:09}", start / 1_000_000_000, start % 1_000_000_000);
    good(&sandbox, &["cut", "--since", &since, "-o", "last", "all"]);
    let left = json("last");
    assert!(left.len() < each.len() && left.iter().any(|it| it["pid"] == last["pid"]), "{left:?}");
    good(&sandbox, &["check", "last"]);
}

#[test]
fn what_cannot_be_written() {
    let sandbox = setup("cut_refused");
    let golden = tests().join("golden/v1.trace");
    sandbox.file("trace", std::fs::read(golden).unwrap());
    for (arguments, words) in [
        (&["cut", "-o", "trace", "trace"][..], "it is a trace that is read"),
        (&["cut", "-o", "x", "--since", "2s", "--until", "1s", "trace"], "--since is later"),
        (&["cut", "-o", "x", "--since", "1h", "trace"], "unknown unit"),
        (&["cut", "-o", "x", "--since", "1000s", "trace"], "no process has an event in the range"),
        (&["merge", "-o", "trace", "trace"], "it is a trace that is read"),
        (&["merge", "-o", "x", "nothing"], "nothing"),
    ] {
        let output = mallook(&sandbox, arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
        assert!(!sandbox.path().join("x").exists());
    }
}

/// An event without its place among the traces, and the call sites of its stack.
fn facts(trace: &Reader) -> Vec<(Event, Vec<(u32, u64)>)> {
    let stacks = Stacks::of(trace);
    let events = Events::with_stacks(trace, &stacks);
    events
        .map(|event| {
            let frames = event.stack.into_iter().flat_map(|stack| stacks.frames(stack));
            let sites = frames.map(|frame| (frame.site, frame.address)).collect();
            (Event { stack: None, ..event }, sites)
        })
        .collect()
}

/// Random moments of several threads, with stacks and all kinds of calls, and pauses, which may begin or end
/// twice. An address is born once, and dies afterwards: no order of threads has to be repaired.
fn moments(random: &mut Random, count: usize) -> Vec<Moment> {
    let kinds: Vec<_> = Kind::ALL.into_iter().filter(|kind| kind.is_moment()).collect();
    let mut live = Vec::new();
    (0..count as u64)
        .map(|number| {
            if random.below(40) == 0 {
                let kind = [Kind::Paused, Kind::Resumed][random.below(2) as usize];
                let thread = 1 + random.below(5) as u32;
                return Moment { thread, kind: kind as u8, ..Moment::default() };
            }
            let kind = kinds[random.below(kinds.len() as u64) as usize];
            let kind = if live.is_empty() && kind.is_death() { Kind::Malloc } else { kind };
            let address = match kind.is_death() {
                true => live.swap_remove(random.below(live.len() as u64) as usize),
                false => (number + 1) << 12,
            };
            if kind.is_birth() {
                live.push(address);
            }
            let fresh = kind.first_half().is_some() && random.below(2) == 0;
            let depth = random.below(30) * u64::from(random.below(4) != 0);
            Moment {
                thread: 1 + random.below(5) as u32,
                kind: kind as u8,
                address,
                size: random.below(1000),
                aux: if fresh { REALLOC_FRESH } else { 0 },
                stack: (0..depth).map(|_| 16 + random.below(40) as u32).collect(),
                way: Way { block: random.below(50) == 0, ..Way::default() },
            }
        })
        .collect()
}

/// Random marks: before, among and behind this number of moments, or anywhere.
fn marks(random: &mut Random, count: usize) -> Vec<(u64, Vec<u8>)> {
    let mark = |random: &mut Random| {
        let after = match random.below(8) {
            0 => random.word(),
            _ => random.below(4 * count as u64),
        };
        let text = (0..random.below(120)).map(|_| random.word() as u8).collect();
        (after, text)
    };
    (0..random.below(6)).map(|_| mark(random)).collect()
}

#[test]
fn random_traces_come_back() {
    let mut random = Random::new();
    for _ in 0..number("MALLOOK_CUTS", 60) {
        let ring = (random.below(3) == 0).then(|| 2 + random.below(6));
        let count = 1 + random.below(3_000) as usize;
        let process = Process { ring, marks: marks(&mut random, count), ..Process::default() };
        let (bytes, _) = Encoder::encode(process, &moments(&mut random, count));
        let trace = Reader::new(Path::new("whole"), Source::Bytes(&bytes)).unwrap();
        let mut cut = Cursor::new(Vec::new());
        Range::default().cut(&trace, &mut cut).unwrap();
        let cut = cut.into_inner();
        let cut = Reader::new(Path::new("cut"), Source::Bytes(&cut)).unwrap();
        let is_gap = |(event, _): &(Event, _)| matches!(event.kind, EventKind::Missing(..));
        let kept = |trace: &Reader| -> Vec<_> {
            facts(trace).into_iter().filter(|fact| !is_gap(fact)).collect()
        };
        let (found, expected) = (kept(&cut), kept(&trace));
        let differs = expected.iter().zip(&found).position(|(one, other)| one != other);
        assert_eq!(differs, None, "{:?}", differs.map(|at| (&expected[at], &found[at])));
        assert_eq!(found.len(), expected.len());
        assert!(cut.damage().0.is_empty(), "{:?}", cut.damage());
        assert_eq!((cut.marks(), cut.pauses()), (trace.marks(), trace.pauses()));
        assert_eq!(cut.paused_since(), trace.paused_since());
    }
}

/// Damaged traces are cut and merged without a panic, into traces without damage that are no larger
/// than what is in them.
#[test]
fn hostile_traces_are_cut_and_merged() {
    let mut random = Random::new();
    let process = Process { marks: marks(&mut random, 2_000), ..Process::default() };
    let (sound, _) = Encoder::encode(process, &moments(&mut random, 2_000));
    let ring = Process { ring: Some(3), ..Process::default() };
    let (ring, _) = Encoder::encode(ring, &moments(&mut random, 2_000));
    let golden = std::fs::read(tests().join("golden/v1-stacks.trace")).unwrap();
    for _ in 0..number("MALLOOK_HOSTILE_CUTS", 300) {
        let mut bytes = match random.below(4) {
            0 => sound.clone(),
            1 => ring.clone(),
            2 => expand(&shorten(&golden)),
            _ => {
                let traces = [&golden, &sound]
                    .map(|bytes| Reader::new(Path::new("part"), Source::Bytes(bytes)).unwrap());
                let mut merged = Cursor::new(Vec::new());
                merge(&traces, &mut merged).unwrap();
                merged.into_inner()
            }
        };
        mutate(&mut random, &mut bytes);
        let done = catch_unwind(AssertUnwindSafe(|| hostile(&mut random, &bytes)));
        if done.is_err() {
            let path = std::env::temp_dir().join("mallook-hostile-cut");
            std::fs::write(&path, &bytes).unwrap();
            panic!("see {}", path.display());
        }
    }
}

fn hostile(random: &mut Random, bytes: &[u8]) {
    let Ok(traces) = Reader::all(Path::new("hostile"), Source::Bytes(bytes)) else { return };
    for trace in &traces {
        let start = trace.header().realtime_ns;
        let range = Range {
            since_ns: (random.below(2) == 0).then(|| start.saturating_add(random.below(10_000))),
            until_ns: (random.below(2) == 0).then(|| start.saturating_add(random.below(20_000))),
        };
        let mut cut = Cursor::new(Vec::new());
        range.cut(trace, &mut cut).unwrap();
        let cut = cut.into_inner();
        assert!(cut.len() <= 4 * bytes.len() + (1 << 20), "{} of {}", cut.len(), bytes.len());
        read(&cut, &[Format::Text]);
        let again = Reader::new(Path::new("cut"), Source::Bytes(&cut)).unwrap();
        Events::of(&again).for_each(drop);
        let (damage, _) = again.damage();
        let slots = damage.iter().filter(|it| it.to_string().contains("expected a slot"));
        assert_eq!(slots.count(), 0, "{damage:?}");
    }
    let mut merged = Cursor::new(Vec::new());
    merge(&traces, &mut merged).unwrap();
    let merged = merged.into_inner();
    let again = Reader::all(Path::new("merged"), Source::Bytes(&merged)).unwrap();
    assert_eq!(again.len(), traces.len());
}

/// A trace made from a damaged one says so, and so does a trace made from that.
#[test]
fn what_is_made_from_a_damaged_trace_is_damaged() {
    let sandbox = setup("cut_damaged");
    let mut bytes = std::fs::read(tests().join("golden/v1.trace")).unwrap();
    // In the middle of its only block of events.
    bytes.truncate(20_000);
    sandbox.file("damaged", &bytes);
    let made = [
        ("cut", "damaged", "cut"),
        ("cut", "cut", "cut_again"),
        ("merge", "damaged", "merged"),
        ("snapshot", "damaged", "copy"),
        ("merge", "copy", "merged_copy"),
    ];
    for (command, from, to) in made {
        let output = mallook(&sandbox, &[command, "-o", to, from]);
        assert_eq!(output.status.code(), Some(1), "{command}: {output:?}");
        let output = mallook(&sandbox, &["summary", "--json", to]);
        assert_eq!(output.status.code(), Some(1), "{to}: {output:?}");
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(summary["complete"], false, "{to}");
    }
}
