//! csv and jsonl that other programs read: exact types whatever the trace, programs with one PID told
//! apart, an order where times are equal, failures and releases said as such.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::artifacts::{artifacts, tests};
use crate::sandbox::{Sandbox, have, setup, skip};
use crate::trace::{Info, Trace, dump};

/// The csv of these traces, with more options.
fn csv(traces: &[Trace], options: &[&str]) -> String {
    let arguments = [&["--format", "csv"], options].concat();
    let output = dump(&arguments, &traces.iter().collect::<Vec<_>>());
    String::from_utf8(output.stdout).unwrap()
}

/// The rows as fields by column.
fn fields(csv: &str) -> Vec<HashMap<&str, &str>> {
    let mut lines = csv.lines();
    let names: Vec<_> = lines.next().unwrap().split(',').collect();
    lines.map(|line| names.iter().copied().zip(line.split(',')).collect()).collect()
}

/// Runs a program that does what columns may trip over, and another one in its place.
fn extremes(sandbox: &Sandbox, clock: &str) -> Vec<Trace> {
    sandbox.program("extremes").env("MALLOOK_CLOCK", clock).run().expect(0).traces
}

/// The golden trace, cut off within a reallocation.
fn unfinished(sandbox: &Sandbox) -> String {
    let whole = std::fs::read(tests().join("golden/v1.trace")).unwrap();
    let is_unfinished = |row: &HashMap<&str, &str>| {
        row["op"] == "realloc" && row["address"] == "0x0" && row["size"] != "0"
    };
    (16_500..whole.len())
        .step_by(16)
        .map(|bytes| csv(&[Trace::new(sandbox.file("cut", &whole[..bytes]))], &[]))
        .find(|csv| fields(csv).iter().any(is_unfinished))
        .expect("a cut within a reallocation")
}

#[test]
fn every_reader_finds_the_same_types() {
    let test = "csv::every_reader_finds_the_same_types";
    if !have(test, &["python3"]) {
        return;
    }
    let sandbox = setup("types");
    let traces = extremes(&sandbox, "tsc");
    assert_eq!(traces.len(), 2, "one for each program");
    let sandbox_of_coarse = setup("coarse-types");
    let coarse = extremes(&sandbox_of_coarse, "coarse");
    let ring = setup("ring-types");
    let ring = ring.program("extremes").ring("80K").run().expect(0).traces;
    let golden = [Trace::new(tests().join("golden/v1.trace"))];
    let files: Vec<PathBuf> = [
        ("plain", csv(&traces, &[])),
        ("all", csv(&traces, &["--events", "all"])),
        ("coarse", csv(&coarse, &[])),
        ("ring", csv(&ring, &["--events", "all"])),
        ("unfinished", unfinished(&sandbox)),
        ("golden", csv(&golden, &[])),
    ]
    .map(|(name, text)| sandbox.file(&format!("{name}.csv"), text))
    .to_vec();
    let load = tests().join("programs/special/load.py");
    let output = sandbox.command("python3").arg(load).args(&files).run_alone();
    assert!(output.status.success(), "{output:?}");
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        skip(test, line.strip_suffix(" MISSING").unwrap_or(line));
    }
}

#[test]
fn failures_releases_and_requests_that_cannot_succeed() {
    let sandbox = setup("extremes");
    let traces = extremes(&sandbox, "monotonic");
    let text = csv(&traces, &[]);
    let rows = fields(&text);
    let of = |op: &str, size: &str| {
        let mut found = rows.iter().filter(|row| row["op"] == op && row["size"] == size);
        let row = found.next().unwrap_or_else(|| panic!("no {op} of {size}"));
        assert!(found.next().is_none(), "{op} of {size} twice");
        row
    };
    const MOST: &str = "9223372036854775807";
    for op in ["malloc", "calloc", "realloc"] {
        let row = of(op, MOST);
        assert_eq!((row["address"], row["failed"]), ("0x0", "1"), "{row:?}");
        // Nothing has died.
        assert_eq!((row["start_ns"], row["duration_ns"]), (row["time_ns"], "0"), "{row:?}");
    }
    assert_eq!(of("realloc", MOST)["old_address"], of("malloc", "20061")["address"]);
    let moved = of("realloc", "20065");
    assert_eq!(moved["old_address"], of("posix_memalign", "20063")["address"]);
    assert_eq!(of("posix_memalign", "20063")["alignment"], "64");
    let spans =
        ["time_ns", "start_ns", "duration_ns"].map(|name| moved[name].parse::<u64>().unwrap());
    assert_eq!(spans[0], spans[1] + spans[2]);
    let released = of("realloc", "0");
    assert_eq!((released["address"], released["failed"]), ("0x0", "0"), "{released:?}");
    assert_eq!(released["old_address"], moved["address"]);
    assert_eq!(of("aligned_alloc", "20067")["alignment"], MOST);
    assert!(!text.contains(",,") && !text.contains(",\n"), "an empty field");
}

