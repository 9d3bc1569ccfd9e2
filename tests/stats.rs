//! `mallook stats`: what its options do to its tables.

use serde_json::Value;

use crate::artifacts::artifacts;
use crate::sandbox::{Sandbox, setup};

/// Records one of the figures of our program, without call stacks.
fn record(sandbox: &Sandbox, what: &str) {
    let program = artifacts().program("figures");
    let run = ["run", "-q", "-o", "t", "--", program.to_str().unwrap(), what];
    let output = sandbox.command(&artifacts().mallook).args(run).run_alone();
    assert!(output.status.success(), "{output:?}");
}

fn stats(sandbox: &Sandbox, options: &[&str]) -> String {
    let host = sandbox.command(&artifacts().mallook).arg("stats").args(options).arg("t");
    let output = host.run_alone();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The rows of a table, without their heads.
fn table<'a>(text: &'a str, title: &str) -> Vec<&'a str> {
    let lines = text.lines().skip_while(|line| !line.starts_with(title)).skip(2);
    lines.take_while(|line| !line.is_empty()).map(str::trim_start).collect()
}

#[test]
fn what_is_not_in_a_table_is_summed_up() {
    let sandbox = setup("stats_rows");
    record(&sandbox, "crossed");
    let all = stats(&sandbox, &[]);
    let rows = table(&all, "Blocks that another thread has released");
    assert!(rows.len() == 20 && !all.contains("--rows]"), "{all}");
    let few = stats(&sandbox, &["--rows", "2"]);
    let rows = table(&few, "Blocks that another thread has released");
    let rest: Vec<_> = rows[2].split_whitespace().collect();
    assert_eq!(rest, ["[18", "others,", "see", "--rows]", "18", "13.7K"], "{few}");
    for title in ["Sizes allocated most often", "Threads that allocate", "Places, by at peak"] {
        let rows = table(&few, title);
        let is_cut = rows.last().is_some_and(|row| row.contains("see --rows]"));
        assert_eq!(is_cut, table(&all, title).len() > 2, "{title}: {few}");
    }
}

#[test]
fn places_without_call_stacks_are_ordered_by_what_was_asked_for() {
    let sandbox = setup("stats_by");
    record(&sandbox, "peak");
    for (by, head, first) in [
        ("at-peak", "at peak", "1,003 B"),
        ("end", "never freed", "1,003 B"),
        ("allocations", "allocations", "33 B"),
        ("bytes", "allocated", "1,003 B"),
        ("temporary", "temporary", "33 B"),
    ] {
        let text = stats(&sandbox, &["--by", by]);
        let rows = table(&text, &format!("Places, by {head}"));
        assert!(rows.first().is_some_and(|row| row.starts_with(first)), "{by}: {text}");
    }
}

#[test]
fn the_threshold_is_said_where_it_is_not_zero() {
    let sandbox = setup("stats_threshold");
    record(&sandbox, "rolling");
    assert!(stats(&sandbox, &[]).contains("\nof these     temporary 1 (0.0 %)"));
    let text = stats(&sandbox, &["--threshold", "10"]);
    let said = "\nof these     temporary (at most 10 births later) 10,001 (100.0 %)";
    assert!(text.contains(said), "{text}");
}

/// The notes are those of the summary, in any order of the places.
#[test]
fn notes_are_those_of_the_summary() {
    let sandbox = setup("stats_notes");
    record(&sandbox, "peak");
    let summary =
        sandbox.command(&artifacts().mallook).args(["summary", "--json", "t"]).run_alone();
    let notes = |text: &[u8]| serde_json::from_slice::<Value>(text).unwrap()["notes"].clone();
    let expected = notes(&summary.stdout);
    assert!(expected.as_array().is_some_and(|notes| !notes.is_empty()), "{expected}");
    for options in [&["--json"][..], &["--json", "--by", "allocations"]] {
        assert_eq!(notes(stats(&sandbox, options).as_bytes()), expected, "{options:?}");
    }
}
