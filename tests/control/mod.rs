//! Pauses and marks: from outside (`mallook ctl`), from inside (`docs/mallook.h`), and from the start
//! (`MALLOOK_START`); windows of a run; and pauses where something goes wrong.

mod copied;
mod outside;
mod shown;
mod told;
mod trouble;
mod window;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mallook_reader::{Check, EventKind, Events, Follow, Kind, Trace};

use crate::artifacts::{artifacts, tests};
use crate::sandbox::{Sandbox, have, setup};

fn mallook(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    let mallook = &artifacts().mallook;
    Command::new(mallook).current_dir(sandbox.path()).args(arguments).output().unwrap()
}

/// The stdout of a command that must succeed.
fn said(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let output = mallook(sandbox, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The stderr of a command that must fail with this code.
fn refused(sandbox: &Sandbox, arguments: &[&str], code: i32) -> String {
    let output = mallook(sandbox, arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Waits until something is so, which it will be.
fn wait_for(mut is_so: impl FnMut() -> bool) {
    crate::sandbox::wait_for("something to be so", || is_so().then_some(()));
}

fn traces(sandbox: &Sandbox) -> Vec<PathBuf> {
    Follow::with_this_prefix(&sandbox.path().join("trace"))
}

/// Nothing of the trace is impossible, and pauses take turns. Returns their number.
fn check(path: &Path) -> u64 {
    let trace = Trace::open(path).unwrap();
    let check = Check::of(&trace, |violation, event| eprintln!("{violation:?}: {event:?}"));
    assert_eq!(check.violations, 0, "{}", path.display());
    assert_eq!(trace.damage(), (Vec::new(), 0));
    let (mut pauses, mut paused_ns) = (0, None);
    for event in Events::of(&trace) {
        match event.kind {
            EventKind::Marker(Kind::Paused, _) => {
                assert_eq!(paused_ns.replace(event.time_ns), None, "{}", path.display());
                pauses += 1;
            }
            EventKind::Marker(Kind::Resumed, _) => assert!(paused_ns.take().is_some()),
            _ => {}
        }
    }
    assert_eq!(trace.pauses(), pauses);
    assert_eq!(trace.paused_since().is_some(), paused_ns.is_some());
    pauses
}

/// The births of each size, outside of pauses and in them.
fn births(path: &Path) -> BTreeMap<(u64, bool), u64> {
    let trace = Trace::open(path).unwrap();
    let (mut births, mut pauses) = (BTreeMap::new(), false);
    for event in Events::of(&trace) {
        match event.kind {
            EventKind::Marker(Kind::Paused, _) => pauses = true,
            EventKind::Marker(Kind::Resumed, _) => pauses = false,
            EventKind::Call(call) if call.kind.is_birth() => {
                *births.entry((call.size().unwrap(), pauses)).or_default() += 1;
            }
            _ => {}
        }
    }
    births
}

#[test]
fn what_is_recorded_outside_of_pauses_is_all_there() {
    const ROUNDS: u64 = 200;
    let sandbox = setup("outside");
    for clock in ["tsc", "monotonic", "coarse"] {
        let host = sandbox.program("paused").arg(ROUNDS.to_string()).env("MALLOOK_CLOCK", clock);
        let run = host.run().expect(0);
        assert_eq!(run.said()["errno"], ["1"]);
        let path = run.trace().path();
        assert_eq!(check(path), ROUNDS);
        let births = births(path);
        for worker in 0..4 {
            let own = births.get(&(20_001 + 2 * worker, false)).copied();
            // With the coarse clock, times may be those of before the pause.
            assert!(clock == "coarse" || own == Some(10 * ROUNDS), "{clock}: {births:?}");
            // They may not have noticed.
            let early = births.contains_key(&(30_001 + 2 * worker, false));
            assert!(clock == "coarse" || !early, "{clock}: {births:?}");
        }
        for size in [20_009, 20_011] {
            assert_eq!(births.get(&(size, false)), Some(&ROUNDS), "{clock}: {births:?}");
        }
        // The thread that has paused has noticed at once.
        for size in [30_009, 30_011] {
            let all = births.contains_key(&(size, false)) || births.contains_key(&(size, true));
            assert!(!all, "{clock}: {births:?}");
        }
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_process_that_starts_paused_records_markers_alone() {
    let sandbox = setup("starts_paused");
    // Threads that come to a trace that is just opened must not record either: some runs, as few meet it.
    for stacks in ["off", "full"].iter().cycle().take(20) {
        let host = sandbox.program("pairs").args(["64", "200"]).env("MALLOOK_STACK", stacks);
        let run = host.env("MALLOOK_START", "paused").run().expect(0);
        let trace = Trace::open(run.trace().path()).unwrap();
        let events: Vec<_> = Events::of(&trace).map(|event| event.kind).collect();
        let is_marker = |kind: &EventKind| matches!(kind, EventKind::Marker(..));
        assert!(events.iter().all(is_marker), "{events:?}");
        let first = [EventKind::Marker(Kind::Start, 0), EventKind::Marker(Kind::Paused, 0)];
        assert_eq!(events[..2], first);
        assert!(events.contains(&EventKind::Marker(Kind::End, 0)));
        assert!(trace.paused_since().is_some() && trace.lost().all(|(_, count)| count == 0));
        fs::remove_file(run.trace().path()).unwrap();
    }
}

#[test]
fn a_program_that_is_not_preloaded_is_what_it_was() {
    let sandbox = setup("not_preloaded");
    let output = sandbox.program("paused").run_alone();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "marked -1\nerrno 1\nmore 0\n");
    assert!(traces(&sandbox).is_empty());
}

#[test]
fn the_header_is_c_and_cpp() {
    if !have("the_header_is_c_and_cpp", &["gcc", "g++"]) {
        return;
    }
    let sandbox = setup("header");
    let header = tests().join("../docs/mallook.h");
    let source = format!(
        "#include \"{}\"\nint main(void) {{ mallook_pause(); mallook_resume(); \
         return mallook_mark(\"x\") + 1; }}\n",
        header.display()
    );
    for (compiler, name, options) in [
        ("gcc", "header.c", &["-std=c99", "-O0"][..]),
        ("gcc", "header.c", &["-std=c11", "-O2"]),
        ("g++", "header.cc", &["-std=c++11", "-O2"]),
        ("g++", "header.cc", &["-no-pie", "-Wl,-z,dynamic-undefined-weak"]),
    ] {
        let source = sandbox.file(name, &source);
        let mut command = Command::new(compiler);
        command.args(["-Wall", "-Wextra", "-Werror"]).args(options).arg(source);
        assert!(command.arg("-o").arg(sandbox.path().join("it")).status().unwrap().success());
        // Without the library -1, with it 0.
        let alone = sandbox.command(sandbox.path().join("it")).run_alone();
        assert_eq!(alone.status.code(), Some(0));
        let run = sandbox.command(sandbox.path().join("it")).run().expect(1);
        let trace = Trace::open(run.trace().path()).unwrap();
        assert_eq!((trace.pauses(), trace.marks()[0].text.as_slice()), (1, &b"x"[..]));
        fs::remove_file(run.trace().path()).unwrap();
    }
}

#[test]
fn marks_of_any_text_stand_where_they_were_made() {
    let sandbox = setup("marks");
    let run = sandbox.program("paused").run().expect(0);
    assert_eq!((&run.said()["marked"][0][..], &run.said()["more"][0][..]), ("0", "93"));
    let trace = Trace::open(run.trace().path()).unwrap();
    let marks = trace.marks();
    assert_eq!((marks.len(), &marks[0].text[..]), (94, &b"first\x1b[2J\n<script>&\"'\xff"[..]));
    let places: Vec<_> = Events::of(&trace)
        .filter_map(|event| match event.kind {
            EventKind::Marker(Kind::Mark, place) => Some((place, event.time_ns)),
            _ => None,
        })
        .collect();
    let expected: Vec<_> = marks.iter().map(|mark| (mark.place, mark.time_ns)).collect();
    assert_eq!(places, expected);

    let text = run.trace().read(&[]);
    let line = text.lines().position(|line| line.contains("--- mark: first")).unwrap();
    let (before, line) = (text.lines().take(line).count(), text.lines().nth(line).unwrap());
    assert!(line.ends_with("--- mark: first\\u{1b}[2J\\n<script>&\"'\u{fffd}"), "{line}");
    let pause = text.lines().position(|line| line.contains("--- recording pauses")).unwrap();
    assert!(before < pause && text.contains("--- recording goes on"));

    let name = run.trace().path().file_name().unwrap().to_str().unwrap();
    let jsonl = said(&sandbox, &["dump", "--format", "jsonl", "--events", "all", name]);
    let texts: Vec<_> = (jsonl.lines())
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|event| event["op"] == "mark")
        .map(|event| event["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!((texts.len(), &texts[0][..]), (94, "first\u{1b}[2J\n<script>&\"'\u{fffd}"));

    let shown = "▲ first\\u{1b}[2J\\n<script>&\"'\u{fffd} after ";
    // How many have room in a summary depends on what else it says.
    for (view, others) in [("summary", " other marks]"), ("timeline", "[86 other marks]")] {
        let text = said(&sandbox, &[view, name]);
        assert!(text.contains(shown) && text.contains(others), "{text}");
    }
    let svg = said(&sandbox, &["timeline", "--format", "svg", name]);
    assert!(svg.contains("first\\u{1b}[2J\\n&lt;script&gt;&amp;\"'") && !svg.contains("<script>"));
    let json = said(&sandbox, &["summary", "--json", name]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let marks: Vec<_> = json["marks"].as_array().unwrap().iter().map(|it| &it["text"]).collect();
    assert_eq!((marks.len(), marks[0].as_str().unwrap()), (94, &texts[0][..]));
}
