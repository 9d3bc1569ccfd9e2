//! Reports of what has changed from one run to another.

use std::path::PathBuf;

use serde_json::Value;

use super::browser::Browser;
use super::{MOST, have_browser};
use crate::artifacts::artifacts;
use crate::sandbox::{Sandbox, setup};

/// A page about two runs.
fn compare(sandbox: &Sandbox, options: &[&str]) -> PathBuf {
    let page = sandbox.path().join("diff.html");
    let command = sandbox.command(&artifacts().mallook).args(["report", "-o"]).arg(&page);
    let output = command.args(options).run_alone();
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert!(std::fs::metadata(&page).unwrap().len() as usize <= MOST);
    page
}

fn diff(sandbox: &Sandbox, words: &[&str]) -> Value {
    let command = sandbox.command(&artifacts().mallook).args(["diff", "--json"]).args(words);
    serde_json::from_slice(&command.run_alone().stdout).unwrap()
}

/// A figure of both runs, as `mallook diff` has it.
fn total(diff: &Value, name: &str) -> [f64; 2] {
    let rows = diff["totals"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"] == name).unwrap();
    ["before", "after"].map(|side| row[side]["mean"].as_f64().unwrap())
}

/// The costs of the row with this label, of both runs.
fn row(browser: &mut Browser, label: &str, cost: &str) -> [f64; 2] {
    let row = format!("Table.rows.find(row => row.label === '{label}').costs.sides");
    [0, 1].map(|side| browser.number(&format!("{row}[{side}].{cost}")))
}

fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= expected.abs() * 1e-9
}

/// All rows together are the totals of `mallook diff`, whatever they are divided by.
fn adds_up(browser: &mut Browser, diff: &Value) {
    for (cost, name) in
        [("peak", "peak"), ("born", "allocated"), ("temporary", "temporary"), ("left", "live")]
    {
        for (side, expected) in total(diff, name).into_iter().enumerate() {
            let sum =
                format!("Table.rows.reduce((sum, row) => sum + row.costs.sides[{side}].{cost}, 0)");
            let found = browser.number(&sum);
            assert!(near(found, expected), "{name}, {side}: {found}, {expected}");
        }
    }
}

