//! Reports of real programs, opened in a browser from their files, and used.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::artifacts::{artifacts, tests};
use crate::sandbox::{Sandbox, have, setup, wait_for};

use browser::Browser;

mod browser;
mod busy;
mod large;
mod marked;
mod pair;
mod serve;

/// Bytes of a page at the most: its code, and the data.
const MOST: usize = 150_000 + 2_000_000;

/// A report of the traces with this prefix.
fn report(sandbox: &Sandbox, prefix: &str) -> PathBuf {
    report_with(sandbox, prefix, &[])
}

fn report_with(sandbox: &Sandbox, prefix: &str, options: &[&str]) -> PathBuf {
    let page = sandbox.path().join("report.html");
    let mut command = sandbox.command(&artifacts().mallook);
    command = command.args(["report", "-o"]).arg(&page).args(options).arg(prefix);
    let output = command.run_alone();
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert!(std::fs::metadata(&page).unwrap().len() as usize <= MOST);
    page
}

fn summary(sandbox: &Sandbox, prefix: &str) -> Value {
    let command = sandbox.command(&artifacts().mallook).args(["summary", "--json", prefix]);
    serde_json::from_slice(&command.run_alone().stdout).unwrap()
}

/// The sum of a cost over all rows of the table.
fn sum(browser: &mut Browser, cost: &str) -> f64 {
    browser.number(&format!("Table.rows.reduce((sum, row) => sum + row.costs.{cost}, 0)"))
}

/// Every grouping of the table adds up to the figures of `mallook summary`.
fn adds_up(browser: &mut Browser, summary: &Value) {
    let groups = browser.value("[...byId('groups').children].map(it => it.dataset.group)");
    for group in groups.as_array().unwrap() {
        let group = group.as_str().unwrap();
        if group == "function" {
            continue;
        }
        browser.click(&format!("#groups [data-group={group}]"));
        for (cost, field) in [
            ("peak", "peak_bytes"),
            ("born", "allocated_bytes"),
            ("births", "allocations"),
            ("temporary", "temporary"),
            ("left", "live_at_end_bytes"),
        ] {
            assert_eq!(sum(browser, cost), summary[field].as_f64().unwrap(), "{group} {field}");
        }
    }
}

fn have_browser(test: &str) -> bool {
    have(test, &["chromium"])
}

