//! The output formats, against golden files made from one checked-in trace, which later versions
//! have to read for ever; and the options that choose from them.
//!
//! `MALLOOK_BLESS=1` writes the golden files anew. The trace itself is recorded only where there is
//! none.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use mallook_format::CURSOR_OFFSET;

use crate::artifacts::tests;
use crate::sandbox::{Sandbox, setup};
use crate::trace::{Row, Trace, rows};

const FORMATS: [&str; 4] = ["text", "csv", "jsonl", "sizes"];

fn golden(extension: &str) -> PathBuf {
    tests().join("golden").join(format!("v1.{extension}"))
}

fn blessing() -> bool {
    std::env::var_os("MALLOOK_BLESS").is_some()
}

/// The golden trace, of a program that has done everything once.
fn golden_trace() -> Trace {
    let path = golden("trace");
    if blessing() && !path.exists() {
        let run = setup("golden").program("golden").run().expect(0);
        let mut bytes = fs::read(run.trace().path()).unwrap();
        // Neither the host's name nor a path of this machine.
        bytes[128..704].fill(0);
        bytes[128..134].copy_from_slice(b"golden");
        bytes[192..207].copy_from_slice(b"/usr/bin/golden");
        fs::write(&path, bytes).unwrap();
    }
    Trace::new(path)
}

#[test]
fn golden_files() {
    let trace = golden_trace();
    for format in FORMATS {
        let found = trace.read(&["--format", format]);
        if blessing() {
            fs::write(golden(format), &found).unwrap();
        }
        let expected = fs::read_to_string(golden(format)).unwrap();
        assert_eq!(found, expected, "{format}; MALLOOK_BLESS=1 accepts what is found");
    }
}

#[test]
fn text_is_the_default() {
    assert_eq!(golden_trace().read(&[]), golden_trace().read(&["--format", "text"]));
}

/// The JSON objects say what the rows say, field by field.
#[test]
fn jsonl_agrees_with_csv() {
    let trace = golden_trace();
    let csv = trace.read(&["--format", "csv"]);
    let jsonl = trace.read(&["--format", "jsonl"]);
    let names: Vec<_> = csv.lines().next().unwrap().split(',').collect();
    assert_eq!(csv.lines().count() - 1, jsonl.lines().count());
    for (row, object) in csv.lines().skip(1).zip(jsonl.lines()) {
        let object: serde_json::Value = serde_json::from_str(object).unwrap();
        let object = object.as_object().unwrap();
        let is_known = |key: &String| key == "time" || names.contains(&key.as_str());
        assert!(object.keys().all(is_known), "{object:?}");
        // The time once more, for readers that keep 53 bits of a number.
        let time = object["time"].as_str().unwrap().replace('.', "");
        assert_eq!(time, object["time_ns"].to_string());
        for (name, field) in names.iter().zip(row.split(',')) {
            let value = match object.get(*name) {
                None if name.ends_with("address") => "0x0".to_owned(),
                None if *name == "start_ns" => object["time_ns"].to_string(),
                None => "0".to_owned(),
                Some(serde_json::Value::Bool(value)) => u8::from(*value).to_string(),
                Some(serde_json::Value::String(text)) => text.clone(),
                Some(number) => number.to_string(),
            };
            assert_eq!(value, field, "{name} of {row}");
        }
    }
}

/// Each filter leaves exactly the rows that it names.
#[test]
fn filters() {
    let trace = golden_trace();
    let all = trace.rows();
    let check = |arguments: &[&str], wanted: &dyn Fn(&Row) -> bool| {
        let found = rows(&trace.read(&[&["--format", "csv"], arguments].concat()));
        let expected: Vec<_> = all.iter().filter(|row| wanted(row)).cloned().collect();
        assert!(!expected.is_empty() && expected.len() < all.len(), "{arguments:?} proves nothing");
        assert_eq!(found, expected, "{arguments:?}");
    };
    let middle = all[all.len() / 2].time_ns;
    let time = format!("@{}.{:09}", middle / 1_000_000_000, middle % 1_000_000_000);
    check(&["--since", &time], &|row| row.time_ns >= middle);
    check(&["--until", &time], &|row| row.time_ns <= middle);
    check(&["--since", &time, "--until", &time], &|row| row.time_ns == middle);
    check(&["--op", "free"], &|row| row.op == "free");
    check(&["--op", "realloc", "--op", "calloc"], &|row| matches!(row.op, "realloc" | "calloc"));
    let other = all.iter().find(|row| row.tid != row.pid).expect("two threads").tid;
    check(&["--tid", &other.to_string()], &|row| row.tid == other);
    check(&["--min-size", "10061"], &|row| row.size.is_some_and(|size| size >= 10_061));
    check(&["--max-size", "10061"], &|row| row.size.is_some_and(|size| size <= 10_061));
    check(&["--min-size", "4G"], &|row| row.size.is_some_and(|size| size >= 4 << 30));
    check(&["--op", "malloc", "--max-size", "11K", "--since", &time], &|row| {
        row.op == "malloc" && row.size.unwrap() <= 11 << 10 && row.time_ns >= middle
    });
}

/// Relative times count from the start of the trace.
#[test]
fn relative_times() {
    let trace = golden_trace();
    let all = trace.rows();
    let read = |arguments: &[&str]| rows(&trace.read(&[&["--format", "csv"], arguments].concat()));
    assert_eq!(read(&["--since", "0"]), all);
    assert_eq!(read(&["--until", "1000s"]), all);
    assert_eq!(read(&["--since", "1000s"]), []);
    let first = read(&["--until", "1ns"]);
    assert!(first.len() < all.len());
}

