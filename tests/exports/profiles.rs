//! Formats that sum up by place, or over time: pprof, heaptrack, massif, dhat, the Firefox Profiler.

use std::path::Path;

use serde_json::Value;

use super::truth::Truth;
use super::{export, export_as, recorded, run_export, said_by, special, text};
use crate::sandbox::{Sandbox, have, setup};

/// The sums of the columns of `go tool pprof -raw`.
fn raw(sandbox: &Sandbox, profile: &Path) -> ([u64; 4], String) {
    let arguments = ["tool", "pprof", "-symbolize=none", "-raw", text(profile)];
    let output = sandbox.command("go").args(arguments).run_alone();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let samples = said.split_once("\nSamples:\n").unwrap().1.split_once("\nLocations\n").unwrap().0;
    let types = "alloc_objects/count alloc_space/bytes[dflt] inuse_objects/count inuse_space/bytes";
    let mut lines = samples.lines();
    assert_eq!(lines.next(), Some(types));
    let mut sums = [0; 4];
    for line in lines.filter_map(|line| line.split_once(": ")).map(|(values, _)| values) {
        let values: Vec<u64> = line.split_whitespace().filter_map(|it| it.parse().ok()).collect();
        // Lines with labels have no numbers in front.
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }
    (sums, said)
}

#[test]
fn pprof() {
    if !have("exports::pprof", &["go"]) {
        return;
    }
    let sandbox = setup("pprof");
    let run = recorded(&sandbox);
    let truth = Truth::of(run.trace());
    let profile = export(&sandbox, "pprof", &[run.trace().path()]);
    let (sums, said) = raw(&sandbox, &profile);
    assert_eq!(sums, [truth.births, truth.bytes, truth.live_blocks, truth.live_bytes]);
    assert!(said.contains("exported.c:") && said.contains("leak_here"), "{said}");
    let mappings = said.split_once("\nMappings\n").unwrap().1;
    assert!(mappings.lines().next().unwrap().contains("/exported "), "{mappings}");
    assert!(mappings.contains("[FN]"), "{mappings}");
    let top = ["tool", "pprof", "-top", "-sample_index=inuse_space", text(&profile)];
    let output = sandbox.command("go").args(top).run_alone();
    let said = String::from_utf8(output.stdout).unwrap();
    let first = said.lines().find(|line| line.ends_with("leak_here"));
    assert!(first.is_some_and(|line| line.contains("100%") || line.contains("99.")), "{said}");

    // Without stacks, samples have the sizes as labels.
    let sandbox = setup("pprof-plain");
    let run = sandbox.program("exported").run().expect(0);
    let truth = Truth::of(run.trace());
    let profile = export(&sandbox, "pprof", &[run.trace().path()]);
    let (sums, said) = raw(&sandbox, &profile);
    assert_eq!(sums, [truth.births, truth.bytes, truth.live_blocks, truth.live_bytes]);
    assert!(said.contains("bytes:[30001 bytes]"), "{said}");
}

/// Two traces are one profile, whose samples name their process.
#[test]
fn pprof_of_several_processes() {
    if !have("exports::pprof_of_several_processes", &["go"]) {
        return;
    }
    let (one, other) = (setup("pprof-one"), setup("pprof-other"));
    let runs = [recorded(&one), recorded(&other)];
    let traces = [runs[0].trace(), runs[1].trace()];
    let profile = export(&one, "pprof", &[traces[0].path(), traces[1].path()]);
    let (sums, said) = raw(&one, &profile);
    let sum = |of: fn(&Truth) -> u64| traces.iter().map(|it| of(&Truth::of(it))).sum::<u64>();
    assert_eq!(sums[0], sum(|it| it.births));
    assert_eq!(sums[3], sum(|it| it.live_bytes));
    for trace in traces {
        let label = format!("process:[exported {}]", trace.identity().0);
        assert!(said.contains(&label), "{said}");
    }
}

#[test]
fn heaptrack() {
    if !have("exports::heaptrack", &["heaptrack_print"]) {
        return;
    }
    let sandbox = setup("heaptrack");
    let run = recorded(&sandbox);
    let truth = Truth::of(run.trace());
    for name in ["heaptrack.txt", "heaptrack.gz", "heaptrack.zst"] {
        let file = export_as(&sandbox, "heaptrack", &[run.trace().path()], name);
        let cost = |kind: &str| -> (u64, String) {
            let folded = sandbox.path().join("folded");
            let options = ["--disable-builtin-suppressions", "--flamegraph-cost-type", kind, "-F"];
            let output =
                sandbox.command("heaptrack_print").args(options).args([&folded, &file]).run_alone();
            assert!(output.status.success(), "{output:?}");
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(errors, "");
            let lines = std::fs::read_to_string(folded).unwrap();
            let cost = |line: &str| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
            (lines.lines().map(cost).sum(), lines)
        };
        let (calls, lines) = cost("allocations");
        assert_eq!(calls, truth.births);
        for stack in ["main (exported.c);churn (exported.c); 500", "leak_here (exported.c); 1"] {
            assert!(lines.contains(stack), "{lines}");
        }
        assert_eq!(cost("leaked").0, truth.live_bytes);
        assert_eq!(cost("peak").0, truth.peak_bytes);
    }
}