#[test]
fn a_program_with_stacks() {
    if !have_browser("reports::a_program_with_stacks") {
        return;
    }
    let sandbox = setup("report-stacks");
    sandbox.program("phases").env("MALLOOK_STACK", "full").run().expect(0);
    let (page, summary) = (report(&sandbox, "trace"), summary(&sandbox, "trace"));
    let mut browser = Browser::start(&sandbox);
    browser.open(&page, "");
    // All of the first screen is seen.
    assert!(browser.number("document.documentElement.scrollHeight") <= 900.0);
    assert_eq!(browser.number("document.querySelectorAll('.figure').length"), 6.0);
    assert_eq!(browser.text("byId('state').textContent"), "complete");
    let first = browser.text("Table.rows[0].label");
    assert!(first.ends_with("::grow"), "{first}");
    let is_painted =
        "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
        .data.some(value => value !== 0)";
    for canvas in ["#chart canvas", ".row canvas", "#flame-canvas"] {
        let painted = format!("({is_painted})(document.querySelector('{canvas}'))");
        assert_eq!(browser.value(&painted), true, "{canvas}");
    }
    adds_up(&mut browser, &summary);

    // Cost, by the buttons and by the heads of columns.
    browser.click("#groups [data-group=site]");
    browser.click("#costs [data-cost=temporary]");
    let label = "Table.rows[0].label";
    assert!(browser.text(label).ends_with("::parse"));
    assert!(browser.text("location.hash").contains("cost=temporary"));
    browser.click("#table-head [data-cost=left]");
    assert!(browser.text(label).ends_with("::leak"));
    browser.key("1");
    assert!(browser.text(label).ends_with("::grow"));

    // Search.
    let all = browser.number("Table.rows.length");
    browser.key("/");
    browser.type_text("INSERT");
    browser.wait_for("Page.state.search === 'INSERT'");
    assert!(browser.number("Table.rows.length") < all);
    assert!(browser.text("byId('flame-note').textContent").contains("found"));
    browser.key("Escape");
    browser.wait_for("Page.state.search === ''");

    // A range, by the mouse: everything below follows.
    let over = "document.querySelector('.u-over').getBoundingClientRect()";
    let edge = |browser: &mut Browser, side: &str| browser.number(&format!("{over}.{side}"));
    let (left, width) = (edge(&mut browser, "left"), edge(&mut browser, "width"));
    let y = edge(&mut browser, "top") + 60.0;
    let before = browser.text("byId('flame-note').textContent");
    browser.drag((left + width * 0.05, y), (left + width * 0.35, y));
    assert!(browser.text("location.hash").contains("view=range"));
    let born = sum(&mut browser, "born");
    assert!(born > 0.0 && born < summary["allocated_bytes"].as_f64().unwrap());
    let view = "(() => { const view = Model.view(Page.state.view);
        return Math.max(...Model.content.tops.slice(view.from, view.to + 1).map(it => it[0])); })()";
    assert_eq!(sum(&mut browser, "peak"), browser.number(view));
    assert_ne!(browser.text("byId('flame-note').textContent"), before);
    let range = browser.text("location.hash");
    browser.key("ArrowRight");
    assert_ne!(browser.text("location.hash"), range);

    // The state is in the address.
    let rows = sum(&mut browser, "births");
    let fragment = browser.text("location.hash.slice(1)");
    browser.open(&page, &fragment);
    assert_eq!(sum(&mut browser, "births"), rows);
    // A click is a moment, and whole run is all of it.
    browser.drag((left + width * 0.5, y), (left + width * 0.5, y));
    assert!(browser.text("location.hash").contains("view=at"));
    browser.click("#views [data-view=all]");
    assert_eq!(sum(&mut browser, "born"), summary["allocated_bytes"].as_f64().unwrap());

    // The difference of two moments.
    browser.click("#views [data-view=diff]");
    let end = summary["live_at_end_bytes"].as_f64().unwrap();
    assert_eq!(sum(&mut browser, "peak"), end - summary["peak_bytes"].as_f64().unwrap());
    browser.key("w");

    // Focus: callers above, callees below.
    browser.click(".row .place");
    assert!(browser.text("Page.state.filters.function").ends_with("::grow"));
    let callers = "Flame.boxes.filter(box => box.isCaller).map(box => box.node.name)";
    assert!(browser.value(callers).as_array().unwrap().contains(&"main".into()));
    assert_eq!(browser.number("byId('chips').children.length"), 1.0);
    browser.key("Escape");
    assert_eq!(browser.number("byId('chips').children.length"), 0.0);
    // Zoom.
    let canvas = "byId('flame-canvas').getBoundingClientRect()";
    let (x, y) = (browser.number(&format!("{canvas}.x")), browser.number(&format!("{canvas}.y")));
    let boxes = browser.number("Flame.boxes.length");
    let row = browser.number(
        "byId('flame-canvas').offsetHeight / (1 + Math.max(...Flame.boxes.map(it => it.row)))",
    );
    browser.drag((x + 20.0, y + row * 2.5), (x + 20.0, y + row * 2.5));
    assert_ne!(browser.number("Flame.boxes.length"), boxes);
    browser.key("Escape");
    assert_eq!(browser.number("Flame.boxes.length"), boxes);

    // Light and dark.
    let back = "getComputedStyle(document.body).backgroundColor";
    let light = browser.text(back);
    browser.key("l");
    assert_eq!(browser.text("document.documentElement.dataset.theme"), "dark");
    assert_ne!(browser.text(back), light);

    // On paper: light again.
    let pdf = browser.ask("Page.printToPDF", serde_json::json!({"preferCSSPageSize": true}));
    assert!(pdf["data"].as_str().unwrap().len() > 10_000);
    browser.ask("Emulation.setEmulatedMedia", serde_json::json!({"media": "print"}));
    assert_eq!(browser.text(back), "rgb(255, 255, 255)");
    browser.was_quiet();
}

