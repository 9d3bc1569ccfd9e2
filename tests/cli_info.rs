//! `mallook info`: the table of many traces, and JSON.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::artifacts::{artifacts, tests};
use crate::sandbox::{Sandbox, setup};
use crate::trace::Trace;

fn info(options: &[&str], traces: &[&Trace]) -> String {
    let mut command = Command::new(&artifacts().mallook);
    command.arg("info").args(options).args(traces.iter().map(|trace| trace.path()));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The columns of a line, which are two blanks apart.
fn columns(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect()
}

fn number(text: &str) -> u64 {
    text.replace(',', "").parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

#[test]
fn a_row_a_process_and_a_total() {
    let sandbox = setup("table");
    let run = sandbox.command("sh").args(["-c", "ls / >/dev/null; ls -l / >/dev/null; true"]).run();
    let traces: Vec<_> = run.traces.iter().collect();
    let table = info(&[], &traces);
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 1 + traces.len() + 1, "{table}");
    let header = ["program", "pid", "events", "bytes", "file", "lost", "covers", "ended"];
    assert_eq!(columns(lines[0]), header);
    let mut events = Vec::new();
    for line in &lines[1..=traces.len()] {
        let row = columns(line);
        let pid: u32 = row[1].parse().unwrap();
        let of_row =
            |trace: &&&Trace| trace.identity().0 == pid && trace.info().present() == number(row[2]);
        let info = traces.iter().find(of_row).unwrap_or_else(|| panic!("{line}")).info();
        let ended = match info.ending() {
            "replaced itself by exec" => "by exec",
            "killed or cut off" => "cut off",
            other => other,
        };
        assert_eq!((row[0], row[7]), (info.get("executable"), ended));
        assert_eq!(number(row[5]), info.lost());
        events.push(number(row[2]));
    }
    assert!(events.is_sorted_by(|one, next| one >= next), "{table}");
    let total = columns(lines[traces.len() + 1]);
    assert_eq!(total[0], format!("{} traces", traces.len()));
    assert_eq!(number(total[1]), events.iter().sum::<u64>(), "{table}");
}

/// The row of a ring says what is gone, and the span of what is left.
#[test]
fn a_ring_in_the_table() {
    let sandbox = setup("ring_table");
    let run = sandbox.program("threads").args(["1", "50000"]).ring("80K").run().expect(0);
    let ring = run.trace();
    let golden = Trace::new(golden());
    let table = info(&[], &[&golden, ring]);
    let lines: Vec<_> = table.lines().map(columns).collect();
    assert_eq!(lines[0][6..], ["overwritten", "covers", "ended"], "{table}");
    let row = &lines[1];
    assert_eq!(number(row[6]), ring.info().overwritten(), "{table}");
    let rows = ring.rows();
    let span = rows[rows.len() - 1].time_ns - rows[0].time_ns;
    let (shown, unit) = row[7].split_once(' ').unwrap();
    let scale = match unit {
        "ns" => 1.0,
        "µs" => 1e3,
        "ms" => 1e6,
        _ => 1e9,
    };
    let shown = shown.parse::<f64>().unwrap() * scale;
    // Markers count for the table, and are no rows; it shows three digits.
    let whole = ring.info().get("duration").trim_end_matches(" s").parse::<f64>().unwrap() * 1e9;
    assert!(shown >= span as f64 * 0.99 && shown <= whole * 1.01, "{shown} for {span} of {whole}");
}

#[test]
fn json_has_what_the_text_has() {
    let sandbox = setup("json");
    let run = sandbox.command("sh").args(["-c", "ls / >/dev/null; true"]).run();
    let traces: Vec<_> = run.traces.iter().collect();
    let objects: Vec<Value> = serde_json::from_str(&info(&["--json"], &traces)).unwrap();
    assert_eq!(objects.len(), traces.len());
    for (object, trace) in objects.iter().zip(&traces) {
        let info = trace.info();
        for (key, field) in [
            ("executable", "executable"),
            ("host", "hostname"),
            ("file size", "file_size"),
            ("requested bytes", "requested_bytes"),
            ("present", "present"),
            ("overwritten", "overwritten"),
            ("failed", "failed"),
        ] {
            let value = match &object[field] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(info.get(key), value, "{field}");
        }
        assert_eq!(object["pid"], trace.identity().0);
    }
    let one: Vec<Value> = serde_json::from_str(&info(&["--json"], &traces[..1])).unwrap();
    assert_eq!(one, objects[..1]);
    // Every key is documented.
    let help = Command::new(&artifacts().mallook).args(["info", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for key in objects[0].as_object().unwrap().keys() {
        assert!(help.contains(key.as_str()), "{key}");
    }
}

fn golden() -> PathBuf {
    tests().join("golden/v1.trace")
}

/// A copy of the golden trace whose program has a name that clears a terminal.
fn hostile(sandbox: &Sandbox) -> Trace {
    let mut bytes = std::fs::read(golden()).unwrap();
    let name = "/\x1b[2J\u{9b}31m\u{202e}\nx";
    bytes[192..192 + name.len()].copy_from_slice(name.as_bytes());
    bytes[192 + name.len()] = 0;
    Trace::new(sandbox.file("hostile.1.1.0", bytes))
}

/// Nothing that a trace says reaches a terminal as a command to it.
#[test]
fn names_are_escaped() {
    let sandbox = setup("escaped");
    let hostile = hostile(&sandbox);
    let golden = Trace::new(golden());
    for (options, traces) in
        [(&[][..], &[&hostile][..]), (&[], &[&hostile, &golden]), (&["--json"], &[&hostile])]
    {
        let text = info(options, traces);
        let raw = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!text.contains(raw), "{options:?}: {text:?}");
        assert!(text.contains("[2J") && text.contains("31m"), "{options:?}: {text:?}");
    }
    let lines = info(&[], &[&hostile, &golden]).lines().count();
    assert_eq!(lines, 4);
}
