//! The page of a run that paused, and has named moments.

use super::browser::Browser;
use super::{have_browser, report};
use crate::sandbox::setup;

#[test]
fn marks_and_pauses_are_in_the_chart() {
    if !have_browser("reports::marked::marks_and_pauses_are_in_the_chart") {
        return;
    }
    let sandbox = setup("report-marked");
    sandbox.program("paused").arg("2").run().expect(0);
    let page = report(&sandbox, "trace");
    let mut browser = Browser::start(&sandbox);
    browser.open(&page, "");
    let label = browser.text("document.querySelector('#chart .uplot').getAttribute('aria-label')");
    assert!(label.starts_with("live bytes over time; first\\u{1b}[2J\\n<script>&"), "{label}");
    assert_eq!(label.matches("; many after ").count(), 93);
    // What is drawn: a shade for each pause, and the name of a mark.
    let drawn = browser.value(
        "(() => {
           const { prototype } = CanvasRenderingContext2D, { fillRect, fillText } = prototype;
           const seen = { texts: [], rects: 0 };
           prototype.fillText = function (text, ...rest) { seen.texts.push(text); return fillText.call(this, text, ...rest); };
           prototype.fillRect = function (...rest) { seen.rects += 1; return fillRect.apply(this, rest); };
           Chart.resize();
           return new Promise(done => setTimeout(() => {
             Object.assign(prototype, { fillRect, fillText });
             done(seen);
           }));
         })()",
    );
    assert!(drawn["rects"].as_u64().unwrap() >= 2, "{drawn}");
    let texts = drawn["texts"].as_array().unwrap();
    let is_mark = |text: &serde_json::Value| text.as_str().unwrap().starts_with("first\\u{1b}");
    assert!(texts.iter().any(is_mark), "{texts:?}");
    // Over the mark, the legend has its name.
    let text = browser.text("byId('state').textContent");
    assert!(text.contains("paused"), "{text}");
}