#[test]
fn a_server_without_stacks() {
    let tools = ["chromium", "redis-server", "redis-cli"];
    if !have("reports::a_server_without_stacks", &tools) {
        return;
    }
    let sandbox = setup("report-redis");
    let socket = sandbox.path().join("socket");
    let mut host = sandbox.command("redis-server").args(["--port", "0", "--save", ""]);
    host = host.arg("--unixsocket").arg(&socket).preloaded();
    host.command.stdout(std::process::Stdio::null());
    let mut server = host.command.spawn().unwrap();
    wait_for("the socket of the server", || {
        assert!(server.try_wait().unwrap().is_none(), "the server has ended");
        UnixStream::connect(&socket).ok()
    });
    let ask =
        |words: &[&str]| Command::new("redis-cli").arg("-s").arg(&socket).args(words).output();
    let script = "for i = 1, 3000 do redis.call('set', 'k' .. i, string.rep('v', i)) end return 1";
    ask(&["eval", script, "0"]).unwrap();
    ask(&["shutdown", "nosave"]).unwrap();
    server.wait().unwrap();
    let (page, summary) = (report(&sandbox, "trace"), summary(&sandbox, "trace"));
    let mut browser = Browser::start(&sandbox);
    browser.open(&page, "");
    assert_eq!(browser.value("Model.hasStacks"), false);
    assert_eq!(browser.value("byId('heat').hidden || byId('flame').offsetHeight > 0"), false);
    adds_up(&mut browser, &summary);
    let cells = "document.querySelectorAll('#heat td').length";
    assert!(browser.number(cells) > 20.0);
    let all = "Model.content.lives.reduce((sum, row) => sum + row.at_peak, 0)";
    assert_eq!(browser.number(all), summary["peak_bytes"].as_f64().unwrap());
    browser.key("3");
    assert!(browser.text("byId('flame-note').textContent").starts_with("allocations"));
    browser.was_quiet();
}

#[test]
fn a_tree_of_processes() {
    if !have("reports::a_tree_of_processes", &["chromium", "make", "gcc"]) {
        return;
    }
    let sandbox = setup("report-make");
    sandbox.file("Makefile", "all: a.o b.o c.o\n%.o: %.c\n\tgcc -c -o $@ $<\n");
    for name in ["a", "b", "c"] {
        sandbox.file(&format!("{name}.c"), format!("int {name}(void) {{ return 1; }}\n"));
    }
    let run = sandbox.command("make").arg("-j2").run();
    assert!(run.output.status.success() && run.traces.len() > 9, "{:?}", run.output);
    let (page, summary) = (report(&sandbox, "trace"), summary(&sandbox, "trace"));
    let mut browser = Browser::start(&sandbox);
    browser.open(&page, "");
    assert_eq!(browser.text("byId('program').textContent"), "make and its tree");
    adds_up(&mut browser, &summary);
    browser.click("#groups [data-group=process]");
    let processes = browser.number("Table.rows.filter(row => !row.isOthers).length");
    assert_eq!(processes, run.traces.len() as f64);
    // One process, by its row: everything else is of it.
    browser.click(".row .place");
    browser.click("#groups [data-group=thread]");
    let names = browser.number("new Set(Table.rows.map(row => row.cells[0].thread.process)).size");
    assert_eq!(names, 1.0);
    browser.was_quiet();
}

#[test]
fn more_places_than_fit() {
    if !have_browser("reports::more_places_than_fit") {
        return;
    }
    let sandbox = setup("report-sites");
    sandbox.program("sites").env("MALLOOK_STACK", "full").run().expect(0);
    let page = report_with(&sandbox, "trace", &["--cells", "4000"]);
    let summary = summary(&sandbox, "trace");
    let mut browser = Browser::start(&sandbox);
    browser.open(&page, "");
    // So much happens that the largest do not fit, either.
    let cells = browser.number("Model.content.cells.length");
    assert!((1000.0..3900.0).contains(&cells), "{cells}");
    assert!(std::fs::metadata(&page).unwrap().len() > 1_500_000);
    adds_up(&mut browser, &summary);
    browser.was_quiet();
}

/// Names that would run script if they were taken for HTML.
const HOSTILE: [&str; 3] = [
    "</script><script>window.hit=1</script>",
    "\"'><img src=x onerror=window.hit=1>",
    "{{text}}<!--\u{1b}[31m\u{202e}&lt;",
];