#[test]
fn two_runs_whose_difference_is_known() {
    if !have_browser("reports::pair::two_runs_whose_difference_is_known") {
        return;
    }
    let sandbox = setup("report-pair");
    for run in ["1", "2"] {
        let host = sandbox.program("differs").arg(run).env("MALLOOK_STACK", "full");
        host.env("MALLOOK_PREFIX", format!("run{run}")).preloaded().run_alone();
    }
    let page = compare(&sandbox, &["--against", "run1", "run2"]);
    let mut browser = Browser::start(&sandbox);
    browser.open(&page, "");
    assert_eq!(browser.value("Model.isPair"), true);
    assert!(browser.text("byId('process').textContent").contains("from A: run1 to B: run2"));
    adds_up(&mut browser, &diff(&sandbox, &["run1", "run2"]));

    // By function, as the program has it.
    browser.click("#groups [data-group=function]");
    let known = [
        ("same", 100 * 1001, 100 * 1001),
        ("grows", 50 * 2003, 150 * 2003),
        ("shrinks", 60 * 3001, 10 * 3001),
        ("goes", 30 * 5003, 0),
        ("comes", 0, 20 * 7001),
        ("churns", 0, 0),
    ];
    for (name, before, after) in known {
        assert_eq!(
            row(&mut browser, name, "left"),
            [f64::from(before), f64::from(after)],
            "{name}"
        );
    }
    assert_eq!(row(&mut browser, "churns", "temporary"), [2000.0, 500.0]);
    // What has changed most comes first, and what has not changed last.
    let order = browser.value("Table.rows.map(row => row.label)");
    let place = |name: &str| order.as_array().unwrap().iter().position(|it| it == name).unwrap();
    let places = ["grows", "goes", "comes", "same"].map(place);
    assert!(places.is_sorted(), "{order}");

    // Rows have both runs over time, in the colours that they say.
    let said = browser.text("document.querySelector('.row canvas').title");
    assert!(said.ends_with(": A brown, B blue"), "{said}");
    let mut channels = |name: &str| {
        let color = browser.text(&format!("color('{name}')"));
        let channel = |place: usize| u8::from_str_radix(&color[place..place + 2], 16).unwrap();
        (channel(1), channel(3), channel(5))
    };
    let ((red, green, blue), second) = (channels("--old"), channels("--live"));
    assert!(red > green && green > blue, "brown: {red} {green} {blue}");
    assert!(second.2 > second.0 && second.2 > second.1, "blue: {second:?}");

    // Boxes are as wide as what has changed: red what has grown, green what has shrunk.
    let boxes = |name: &str, part: &str| {
        format!("Flame.boxes.find(box => box.node.name === '{name}').node.{part}")
    };
    let grown = browser.number(&boxes("grows", "plus"));
    assert_eq!(grown, f64::from(100 * 2003));
    assert_eq!(browser.number(&boxes("goes", "minus")), f64::from(30 * 5003));
    let width = |browser: &mut Browser, name: &str| {
        browser.number(&format!("Flame.boxes.find(box => box.node.name === '{name}').width"))
    };
    let ratio = width(&mut browser, "grows") / width(&mut browser, "goes");
    assert!((ratio - grown / f64::from(30 * 5003)).abs() < 1e-6, "{ratio}");
    let same = "Flame.boxes.some(box => box.node.name === 'same')";
    assert_eq!(browser.value(same), false);

    // Another cost, another order, other units.
    browser.click("#groups [data-group=site]");
    browser.key("4");
    assert_eq!(browser.text("Table.rows[0].label"), "churns");
    browser.key("1");
    browser.click("#table-head [data-cost=a]");
    let before = browser.value("Table.rows.map(row => row.costs.sides[0].peak)");
    let before: Vec<f64> = serde_json::from_value(before).unwrap();
    assert!(before.is_sorted_by(|one, other| one >= other), "{before:?}");
    browser.click("#groups [data-group=site]");
    for per in ["call", "second"] {
        browser.click(&format!("#pers [data-per={per}]"));
        assert!(browser.text("location.hash").contains(&format!("per={per}")));
        adds_up(&mut browser, &diff(&sandbox, &["--per", per, "run1", "run2"]));
    }
    // A range of both.
    browser.click("#pers [data-per=none]");
    let over = "document.querySelector('.u-over').getBoundingClientRect()";
    let (left, y) =
        (browser.number(&format!("{over}.left")), browser.number(&format!("{over}.top")));
    browser.drag((left + 5.0, y + 50.0), (left + 200.0, y + 50.0));
    assert!(browser.text("location.hash").contains("view=range"));
    assert!(browser.text("byId('range').textContent").contains("at the peaks in there"));
    browser.key("l");
    browser.was_quiet();
}

#[test]
fn two_moments_of_a_run_without_stacks() {
    if !have_browser("reports::pair::two_moments_of_a_run_without_stacks") {
        return;
    }
    let sandbox = setup("report-moments");
    sandbox.program("differs").arg("1").run();
    let (none, end) = ("trace@0", "trace");
    let page = compare(&sandbox, &["--against", none, end]);
    let mut browser = Browser::start(&sandbox);
    browser.open(&page, "");
    assert_eq!(
        browser.text("byId('views').querySelector('[aria-pressed=true]').dataset.view"),
        "end"
    );
    let diff = diff(&sandbox, &[none, end]);
    for (side, expected) in total(&diff, "live").into_iter().enumerate() {
        let sum = format!("Table.rows.reduce((sum, row) => sum + row.costs.sides[{side}].peak, 0)");
        assert_eq!(browser.number(&sum), expected);
    }
    // Sizes by lifetimes: what has come.
    assert_eq!(browser.value("byId('heat').hidden"), false);
    assert!(browser.number("document.querySelectorAll('#heat td').length") > 5.0);
    browser.was_quiet();
}

#[test]
fn what_cannot_be_compared() {
    let sandbox = setup("report-refused");
    sandbox.program("differs").arg("1").run();
    let refused = |words: &[&str], expected: &str| {
        let command = sandbox.command(&artifacts().mallook).args(["report", "-o", "x.html"]);
        let output = command.args(words).run_alone();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
        assert!(!sandbox.path().join("x.html").exists());
    };
    refused(&["--against", "nowhere", "trace"], "nowhere");
    refused(&["--against", "trace@lots", "trace"], "unknown unit");
    refused(&["--per", "call", "trace"], "--against");
}
