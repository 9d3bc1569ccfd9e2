//! Formats of columns and binary records: parquet, CTF.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Value, json};

use super::truth::Truth;
use super::{export, recorded, run_export, said_by, special, text};
use crate::sandbox::{Sandbox, have, setup, skip};

#[test]
fn parquet() {
    let test = "exports::parquet";
    if !have(test, &["python3"]) {
        return;
    }
    let sandbox = setup("parquet");
    let run = recorded(&sandbox);
    let truth = Truth::of(run.trace());
    let tables = export(&sandbox, "parquet", &[run.trace().path()]);
    let said = said_by(&sandbox, "python3", &[&special("tables.py"), text(&tables)], 0);
    let expected = json!([
        truth.births,
        truth.bytes,
        truth.deaths,
        truth.live_blocks,
        truth.live_bytes,
        truth.failed,
        truth.peak_bytes,
    ]);
    for line in said.lines() {
        if let Some(missing) = line.strip_suffix(" MISSING") {
            skip(test, missing);
            continue;
        }
        let found: Value = serde_json::from_str(line).unwrap();
        assert_eq!(found["figures"], expected, "{line}");
        if found["reader"] == "duckdb" {
            let places: HashMap<_, _> = (found["places"].as_array().unwrap().iter())
                .map(|place| (place[0].as_str().unwrap(), place[1].as_u64().unwrap()))
                .collect();
            assert_eq!(places["churn"], 600 * 101 + 74 * 28 + 12, "{line}");
            assert_eq!(found["process"][1], true, "{line}");
        }
    }
    let small: Vec<_> = tables.read_dir().unwrap().collect();
    assert_eq!(small.len(), 5);
}

/// An event: its name, and its numbers by field.
type Event = (String, HashMap<String, u64>);

/// The events that babeltrace2 reads, and what it says on stderr.
fn events(sandbox: &Sandbox, trace: &Path) -> (Vec<Event>, String) {
    let output = sandbox.command("babeltrace2").arg(trace).run_alone();
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let event = |line: &str| {
        let (_, rest) = line.split_once(" lttng_ust_libc:").unwrap();
        let (name, rest) = rest.split_once(": {").unwrap();
        let fields = rest.split([',', '{', '}']).filter_map(|field| field.split_once(" = "));
        let number = |text: &str| match text.trim().strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.trim().parse().ok(),
        };
        let fields =
            fields.filter_map(|(name, value)| Some((name.trim().to_owned(), number(value)?)));
        (name.to_owned(), fields.collect())
    };
    (said.lines().map(event).collect(), errors)
}

#[test]
fn ctf() {
    if !have("exports::ctf", &["babeltrace2"]) {
        return;
    }
    let sandbox = setup("ctf");
    let run = recorded(&sandbox);
    let rows = run.trace().rows();
    let directory = export(&sandbox, "ctf", &[run.trace().path()]);
    let (events, errors) = events(&sandbox, &directory);
    assert_eq!(errors, "");
    assert_eq!(events.len(), rows.len());
    for ((name, fields), row) in events.iter().zip(&rows) {
        let expected = match row.op {
            "aligned_alloc" | "valloc" | "pvalloc" => "memalign",
            "reallocarray" => "realloc",
            other => other,
        };
        assert_eq!(name, expected);
        let address = fields.get("ptr").or(fields.get("out_ptr"));
        assert_eq!(address.copied(), Some(row.address.unwrap_or(0)), "{row:?}");
        if !row.is_free() {
            assert_eq!(fields.get("size").copied(), row.size, "{row:?}");
        }
        assert_eq!(fields["vtid"], u64::from(row.tid));
        assert_eq!(fields.get("in_ptr").copied(), row.old_address);
        let alignment = row.alignment.or(row.op.ends_with("valloc").then_some(4096));
        assert_eq!(fields.get("alignment").copied(), alignment, "{row:?}");
        assert!(fields["callstack_user_length"] > 1 || row.is_free(), "{row:?}");
    }
}

/// Events that are missing are discarded ones.
#[test]
fn ctf_of_a_ring() {
    if !have("exports::ctf_of_a_ring", &["babeltrace2"]) {
        return;
    }
    let sandbox = setup("ctf-ring");
    let run = sandbox.program("pairs").args(["1", "9000"]).ring("80K").run().expect(0);
    let directory = sandbox.path().join("ctf");
    let output = run_export("ctf", &[], &[run.trace().path()], &directory);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let (events, errors) = events(&sandbox, &directory);
    let rows = run.trace().rows();
    assert_eq!(events.len(), rows.len());
    let discarded = format!("discarded {} events", run.trace().info().overwritten());
    assert!(errors.contains(&discarded), "{errors}");
}

/// Two processes, told apart by their numbers.
#[test]
fn several_processes() {
    if !have("exports::several_processes", &["babeltrace2", "python3"]) {
        return;
    }
    let (one, other) = (setup("several-one"), setup("several-other"));
    let runs = [recorded(&one), recorded(&other)];
    let paths = [runs[0].trace().path(), runs[1].trace().path()];
    let (found, errors) = events(&one, &export(&one, "ctf", &paths));
    assert_eq!(errors, "");
    for run in &runs {
        let pid = u64::from(run.trace().identity().0);
        let count = found.iter().filter(|(_, fields)| fields["vpid"] == pid).count();
        assert_eq!(count, run.trace().rows().len());
    }
    let tables = export(&one, "parquet", &paths);
    let script = format!(
        "import duckdb; print(duckdb.sql(\"select trace, pid, sum(change_bytes)::bigint from \
         '{}/events.parquet' group by all order by 1\").fetchall())",
        tables.display()
    );
    let output = one.command("python3").args(["-c", &script]).run_alone();
    if !output.status.success() {
        skip("exports::several_processes", "duckdb");
        return;
    }
    let expected: Vec<_> = (0..2)
        .map(|place| {
            let trace = runs[place].trace();
            format!("({place}, {}, {})", trace.identity().0, Truth::of(trace).live_bytes)
        })
        .collect();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.trim(), format!("[{}]", expected.join(", ")));
}
