//! The coverage of a run by its traces, on screens.

use super::*;

/// A threaded program without leaks has none in both commands.
#[test]
fn the_summary_leaks_what_leaks_does() {
    let sandbox = setup("leaks_of_both");
    for (prefix, options) in [("plain", &[][..]), ("stacks", &["--stacks"])] {
        let threads = artifacts().program("threads");
        let run = ["run", "-q", "-o", prefix];
        let program = ["--", threads.to_str().unwrap(), "3", "500"];
        assert!(mallook(&sandbox, &[&run, options, &program].concat()).status.success());
        let summary = json(&sandbox, &["summary", prefix]);
        let leaks = json(&sandbox, &["leaks", prefix]);
        assert_eq!(summary["leaked_bytes"], leaks["leaked_bytes"], "{prefix}");
        assert_eq!(summary["suppressed"], leaks["suppressions"], "{prefix}");
        assert!(number(&leaks["suppressed_bytes"]) > 0, "{prefix}: {leaks}");
        let places = summary["places"].as_array().unwrap();
        let of_places: u64 = places.iter().map(|place| number(&place["leaked_bytes"])).sum();
        assert_eq!(of_places, number(&summary["leaked_bytes"]));
    }
}

/// Gaps are said on the screen itself, and the data has them.
#[test]
fn every_screen_says_what_a_ring_has_lost() {
    let sandbox = setup("gaps");
    let run = sandbox.program("pairs").args(["1", "9000"]).ring("80K").run().expect(0);
    let path = run.trace().path().to_str().unwrap();
    for command in
        [&["summary"][..], &["leaks"], &["timeline"], &["fragmentation"], &["diff", path]]
    {
        let text = good(&sandbox, &[command, &[path]].concat());
        assert!(text.contains("NOT COMPLETE: ") && text.contains(" events missing"), "{text}");
    }
    for command in [&["summary"][..], &["leaks"], &["fragmentation"]] {
        assert_eq!(json(&sandbox, &[command, &[path]].concat())["complete"], false);
    }
    let diff = json(&sandbox, &["diff", path, path]);
    assert_eq!(
        (&diff["coverage"][0]["complete"], &diff["coverage"][1]["complete"]),
        (&false.into(), &false.into())
    );
}

/// A cut is called one: its rate is that of its range, and what it has of before is counted apart.
#[test]
fn a_cut_says_its_range() {
    let sandbox = setup("cut_covered");
    let run = sandbox.program("threads").args(["2", "3000"]).run().expect(0);
    let (path, rows) = (run.trace().path().to_str().unwrap(), run.trace().rows());
    let (since, until) = (rows[rows.len() / 3].time_ns, rows[rows.len() / 2].time_ns);
    let bounds = [unix(since), unix(until)];
    good(&sandbox, &["cut", "--since", &bounds[0], "--until", &bounds[1], "-o", "part", path]);
    let summary = json(&sandbox, &["summary", "part"]);
    let mut before = Model::new();
    rows.iter().take_while(|row| row.time_ns < since).for_each(|row| before.row(row));
    assert_eq!(number(&summary["inherited"]), before.live.len() as u64);
    let start = number(&summary["start_unix_ns"]);
    assert_eq!(number(&summary["cut"]["since_ns"]), since - start);
    assert_eq!(number(&summary["cut"]["until_ns"]), until - start);
    for command in ["summary", "leaks", "timeline", "fragmentation"] {
        let text = good(&sandbox, &[command, "part"]);
        assert!(text.contains("cut from "), "{command}: {text}");
    }
    assert!(json(&sandbox, &["summary", path])["cut"].is_null());
}

/// Whoever asks for a moment after the end is told.
#[test]
fn moments_after_the_end() {
    let sandbox = setup("after_the_end");
    let run = sandbox.program("pairs").args(["1", "50"]).run().expect(0);
    let path = run.trace().path().to_str().unwrap();
    let late = format!("{path}@99s");
    for (command, is_late) in [
        (&["leaks", "--at", "99s", path][..], true),
        (&["leaks", "--at", "0s", path], false),
        (&["fragmentation", "--at", "99s", path], true),
        (&["diff", path, &late], true),
        (&["diff", path, path], false),
    ] {
        let output = mallook(&sandbox, command);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), said.contains("the traces end before the moment")),
            (Some(0), is_late),
            "{command:?}: {said}"
        );
    }
}

/// A trace that two arguments name counts once.
#[test]
fn a_trace_named_twice() {
    let sandbox = setup("named_twice");
    let pairs = artifacts().program("pairs");
    let run = ["run", "-q", "-o", "out", "--", pairs.to_str().unwrap(), "1", "50"];
    assert!(mallook(&sandbox, &run).status.success());
    let once = json(&sandbox, &["summary", "out"]);
    let output = mallook(&sandbox, &["summary", "--json", "out", "out", "."]);
    let twice: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(once["allocations"], twice["allocations"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("named twice, read once"));
}

/// Temporary blocks of folded stacks are those of the summary.
#[test]
fn temporary_in_folded_stacks() {
    let sandbox = setup("folded_temporary");
    for (program, arguments) in [
        ("threads", &["3", "700"][..]),
        ("figures", &["rolling"]),
        ("operators", &[]),
        ("extremes", &[]),
        ("moves", &[]),
    ] {
        let run = sandbox.program(program).args(arguments).env("MALLOOK_STACK", "full").run();
        for trace in &run.traces {
            let path = trace.path().to_str().unwrap();
            let folded = good(&sandbox, &["export", "--to", "folded", "--cost", "temporary", path]);
            let costs = folded.lines().map(|line| line.rsplit_once(' ').unwrap().1);
            let sum: u64 = costs.map(|cost| cost.parse::<u64>().unwrap()).sum();
            assert_eq!(sum, number(&json(&sandbox, &["summary", path])["temporary"]), "{program}");
        }
    }
}

/// The loader is the program's file there, and what the program leaks is not the loader's.
#[test]
fn a_program_that_the_loader_starts_leaks() {
    let sandbox = setup("by_the_loader");
    let loader = "/lib64/ld-linux-x86-64.so.2";
    let exported = artifacts().program("exported");
    let exported = exported.to_str().unwrap();
    let leaked =
        [("direct", &[exported][..]), ("loaded", &[loader, exported])].map(|(prefix, program)| {
            let run = [&["run", "-q", "--stacks", "-o", prefix, "--"], program].concat();
            assert!(mallook(&sandbox, &run).status.success());
            let (leaks, summary) =
                (json(&sandbox, &["leaks", prefix]), json(&sandbox, &["summary", prefix]));
            assert_eq!(leaks["leaked_bytes"], summary["leaked_bytes"], "{prefix}");
            number(&leaks["leaked_bytes"])
        });
    assert!(leaked[0] > 0 && leaked[0] == leaked[1], "{leaked:?}");
}