/// The snapshots of ms_print: number, bytes; and the number of the peak.
fn snapshots(said: &str) -> (Vec<u64>, usize) {
    let number = |word: &str| word.replace(',', "").parse::<u64>().ok();
    let rows = said.lines().filter_map(|line| {
        let words: Option<Vec<_>> = line.split_whitespace().map(number).collect();
        words.filter(|words| words.len() == 6)
    });
    let rows: Vec<_> = rows.collect();
    assert!(rows.iter().enumerate().all(|(place, row)| row[0] == place as u64), "{said}");
    let peak = said.split_once(" (peak)").unwrap().0.rsplit([' ', '[']).next().unwrap();
    (rows.iter().map(|row| row[2]).collect(), peak.parse().unwrap())
}

#[test]
fn massif() {
    if !have("exports::massif", &["ms_print"]) {
        return;
    }
    let sandbox = setup("massif");
    let run = recorded(&sandbox);
    let truth = Truth::of(run.trace());
    let file = export(&sandbox, "massif", &[run.trace().path()]);
    let said = said_by(&sandbox, "ms_print", &[text(&file)], 0);
    let (bytes, peak) = snapshots(&said);
    assert_eq!(bytes[peak], truth.peak_bytes);
    assert_eq!(bytes.iter().max(), Some(&truth.peak_bytes));
    assert_eq!(bytes.last(), Some(&truth.live_bytes));
    let end = said.rsplit_once("100.00% (").unwrap().1;
    assert!(end.contains("leak_here (") && end.contains("exported.c:5)"), "{end}");

    let sandbox = setup("massif-plain");
    let run = sandbox.program("exported").run().expect(0);
    let file = export(&sandbox, "massif", &[run.trace().path()]);
    let said = said_by(&sandbox, "ms_print", &["--threshold=0", text(&file)], 0);
    assert!(said.contains("blocks of 100001 bytes"), "{said}");
}

#[test]
fn dhat() {
    let viewer = Path::new("/usr/libexec/valgrind/dh_view.js");
    if !have("exports::dhat", &["node", "valgrind"]) || !viewer.is_file() {
        return;
    }
    let sandbox = setup("dhat");
    let run = recorded(&sandbox);
    let truth = Truth::of(run.trace());
    let file = export(&sandbox, "dhat", &[run.trace().path()]);
    let arguments = [&special("dh_view.js"), text(viewer), text(&file)];
    let said: Value = serde_json::from_str(&said_by(&sandbox, "node", &arguments, 0)).unwrap();
    let number = |name: &str| said[name].as_u64().unwrap();
    assert_eq!((number("blocks"), number("bytes")), (truth.births, truth.bytes));
    assert_eq!((number("peakBlocks"), number("peakBytes")), (truth.peak_blocks, truth.peak_bytes));
    assert_eq!((number("endBlocks"), number("endBytes")), (truth.live_blocks, truth.live_bytes));
    let leaves = said["leaves"].as_array().unwrap();
    let of = |name: &str| {
        let has = |leaf: &&Value| {
            leaf["frames"].as_array().unwrap().iter().any(|it| it.as_str().unwrap().contains(name))
        };
        leaves.iter().filter(has).map(|leaf| leaf["blocks"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((of(": churn ("), of(": leak_here (")), (600, 21));
}

#[test]
fn firefox() {
    if !have("exports::firefox", &["python3"]) {
        return;
    }
    let sandbox = setup("firefox");
    let run = recorded(&sandbox);
    let truth = Truth::of(run.trace());
    let file = export(&sandbox, "firefox", &[run.trace().path()]);
    let said = said_by(&sandbox, "python3", &[&special("firefox.py"), text(&file)], 0);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["births"], truth.births);
    assert_eq!(said["bytes"], truth.bytes);
    assert_eq!(said["deaths"], truth.deaths);
    assert_eq!(said["live"], truth.live_bytes);
    assert_eq!(said["places"]["churn"], 600 * 101 + 74 * 28 + 12);
    assert_eq!(said["tracks"], serde_json::json!([truth.peak_bytes as f64]));
    assert_eq!(said["processes"][0][0], "exported");
}

/// The number of samples that a flame graph of folded stacks says it has.
fn samples(folded: &[u8]) -> u64 {
    let (mut options, mut picture) = (inferno::flamegraph::Options::default(), Vec::new());
    options.count_name = "units".to_owned();
    inferno::flamegraph::from_reader(&mut options, folded, &mut picture).unwrap();
    let picture = String::from_utf8(picture).unwrap();
    assert!(picture.contains("leak_here"), "{picture}");
    let all = picture.split_once("<title>all (").unwrap().1.split_once(" units").unwrap().0;
    all.replace(',', "").parse().unwrap()
}

#[test]
fn folded() {
    let sandbox = setup("folded");
    let run = recorded(&sandbox);
    let truth = Truth::of(run.trace());
    let path = export(&sandbox, "folded", &[run.trace().path()]);
    assert_eq!(samples(&std::fs::read(path).unwrap()), truth.births);
    for (cost, expected) in
        [("bytes", truth.bytes), ("peak", truth.peak_bytes), ("live", truth.live_bytes)]
    {
        let path = sandbox.path().join(cost);
        let output = run_export("folded", &["--cost", cost], &[run.trace().path()], &path);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(samples(&std::fs::read(path).unwrap()), expected, "{cost}");
    }
}
