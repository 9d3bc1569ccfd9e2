//! `mallook leaks`, `timeline`, `diff` and `fragmentation`: against plain models over the rows of csv,
//! against LeakSanitizer, and as people use them.

mod covered;
mod leaks;
mod real;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::process::{Command, Output};

use serde_json::Value;

use crate::artifacts::{artifacts, tests};
use crate::sandbox::{Sandbox, have, setup, skip};
use crate::trace::{Row, Trace};

fn mallook(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    let mut command = Command::new(&artifacts().mallook);
    command.current_dir(sandbox.path()).args(arguments).output().unwrap()
}

fn good(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let output = mallook(sandbox, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let text = good(sandbox, &[arguments, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// A Unix time as options take it.
fn unix(ns: u64) -> String {
    format!("@{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

/// The live bytes after each row; the blocks that live then, by address, with size and time of birth.
struct Model {
    live: HashMap<u64, (u64, u64)>,
    bytes: u64,
}

impl Model {
    fn new() -> Model {
        Model { live: HashMap::new(), bytes: 0 }
    }

    fn row(&mut self, row: &Row) {
        if row.failed || row.address.is_none() {
            return;
        }
        let dies = if row.is_free() { row.address } else { row.old_address };
        let old = dies.and_then(|address| self.live.remove(&address));
        self.bytes -= old.map_or(0, |(size, _)| size);
        let address = row.address.filter(|address| !row.is_free() && *address != 0);
        if let Some(address) = address {
            let size = row.size.unwrap();
            let old = self.live.insert(address, (size, row.time_ns));
            self.bytes = self.bytes + size - old.map_or(0, |(size, _)| size);
        }
    }

    fn after(rows: &[Row]) -> Model {
        let mut model = Model::new();
        rows.iter().for_each(|row| model.row(row));
        model
    }
}

/// A python that uses malloc for everything.
fn python(sandbox: &Sandbox) -> Trace {
    let script = "import json, random\n\
                  random.seed(1)\n\
                  keep = []\n\
                  for i in range(3000):\n\
                  \x20   s = 'x' * random.randrange(600, 3000)\n\
                  \x20   if i % 5 == 0: keep.append(s)\n\
                  \x20   if len(keep) > 200: keep = keep[::40]\n";
    let run = sandbox
        .command("/usr/bin/python3")
        .args(["-c", script])
        .env("PYTHONMALLOC", "malloc")
        .run()
        .expect(0);
    Trace::new(run.trace().path().to_owned())
}

#[test]
fn what_lives_at_a_moment_is_that_of_a_plain_replay() {
    if !have("views::leaks", &["python3"]) {
        return;
    }
    let sandbox = setup("leaks_model");
    let trace = python(&sandbox);
    let path = trace.path().to_str().unwrap();
    let rows = trace.rows();
    let alive = |report: &Value| {
        let sum = |what: &str| {
            number(&report[format!("leaked_{what}")])
                + number(&report[format!("suppressed_{what}")])
        };
        (sum("bytes"), sum("blocks"))
    };
    for part in [1, 4, 7, 10] {
        let at = rows[rows.len() * part / 10 - 1].time_ns;
        let end = rows.iter().rposition(|row| row.time_ns <= at).unwrap() + 1;
        let model = Model::after(&rows[..end]);
        let report = json(&sandbox, &["leaks", "--at", &unix(at), path]);
        assert_eq!(alive(&report), (model.bytes, model.live.len() as u64));
        let since = rows[rows.len() * part / 20].time_ns;
        let between = ["leaks", "--between", &unix(since), &unix(at), path];
        let born: Vec<_> = model.live.values().filter(|(_, birth)| *birth >= since).collect();
        let bytes = born.iter().map(|(size, _)| size).sum();
        assert_eq!(alive(&json(&sandbox, &between)), (bytes, born.len() as u64));
    }
    let model = Model::after(&rows);
    let end = json(&sandbox, &["leaks", path]);
    assert_eq!(alive(&end), (model.bytes, model.live.len() as u64));
    assert_eq!(end["complete"], true);
    // Older than an age: the clock stops with the last event, which may be a marker.
    let last = rows.last().unwrap().time_ns;
    let old = json(&sandbox, &["leaks", "--older-than", "20ms", path]);
    let is_old = |slack: u64| {
        let old = model.live.values().filter(|(_, birth)| birth + 20_000_000 <= last + slack);
        old.map(|(size, _)| size).sum::<u64>()
    };
    assert!((is_old(0)..=is_old(50_000_000)).contains(&alive(&old).0));
    // The peak: the first one, after any event.
    let (mut running, mut most) = (Model::new(), 0);
    for row in &rows {
        running.row(row);
        most = most.max(running.bytes);
    }
    assert_eq!(alive(&json(&sandbox, &["leaks", "--at", "peak", path])).0, most);
}

#[test]
fn a_timeline_loses_no_peak_and_no_event() {
    if !have("views::timeline", &["python3"]) {
        return;
    }
    let sandbox = setup("timeline");
    let trace = python(&sandbox);
    let path = trace.path().to_str().unwrap();
    let rows = trace.rows();
    let csv = good(&sandbox, &["timeline", "--format", "csv", path]);
    let lines: Vec<Vec<&str>> = csv.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert!(lines.len() <= 2000, "{}", lines.len());
    let value = |line: &Vec<&str>, column: usize| line[column].parse::<u64>().unwrap();
    let mut model = Model::new();
    let mut next = rows.iter().peekable();
    let (mut births, mut deaths) = (0, 0);
    for line in &lines {
        assert_eq!(line[0], "all");
        let (mut least, mut most) = (model.bytes, model.bytes);
        while let Some(row) = next.next_if(|row| row.time_ns < value(line, 3)) {
            births += u64::from(!row.is_free() && !row.failed && row.address != Some(0));
            model.row(row);
            least = least.min(model.bytes);
            most = most.max(model.bytes);
        }
        assert_eq!(value(line, 5), most, "{line:?}");
        assert!(value(line, 4) <= least, "{line:?}");
        deaths += value(line, 10);
    }
    assert!(next.next().is_none());
    assert_eq!(lines.iter().map(|line| value(line, 8)).sum::<u64>(), births);
    assert_eq!(births - deaths, model.live.len() as u64);
    // The picture is well-formed, and the screen has the peak.
    let svg = good(&sandbox, &["timeline", "--format", "svg", path]);
    sandbox.file("live.svg", &svg);
    let check = "import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])";
    let parsed = sandbox.command("/usr/bin/python3").args(["-c", check, "live.svg"]).run_alone();
    assert!(parsed.status.success() && svg.len() < 2 << 20, "{parsed:?}");
    let text = good(&sandbox, &["timeline", path]);
    assert!(text.starts_with("python3") && text.contains("peak ") && text.lines().count() < 40);
}

#[test]
fn several_processes_over_time() {
    let sandbox = setup("timeline_tree");
    let run = sandbox.command("sh").args(["-c", "ls / >/dev/null; ls -l / >/dev/null; true"]).run();
    let csv = good(&sandbox, &["timeline", "--format", "csv", "trace"]);
    let processes: BTreeSet<_> =
        csv.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
    assert_eq!(processes.len(), 1 + run.traces.len());
    let births = |which: &dyn Fn(&str) -> bool| -> u64 {
        let lines = csv.lines().skip(1).filter(|line| which(line.split(',').nth(1).unwrap()));
        lines.map(|line| line.split(',').nth(8).unwrap().parse::<u64>().unwrap()).sum()
    };
    assert_eq!(births(&|trace| trace == "-1"), births(&|trace| trace != "-1"));
    let text = good(&sandbox, &["timeline", "trace"]);
    assert!(text.contains("live bytes of each process"), "{text}");
}

/// Two moments of one run: the live bytes of each are those of a plain replay.
#[test]
fn two_moments_of_a_run() {
    if !have("views::diff", &["python3"]) {
        return;
    }
    let sandbox = setup("diff_moments");
    let trace = python(&sandbox);
    let rows = trace.rows();
    let [a, b] = [3, 8].map(|part| rows[rows.len() * part / 10].time_ns);
    let name = |ns: u64| format!("{}@{}", trace.path().display(), unix(ns));
    let report = json(&sandbox, &["diff", &name(a), &name(b)]);
    let live = |at: u64| {
        let end = rows.iter().rposition(|row| row.time_ns <= at).unwrap() + 1;
        Model::after(&rows[..end]).bytes as f64
    };
    let totals = report["totals"].as_array().unwrap();
    let total = |name: &str| totals.iter().find(|row| row["name"] == name).unwrap();
    assert_eq!(total("live")["before"]["mean"], live(a));
    assert_eq!(total("live")["after"]["mean"], live(b));
    let changes =
        report["places"].as_array().unwrap().iter().map(|row| row["change"].as_f64().unwrap());
    assert_eq!(changes.sum::<f64>(), live(b) - live(a));
    assert_eq!((&report["cost"], &report["by"]), (&"live bytes".into(), &"size".into()));
}

#[test]
fn repetitions_tell_noise_from_change() {
    let sandbox = setup("diff_noise");
    let mut names = Vec::new();
    for (name, pairs) in
        [("a1", "500"), ("a2", "510"), ("a3", "505"), ("b1", "507"), ("c1", "5000"), ("c2", "5010")]
    {
        sandbox.program("threads").args(["1", pairs]).env("MALLOOK_PREFIX", name).run().expect(0);
        names.push(name);
    }
    let allocations = |a: &str, b: &str, options: &[&str]| {
        let report = json(&sandbox, &[&["diff", a, b], options].concat());
        let totals = report["totals"].as_array().unwrap().clone();
        totals.into_iter().find(|row| row["name"] == "allocations").unwrap()
    };
    assert_eq!(allocations("a1,a2,a3", "b1", &[])["is_noise"], true);
    let more = allocations("a1,a2,a3", "c1,c2", &[]);
    assert_eq!(more["is_noise"], false);
    assert!(more["change"].as_f64().unwrap() > 4000.0, "{more}");
    assert_eq!(allocations("a1", "b1", &[])["is_noise"], false);
    let rate = allocations("a1", "c1", &["--per", "second"]);
    assert!(rate["before"]["mean"].as_f64().unwrap() > 1.0);
    let verdict = |a: &str, b: &str| {
        mallook(&sandbox, &["diff", a, b, "--fail-if", "allocations>1000"]).status.code()
    };
    assert_eq!(verdict("a1,a2,a3", "c1,c2"), Some(3));
    assert_eq!(verdict("c1", "a1"), Some(0));
    assert_eq!(verdict("a1,a2", "b1"), Some(0));
    let unknown = mallook(&sandbox, &["diff", "a1", "c1", "--by", "stack"]);
    assert_eq!(unknown.status.code(), Some(2));
    let text = good(&sandbox, &["diff", "a1,a2,a3", "b1"]);
    assert!(text.contains("noise"), "{text}");
}

/// Pages, held and live bytes of a replay that looks at every page of every block.
#[test]
fn pages_are_those_of_a_plain_replay() {
    if !have("views::fragmentation", &["python3"]) {
        return;
    }
    let sandbox = setup("pages");
    let trace = python(&sandbox);
    let path = trace.path().to_str().unwrap();
    let is_apart = |address: u64, size: u64| {
        size >= 32 << 20 || size >= 128 << 10 && [0, 16].contains(&(address % 4096))
    };
    let (mut model, mut pages) = (Model::new(), HashMap::<u64, u64>::new());
    let (mut live, mut most_held, mut most_unused) = (0, 0, 0);
    for row in trace.rows() {
        let before: HashMap<_, _> = [row.address, row.old_address]
            .into_iter()
            .flatten()
            .filter_map(|address| Some((address, *model.live.get(&address)?)))
            .collect();
        model.row(&row);
        let mut change = |address: u64, size: u64, sign: i64| {
            if is_apart(address, size) {
                return;
            }
            live = (live as i64 + sign * size as i64) as u64;
            for page in address / 4096..=(address + size.max(1) - 1) / 4096 {
                let blocks = pages.entry(page).or_default();
                *blocks = (*blocks as i64 + sign) as u64;
                if *blocks == 0 {
                    pages.remove(&page);
                }
            }
        };
        for (address, (size, birth)) in before {
            if model.live.get(&address) != Some(&(size, birth)) {
                change(address, size, -1);
            }
        }
        let new = row.address.filter(|_| !row.is_free() && !row.failed);
        if let Some((address, (size, birth))) = new.and_then(|it| Some((it, *model.live.get(&it)?)))
            && birth == row.time_ns
        {
            change(address, size, 1);
        }
        let held = pages.len() as u64 * 4096;
        most_held = most_held.max(held);
        most_unused = most_unused.max(held.saturating_sub(live));
    }
    let report = json(&sandbox, &["fragmentation", path]);
    assert_eq!(number(&report["most_held"]["held_bytes"]), most_held);
    assert_eq!(number(&report["most_unused"]["unused_bytes"]), most_unused);
    assert_eq!(number(&report["at"]["unused_bytes"]), most_unused);
    let fill: u64 = report["pages_by_eighths_used"].as_array().unwrap().iter().map(number).sum();
    assert_eq!(fill * 4096, number(&report["at"]["held_bytes"]));
    let end = json(&sandbox, &["fragmentation", "--at", "end", path]);
    assert_eq!(number(&end["at"]["live_bytes"]), live);
    assert_eq!(number(&end["at"]["held_bytes"]), pages.len() as u64 * 4096);
}

/// Blocks that are left of many keep their pages, and the function that has made them is named.
#[test]
fn who_keeps_pages() {
    let sandbox = setup("pins");
    sandbox.program("pins").env("MALLOOK_STACK", "full").run().expect(0);
    let report = json(&sandbox, &["fragmentation", "trace"]);
    let pins = report["pins"].as_array().unwrap();
    let place = pins[0]["place"].as_str().unwrap();
    assert!(place.starts_with("keep < "), "{place}");
    assert_eq!(number(&pins[0]["blocks"]), 100);
    assert!(number(&pins[0]["unused_bytes"]) > 100 * 3000, "{}", pins[0]);
    let text = good(&sandbox, &["fragmentation", "trace"]);
    assert!(text.contains("keep < "), "{text}");
    // A large block stands apart.
    assert!(number(&report["most_held"]["mapped_bytes"]) >= 1 << 20, "{report}");
}