#[test]
fn output_goes_to_a_file() {
    let sandbox = setup("output");
    let path = sandbox.path().join("out.csv");
    let trace = golden_trace();
    assert_eq!(trace.read(&["--format", "csv", "--output", path.to_str().unwrap()]), "");
    assert_eq!(fs::read_to_string(path).unwrap(), trace.read(&["--format", "csv"]));
}

#[test]
fn info_of_the_golden_trace() {
    let trace = golden_trace();
    let info = trace.info();
    let rows = trace.rows();
    let moments: u64 = rows.iter().map(Row::moments).sum();
    assert_eq!(info.present(), moments);
    assert_eq!((info.lost(), info.overwritten(), info.ending()), (0, 0, "exited"));
    assert_eq!(info.get("threads"), "2");
    assert_eq!(info.get("executable"), "/usr/bin/golden");
    assert_eq!(info.get("host"), "golden");
}

/// The first bytes of the golden trace, and what the reader makes of them.
fn cut(sandbox: &Sandbox, bytes: usize) -> Output {
    let whole = fs::read(golden_trace().path()).unwrap();
    let path = sandbox.file("cut.1.1.0", &whole[..bytes]);
    Trace::new(path).dump(&["--format", "csv"])
}

/// The rest of a cut trace is printed, the loss is reported.
#[test]
fn a_cut_trace_is_damaged_and_read_as_far_as_it_goes() {
    let sandbox = setup("cut");
    let whole = golden_trace().rows();
    let (mut least, mut most) = (usize::MAX, 0);
    for bytes in [16_384, 16_500, 17_000, 17_001, 20_000, 32_767] {
        let output = cut(&sandbox, bytes);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{bytes}: {stderr}");
        assert!(stderr.contains("cut.1.1.0"), "{bytes}: {stderr}");
        let rows = rows(&String::from_utf8(output.stdout).unwrap());
        for row in &rows {
            // A reallocation can be cut in its middle; then what it returned is not known.
            let cut = row.address.is_none() && row.op == "realloc";
            assert!(cut || whole.iter().any(|w| w.call() == row.call()), "{bytes}: {row:?}");
        }
        (least, most) = (least.min(rows.len()), most.max(rows.len()));
    }
    assert!(least == 0 && most > 10 && most < whole.len(), "{least} to {most} rows");
}

/// Lengths and holes that the format allows: a file that is longer than its use, claims that were never
/// opened, a ring that is smaller than its file. None of them is damage.
#[test]
fn a_file_that_is_longer_than_its_use() {
    let sandbox = setup("longer");
    let expected = golden_trace().rows();
    let golden = fs::read(golden_trace().path()).unwrap();
    let with_tail = |bytes: &[u8], tail: usize| [bytes, &vec![0; tail]].concat();
    let word = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    for tail in [0, 4096, 16_384, 1 << 20] {
        for unopened in [0, 3] {
            let mut bytes = with_tail(&golden, tail);
            let claimed = word(&bytes, CURSOR_OFFSET) + unopened;
            bytes[CURSOR_OFFSET..][..8].copy_from_slice(&claimed.to_le_bytes());
            let trace = Trace::new(sandbox.file("tail.1.1.0", bytes));
            assert_eq!(trace.rows(), expected, "{tail} bytes, {unopened} claims");
            trace.check();
        }
    }
    let run = sandbox.program("exact").ring("1M").run().expect(0);
    let mut ring = fs::read(run.trace().path()).unwrap();
    for (blocks, tail) in [(63u64, 1 << 20), (4, 0), (4, 5 * 4096)] {
        ring[32..40].copy_from_slice(&blocks.to_le_bytes());
        let trace = Trace::new(sandbox.file("ring.1.1.0", with_tail(&ring, tail)));
        assert_eq!(trace.rows(), run.trace().rows(), "{blocks} blocks, {tail} bytes");
    }
}

#[test]
fn what_is_no_trace() {
    let sandbox = setup("no");
    for content in ["", "hello", &"x".repeat(40_000)] {
        let trace = Trace::new(sandbox.file("no", content));
        let output = trace.dump(&[]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stdout.is_empty());
        assert!(String::from_utf8(output.stderr).unwrap().contains("/no"));
    }
    let missing = Trace::new(sandbox.path().join("missing")).dump(&[]);
    assert_eq!(missing.status.code(), Some(2), "{missing:?}");
    assert_eq!(golden_trace().dump(&["--nonsense"]).status.code(), Some(2));
    assert_eq!(golden_trace().dump(&["--format", "xml"]).status.code(), Some(2));
}

/// A reader whose own reader has seen enough ends quietly.
#[test]
fn a_closed_pipe() {
    let sandbox = setup("pipe");
    sandbox.program("threads").args(["1", "50000"]).run().expect(0);
    let dump = &crate::artifacts::artifacts().dump;
    let script = r#""$0" --format csv "$1" | head -n 1; echo "${PIPESTATUS[0]}""#;
    let trace = sandbox.traces("trace").remove(0);
    let host = sandbox.command("bash").args(["-c", script]).arg(dump).arg(trace.path());
    let output = host.run_alone();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), ["0"]);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
