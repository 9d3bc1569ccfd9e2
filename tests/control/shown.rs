//! Marks and pauses are shown wherever people look.

use serde_json::Value;

use super::{said, traces};
use crate::sandbox::{Sandbox, setup};

/// The text of the first mark of the program, as terminals get it.
const SHOWN: &str = "first\\u{1b}[2J\\n<script>&\"'\u{fffd}";

/// A trace with two pauses and as many marks as there is room for, the first of them hostile.
fn paused(name: &str) -> (Sandbox, String) {
    let sandbox = setup(name);
    sandbox.program("paused").arg("2").run().expect(0);
    let file = traces(&sandbox)[0].to_str().unwrap().to_owned();
    (sandbox, file)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_summary_says_when_recording_paused() {
    let (sandbox, file) = paused("shown_summary");
    let summary = json(&said(&sandbox, &["summary", "--json", &file]));
    assert_eq!(summary["marks"][0]["text"], "first\u{1b}[2J\n<script>&\"'\u{fffd}");
    let paused = summary["paused"].as_array().unwrap();
    let ends = |it: &Value| {
        it["resumed"] == true && it["start_ns"].as_u64().unwrap() < it["end_ns"].as_u64().unwrap()
    };
    assert!(paused.len() == 2 && paused.iter().all(ends), "{paused:?}");
    let text = said(&sandbox, &["summary", &file]);
    assert!(text.contains("NOT COMPLETE: recording paused 2 times; figures cover"), "{text}");
    assert!(text.contains("• paused from "), "{text}");
    assert!(text.contains(SHOWN) && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn the_timeline_points_at_them() {
    let (sandbox, file) = paused("shown_timeline");
    let text = said(&sandbox, &["timeline", &file]);
    let line = text.lines().find(|line| line.contains('▲') && !line.starts_with('▲')).unwrap();
    assert!(line.contains('┄') && text.contains("\n┄ recording paused from "), "{text}");
    let csv = said(&sandbox, &["timeline", "--format", "csv", &file]);
    let marked = format!(",\"{}", SHOWN.replace('"', "\"\""));
    assert!(csv.lines().next().unwrap().ends_with(",deaths,marks"));
    assert_eq!(csv.matches(&marked).count(), 1, "{csv}");
    assert_eq!(csv.matches("many").count(), 93, "each is in one interval");
    let svg = said(&sandbox, &["timeline", "--format", "svg", &file]);
    assert_eq!(svg.matches("<rect class=\"paused\"").count(), 2);
    assert!(svg.contains("&lt;script&gt;") && !svg.contains("<script"));
}

#[test]
fn the_firefox_profiler_gets_markers() {
    let (sandbox, file) = paused("shown_firefox");
    said(&sandbox, &["export", "--to", "firefox", "-o", "profile.json", &file]);
    let profile = std::fs::read_to_string(sandbox.path().join("profile.json")).unwrap();
    let profile = json(&profile);
    let markers = &profile["threads"][0]["markers"];
    // A mark is a moment, a pause an interval.
    let phases: Vec<_> = markers["phase"].as_array().unwrap().iter().map(Value::as_u64).collect();
    let count = |phase: u64| phases.iter().filter(|&&it| it == Some(phase)).count();
    assert_eq!((count(0), count(1)), (94, 2));
    let text = markers["data"][0]["text"].as_u64().unwrap() as usize;
    let strings = match &profile["shared"]["stringArray"] {
        Value::Null => &profile["threads"][0]["stringArray"],
        shared => shared,
    };
    assert_eq!(strings[text], SHOWN);
}

#[test]
fn who_follows_gets_marks_by_time() {
    let (sandbox, file) = paused("shown_follow");
    let lines = |command: &str| -> Vec<String> {
        let text = said(&sandbox, &[command, &file]);
        text.lines().map(str::to_owned).collect()
    };
    let (dumped, followed) = (lines("dump"), lines("follow"));
    let is_first = |line: &&String| line.ends_with(&format!("--- mark: {SHOWN}"));
    assert_eq!(followed.iter().filter(is_first).count(), 1);
    let marks = |lines: &[String]| -> Vec<String> {
        lines.iter().filter(|line| line.contains("--- mark: ")).cloned().collect()
    };
    assert_eq!(marks(&followed), marks(&dumped));
    // By time, as all others.
    let time = |line: &String| line.split_whitespace().next().unwrap().to_owned();
    let times: Vec<_> = followed.iter().map(time).collect();
    assert!(times.is_sorted_by(|a, b| a.len() < b.len() || a <= b));
    let markers = said(&sandbox, &["follow", "--format", "jsonl", "--events", "all", &file]);
    let text = markers.lines().map(json).find(|it| it["op"] == "mark").unwrap()["text"].clone();
    assert_eq!(text, "first\u{1b}[2J\n<script>&\"'\u{fffd}");
}

#[test]
fn top_has_the_newest_one() {
    let (sandbox, file) = paused("shown_top");
    let text = said(&sandbox, &["top", "--once", &file]);
    let line = text.lines().find(|line| line.starts_with("mark")).unwrap();
    assert!(line.starts_with("mark    ▲ many, ") && line.ends_with(" and 93 before it"), "{line}");
    let now = json(&said(&sandbox, &["top", "--once", "--json", &file]));
    assert_eq!(now["marks"].as_array().unwrap().len(), 94);
    assert_eq!(now["marks"][0]["text"], "first\u{1b}[2J\n<script>&\"'\u{fffd}");
}