/// Runs a program whose own name and those of its functions are hostile.
fn hostile(sandbox: &Sandbox) {
    let object = sandbox.path().join("hostile.o");
    let program = sandbox.path().join("<img src=x onerror=hit=1>");
    let run = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    let source = tests().join("programs/special/hostile.c");
    run(Command::new("gcc").args(["-O1", "-fno-builtin", "-c", "-o"]).arg(&object).arg(source));
    let mut objcopy = Command::new("objcopy");
    for (old, new) in ["hostile_one", "hostile_two", "hostile_three"].iter().zip(HOSTILE) {
        objcopy.arg("--redefine-sym").arg(format!("{old}={new}"));
    }
    run(objcopy.arg(&object));
    run(Command::new("gcc").args(["-pthread", "-o"]).arg(&program).arg(&object));
    sandbox.command(&program).env("MALLOOK_STACK", "full").run().expect(0);
}

#[test]
fn names_run_no_script() {
    if !have("reports::names_run_no_script", &["chromium", "gcc", "objcopy"]) {
        return;
    }
    let sandbox = setup("report-hostile");
    hostile(&sandbox);
    let page = report(&sandbox, "trace");
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(!html.contains("<img") && !html.contains("<script>window.hit"));

    let mut browser = Browser::start(&sandbox);
    browser.open(&page, "");
    for group in ["site", "function", "thread", "process", "module"] {
        browser.click(&format!("#groups [data-group={group}]"));
        browser.click(".row .place");
        browser.key("Escape");
    }
    let names = browser.value("Model.content.texts");
    let is_there = |name: &str| names.as_array().unwrap().iter().any(|it| it == name);
    assert!(is_there(HOSTILE[0]) && is_there(HOSTILE[1]), "{names}");
    assert!(!names.to_string().contains("\\u001b"), "{names}");
    assert_eq!(browser.text("typeof window.hit"), "undefined");
    assert_eq!(browser.number("document.images.length"), 0.0);
    browser.was_quiet();

    // What would be, if a name became HTML after all: the policy of the page forbids it.
    browser.value(
        "(() => { const script = document.createElement('script');
            script.textContent = 'window.hit = 1';
            document.body.append(script);
            const image = document.createElement('div');
            image.innerHTML = '<img src=x onerror=\"window.hit = 1\">';
            document.body.append(image);
            document.body.setAttribute('onclick', 'window.hit = 1');
            document.body.click(); })()",
    );
    browser.value("new Promise(done => setTimeout(done, 300))");
    assert_eq!(browser.text("typeof window.hit"), "undefined");
    assert!(!browser.complaints.is_empty());
    hostile_address(&mut browser, &page);
}

/// The state in the address is text of others, too.
fn hostile_address(browser: &mut Browser, page: &Path) {
    let fragment = "view=range:9-1&cost=constructor&by=__proto__&find=%3Cimg%20src%3Dx%3E\
        &only-function=%3Cscript%3E&theme=x&view=diff:-9-x";
    browser.open(page, fragment);
    assert_eq!(browser.text("typeof window.hit"), "undefined");
    assert_eq!(browser.text("Page.state.cost"), "peak");
}

#[test]
fn without_script() {
    if !have_browser("reports::without_script") {
        return;
    }
    let sandbox = setup("report-noscript");
    sandbox.program("peak").run();
    let page = report(&sandbox, "trace");
    let mut browser = Browser::start(&sandbox);
    browser.ask("Emulation.setScriptExecutionDisabled", serde_json::json!({"value": true}));
    let url = format!("file://{}", page.canonicalize().unwrap().display());
    browser.ask("Page.navigate", serde_json::json!({ "url": url }));
    browser.wait_for("document.body !== null && document.body.innerText.includes('live at end')");
}

/// The minified copy of uPlot is the published one: the file in `uplot-1.6.32.tgz` of the npm registry.
#[test]
fn the_minified_copy_is_the_published_one() {
    if !have("reports::the_minified_copy_is_the_published_one", &["sha256sum"]) {
        return;
    }
    let vendor = tests().parent().unwrap().join("cli/src/report/page/vendor");
    let published = std::fs::read_to_string(vendor.join("SHA256SUMS")).unwrap();
    let minified = "uPlot.iife.min.js";
    assert!(published.contains(&format!("{MINIFIED}  {minified}")), "{published}");
    let mut check = Command::new("sha256sum");
    let output = check.args(["--check", "--strict", "SHA256SUMS"]).current_dir(&vendor).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    let version = "(v1.6.32)";
    for file in [minified, "uPlot.iife.js"] {
        let text = std::fs::read_to_string(vendor.join(file)).unwrap();
        assert!(text.contains(version), "{file}");
    }
}

/// Of the file in the package that the registry serves.
const MINIFIED: &str = "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f";