/// Blocks that are given out while they live, by a column that names a heap.
fn born_alive(rows: &[HashMap<&str, &str>], heap: &str) -> usize {
    let mut live = std::collections::HashSet::new();
    let mut twice = 0;
    for row in rows {
        let (address, old) = (row["address"], row["old_address"]);
        if row["op"].contains("free") {
            live.remove(&(row[heap], address));
            continue;
        }
        if old != "0x0" && row["failed"] == "0" {
            live.remove(&(row[heap], old));
        }
        twice += usize::from(address != "0x0" && !live.insert((row[heap], address)));
    }
    twice
}

/// Three programs in one process, whose addresses are the same ones.
#[test]
fn programs_with_one_pid_are_told_apart() {
    let sandbox = setup("chain");
    let script = r#"exec sh -c "exec ls /""#;
    let run = sandbox.command("setarch").args(["-R", "sh", "-c", script]).run();
    let text = csv(&run.traces, &[]);
    let rows = fields(&text);
    let mut traces: Vec<_> = rows.iter().map(|row| row["trace"]).collect();
    traces.sort_unstable();
    traces.dedup();
    assert_eq!(traces.len(), run.traces.len());
    assert!(rows.iter().all(|row| row["pid"] == rows[0]["pid"]));
    assert_eq!(born_alive(&rows, "trace"), 0);
    assert_ne!(born_alive(&rows, "pid"), 0, "the chain proves nothing");

    // The way from the number to the file.
    let mut info = Command::new(&artifacts().mallook);
    info.args(["info", "--json"]).args(run.traces.iter().map(Trace::path));
    let output = info.output().unwrap();
    let info: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for (position, trace) in run.traces.iter().enumerate() {
        let object = &info[position];
        assert_eq!(object["trace"], position, "{object}");
        assert_eq!(Path::new(object["file"].as_str().unwrap()), trace.path());
    }
}

/// The first process of two containers: one PID, one path, nothing but the trace tells them apart.
#[test]
fn two_hosts_are_told_apart() {
    let golden = std::fs::read(tests().join("golden/v1.trace")).unwrap();
    let sandbox = setup("hosts");
    let traces = ["a", "b"].map(|host| Trace::new(sandbox.file(&format!("{host}.1.1.0"), &golden)));
    let text = csv(&traces, &[]);
    let rows = fields(&text);
    let of = |trace: &str| rows.iter().filter(|row| row["trace"] == trace).count();
    assert_eq!((of("0"), of("1")), (rows.len() / 2, rows.len() / 2));
    assert_eq!(born_alive(&rows, "trace"), 0);
    assert_ne!(born_alive(&rows, "pid"), 0, "the copy proves nothing");
}

/// The number of overwritten events in the summary, which also says on stderr that events are missing.
fn overwritten(trace: &Trace) -> u64 {
    Info::parse(&String::from_utf8(trace.dump(&["--info"]).stdout).unwrap()).overwritten()
}

/// Where times tie, a thread's rows are still in the order of its calls.
#[test]
fn seq_orders_what_the_coarse_clock_ties() {
    let sandbox = setup("ties");
    let text = csv(&extremes(&sandbox, "coarse"), &[]);
    let rows = fields(&text);
    let ties = rows.windows(2).filter(|rows| rows[0]["time_ns"] == rows[1]["time_ns"]).count();
    assert!(ties > rows.len() / 4, "{ties} ties among {} rows prove nothing", rows.len());
    assert!(rows.iter().enumerate().all(|(number, row)| row["seq"] == number.to_string()));
    assert_eq!(born_alive(&rows, "trace"), 0);
}

#[test]
fn the_life_of_processes_has_rows_on_request() {
    let sandbox = setup("life");
    let traces = extremes(&sandbox, "tsc");
    let text = csv(&traces, &["--events", "all"]);
    let all = fields(&text);
    let calls = csv(&traces, &[]);
    let of = |op: &str| all.iter().filter(|row| row["op"] == op).count();
    assert_eq!((of("start"), of("exec"), of("end")), (2, 1, 1));
    let exec = all.iter().find(|row| row["op"] == "exec").unwrap();
    assert_eq!(exec["detail"], exec["pid"]);
    assert!(all.iter().all(|row| !row.values().any(|field| field.is_empty())));
    let markers = all.iter().filter(|row| ["start", "exec", "end", "exit"].contains(&row["op"]));
    assert_eq!(all.len() - markers.count(), fields(&calls).len());

    let sandbox = setup("life-ring");
    let ring = sandbox.program("extremes").ring("80K").run().expect(0).traces;
    let text = csv(&ring, &["--events", "all"]);
    let rows = fields(&text);
    let gaps = rows.iter().filter(|row| row["op"] == "overwritten");
    let count: u64 = gaps.map(|row| row["detail"].parse::<u64>().unwrap()).sum();
    assert_eq!(count, ring.iter().map(overwritten).sum::<u64>());
    assert_ne!(count, 0);

    let arguments = ["--format", "jsonl", "--events", "all"];
    let output = dump(&arguments, &traces.iter().collect::<Vec<_>>());
    let json = String::from_utf8(output.stdout).unwrap();
    for (line, row) in json.lines().zip(&all) {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(object["op"], row["op"]);
        assert_eq!(object["seq"].to_string(), row["seq"]);
    }
}
