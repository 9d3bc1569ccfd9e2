//! The report of a trace that has millions of events.

use mallook_benches::synthetic::Shape;

use super::browser::Browser;
use super::{adds_up, have_browser, report, summary};
use crate::sandbox::{number, setup};

/// Without `MALLOOK_LARGE=100000000`, which takes 1.6 GB of disk and a minute.
const EVENTS: usize = 1_000_000;

#[test]
fn a_trace_of_millions_of_events() {
    if !have_browser("reports::large::a_trace_of_millions_of_events") {
        return;
    }
    let events = number("MALLOOK_LARGE", EVENTS) as u64;
    let sandbox = setup("report-large");
    let path = sandbox.path().join("trace.4711.1700000000.0");
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    Shape { events, threads: 8 }.write(&mut file).unwrap();
    file.into_inner().unwrap();
    // It holds the limits of its size.
    let start = std::time::Instant::now();
    let page = report(&sandbox, "trace");
    println!("{events} events: report in {:?}", start.elapsed());
    println!("{} bytes", std::fs::metadata(&page).unwrap().len());
    let summary = summary(&sandbox, "trace");
    let mut browser = Browser::start(&sandbox);
    browser.open(&page, "");
    adds_up(&mut browser, &summary);
    let paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime";
    println!("first paint after {} ms", browser.number(paint));
    let ready = "performance.getEntriesByName('shown')[0].startTime";
    println!("all is shown after {} ms", browser.number(ready));
    assert!(browser.number("Model.content.cells.length") > 10.0);
    assert!(browser.number("Model.content.report.timeline.max_bytes.length") <= 2000.0);
    browser.was_quiet();
}
