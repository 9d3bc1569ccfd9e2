//! Windows of a run: `mallook run --after`, `--for` and `--until-peak`. A program goes on until its test has
//! seen what it waits for. A window that opens or closes while programs still start, as on a slow machine, proves
//! nothing: then a later one is tried.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mallook_reader::{EventKind, Events, Kind, Trace};

use super::{births, check, traces, wait_for};
use crate::artifacts::artifacts;
use crate::sandbox::{Sandbox, setup, stacks_of_the_suite};

/// Milliseconds until a window opens, or closes, one attempt after the other.
const ATTEMPTS: [u64; 4] = [50, 500, 5_000, 50_000];

/// `mallook run` of a test program with traces called `trace`.
fn mallook(sandbox: &Sandbox, options: &[&str], program: &[&str]) -> Command {
    let mut host = sandbox.command(&artifacts().mallook).args(["run", "-o", "trace"]).args(options);
    if let Some(how) = stacks_of_the_suite() {
        host = host.env("MALLOOK_STACK", how);
    }
    host.arg("--").arg(artifacts().program(program[0])).args(&program[1..]).command
}

/// The same with a pipe that ends the program.
fn start(sandbox: &Sandbox, options: &[&str], program: &[&str]) -> Child {
    let mut command = mallook(sandbox, options, program);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Lets the program come to its end.
fn end(mut run: Child) -> Output {
    drop(run.stdin.take());
    run.wait_with_output().unwrap()
}

fn is_paused(path: &Path) -> bool {
    Trace::open(path).is_ok_and(|trace| trace.paused_since().is_some())
}

/// Waits until the window has closed for this number of processes.
fn wait_until_closed(sandbox: &Sandbox, processes: usize) {
    wait_for(|| {
        let is_said =
            fs::read(sandbox.path().join("trace.control")).is_ok_and(|it| it == b"paused\n");
        let traces = traces(sandbox);
        is_said && traces.len() == processes && traces.iter().all(|path| is_paused(path))
    });
}

/// The sizes that were born, and whether all of them outside of pauses.
fn sizes(path: &Path) -> (Vec<u64>, bool) {
    let births = births(path);
    let sizes: BTreeSet<_> = births.keys().map(|(size, _)| *size).collect();
    (sizes.into_iter().collect(), births.keys().all(|(_, pauses)| !pauses))
}

/// The Unix times of these markers, in milliseconds.
fn times(path: &Path, kind: Kind) -> Vec<u64> {
    let trace = Trace::open(path).unwrap();
    let is_one = |it: &mallook_reader::Event| it.kind == EventKind::Marker(kind, 0);
    Events::of(&trace).filter(is_one).map(|event| event.time_ns / 1_000_000).collect()
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

#[test]
fn a_family_is_recorded_in_its_window_alone() {
    let is_met = ATTEMPTS.iter().any(|&length| {
        let sandbox = setup("window");
        let (before, length_ms) = (now_ms(), format!("{length}ms"));
        let options = ["--after", &length_ms, "--for", &length_ms];
        let run = start(&sandbox, &options, &["windowed", "7", "family"]);
        wait_until_closed(&sandbox, 3);
        let family = traces(&sandbox);
        let output = end(run);
        assert_eq!(output.status.code(), Some(7), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.starts_with("mallook: 4 traces written, "), "{said}");
        assert!(!sandbox.path().join("trace.control").exists());
        // What starts behind the window is not recorded either.
        for path in traces(&sandbox).iter().filter(|path| !family.contains(path)) {
            assert_eq!((check(path), sizes(path).0), (1, vec![]));
        }
        // The processes that have started before the window, and have seen it.
        let is_met = family.iter().all(|path| {
            let is_seen = times(path, Kind::Resumed).len() == 1;
            let has = |size| births(path).contains_key(&(size, false));
            is_seen && has(20_003) && !has(20_001)
        });
        for path in family.iter().filter(|_| is_met) {
            assert_eq!(check(path), 2, "{}", path.display());
            assert_eq!(sizes(path), (vec![20_003], true), "{}", path.display());
            // Clocks may be put right meanwhile, by little.
            let (opened, closed) = (times(path, Kind::Resumed)[0], times(path, Kind::Paused)[1]);
            assert!(opened + 10 >= before + length, "{opened} ms, from {before} ms on");
            assert!(closed + 10 >= before + 2 * length, "{closed} ms, from {before} ms on");
        }
        is_met
    });
    assert!(is_met, "no program was there before its window");
}

/// The program ends by itself, or by a signal: so does `mallook run`.
#[test]
fn the_start_of_a_run_is_recorded_and_its_end_is_passed_on() {
    for (how, code, signal) in [("7", Some(7), None), ("-15", None, Some(libc::SIGTERM))] {
        let is_met = ATTEMPTS.iter().any(|length| {
            let sandbox = setup("start_of_run");
            let run = start(&sandbox, &["--for", &format!("{length}ms")], &["windowed", how]);
            wait_until_closed(&sandbox, 1);
            let output = end(run);
            assert_eq!((output.status.code(), output.status.signal()), (code, signal));
            assert!(!sandbox.path().join("trace.control").exists());
            let path = &traces(&sandbox)[0];
            assert_eq!(check(path), 1);
            let births = births(path);
            assert!(births.keys().all(|(size, pauses)| *size != 20_005 && !pauses), "{births:?}");
            births.get(&(20_001, false)) == Some(&10) && births.contains_key(&(20_003, false))
        });
        assert!(is_met, "{how}: no window was open long enough");
    }
}

#[test]
fn a_program_that_ends_before_its_window() {
    let sandbox = setup("before_window");
    let options = ["--after", "9999s", "--for", "9999s", "--summary"];
    let mallook = mallook(&sandbox, &options, &["windowed", "7"]);
    let mut host = sandbox.command("timeout").arg("600").arg(mallook.get_program());
    host = host.args(mallook.get_args());
    // The input has ended from the start, and nobody waits for hours.
    let output = host.run_alone();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("recording paused once"), "{said}");
    let path = &traces(&sandbox)[0];
    assert_eq!((check(path), sizes(path).0), (1, vec![]));
    assert!(!sandbox.path().join("trace.control").exists());
}

#[test]
fn a_size_that_is_never_reached_ends_no_window() {
    let sandbox = setup("never_reached");
    let run = start(&sandbox, &["--until-peak", "1G"], &["windowed", "7", "family"]);
    wait_for(|| {
        let all = traces(&sandbox);
        all.len() == 3 && all.iter().all(|path| sizes(path).0.contains(&20_003))
    });
    let output = end(run);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let found: Vec<_> = traces(&sandbox)
        .iter()
        .map(|path| {
            assert_eq!(check(path), 0);
            let births = births(path);
            [20_001, 20_005, 20_007].map(|size| births.get(&(size, false)).copied())
        })
        .collect();
    let ten = [Some(10), Some(10), None];
    assert_eq!(found.iter().filter(|it| **it == ten).count(), 3, "{found:?}");
    assert!(found.contains(&[None, None, Some(10)]), "{found:?}");
}

/// No process has as much alone.
#[test]
fn a_size_that_two_processes_reach_together_ends_the_window_of_both() {
    let sandbox = setup("reached");
    let run = start(&sandbox, &["--until-peak", "1M"], &["weights", "600001"]);
    wait_until_closed(&sandbox, 2);
    let output = end(run);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    for path in traces(&sandbox) {
        assert_eq!(check(&path), 1);
        let births = births(&path);
        assert_eq!(births.get(&(600_001, false)), Some(&1), "{births:?}");
        assert!(!births.contains_key(&(20_003, false)), "{births:?}");
    }
}

/// Of processes that come one after the other, each has its own memory alone. Several may be read at once.
#[test]
fn the_memory_of_processes_that_have_ended_is_not_added_up() {
    let sandbox = setup("in_turn");
    let run = start(&sandbox, &["--until-peak", "8M"], &["weights", "600001", "turns"]);
    wait_for(|| traces(&sandbox).len() >= 300);
    let output = end(run);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert_eq!(traces(&sandbox).iter().map(|path| check(path)).sum::<u64>(), 0);
}

/// No process runs between the two, and the one that waits for them makes no trace.
#[test]
fn processes_that_start_later_reach_a_size() {
    let sandbox = setup("apart");
    let mut run = start(&sandbox, &["--until-peak", "1M"], &["weights", "2000001", "apart"]);
    wait_for(|| traces(&sandbox).iter().any(|path| Trace::open(path).is_ok_and(|it| it.ended())));
    // Who has nothing to look at any more has noticed by then.
    std::thread::sleep(Duration::from_secs(1));
    run.stdin.as_mut().unwrap().write_all(b"!").unwrap();
    wait_for(|| traces(&sandbox).iter().any(|path| is_paused(path)));
    let output = end(run);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let all: Vec<_> = traces(&sandbox).iter().flat_map(|path| births(path)).collect();
    assert!(all.contains(&((2_000_001, false), 1)), "{all:?}");
    assert!(all.iter().all(|((size, _), _)| *size != 20_003), "{all:?}");
}

/// Traces of the same prefix that are not of this run.
#[test]
fn what_an_earlier_run_has_left_is_none_of_its_business() {
    let sandbox = setup("earlier");
    let earlier = end(start(&sandbox, &[], &["weights", "2000001"]));
    assert_eq!(earlier.status.code(), Some(7), "{earlier:?}");
    let old: Vec<_> =
        (traces(&sandbox).into_iter()).map(|path| (fs::read(&path).unwrap(), path)).collect();
    assert_eq!(old.len(), 2);
    let new = || -> Vec<_> {
        traces(&sandbox).into_iter().filter(|path| old.iter().all(|(_, it)| it != path)).collect()
    };
    let run = start(&sandbox, &["--until-peak", "1M"], &["windowed", "7"]);
    // Long enough for who looks at the others.
    let count = |path: &PathBuf| births(path).get(&(20_003, false)).copied().unwrap_or(0);
    wait_for(|| new().first().is_some_and(|path| count(path) > 5_000 || check(path) > 0));
    assert_eq!(end(run).status.code(), Some(7));
    assert_eq!(check(&new()[0]), 0);
    let run = start(&sandbox, &["--for", "1ms"], &["windowed", "7"]);
    wait_for(|| new().iter().any(|path| is_paused(path)));
    assert_eq!(end(run).status.code(), Some(7));
    for (bytes, path) in &old {
        assert!(fs::read(path).unwrap() == *bytes, "{} has changed", path.display());
    }
}
