//! `mallook serve`: who is let in, and what is read when it is asked for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::browser::{Browser, PATIENCE};
use super::{HOSTILE, adds_up, have_browser, hostile, sum, summary};
use crate::artifacts::artifacts;
use crate::sandbox::{Host, Sandbox, have, setup};

/// A server, which ends with the test.
pub struct Served {
    child: Child,
    pub url: String,
    pub port: u16,
    pub token: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    pub fn start(sandbox: &Sandbox, words: &[&str]) -> Served {
        Served::of(sandbox.command(&artifacts().mallook).arg("serve").args(words))
    }

    /// The same by this command.
    pub fn of(mut host: Host) -> Served {
        let mut child = host.command.stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let url = url.trim_end().to_owned();
        let (port, token) = url.strip_prefix("http://127.0.0.1:").unwrap().split_once('/').unwrap();
        let (port, token) = (port.parse().unwrap(), token.trim_end_matches('/').to_owned());
        Served { child, url, port, token }
    }

    /// Sends a request; the status, the headers and the body of the answer.
    pub fn send(&self, request: &str) -> (u16, String, String) {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        Served::answer(stream)
    }

    /// A connection, which fails when nothing comes for a long time.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The answer on a connection: the status, the headers and the body.
    pub fn answer(mut stream: TcpStream) -> (u16, String, String) {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
        (status, head.to_lowercase(), body.to_owned())
    }

    pub fn get_with(&self, path: &str, host: &str, more: &str) -> (u16, String, String) {
        self.send(&format!("GET {path} HTTP/1.1\r\n{host}{more}Connection: close\r\n\r\n"))
    }

    pub fn get(&self, path: &str) -> (u16, String, String) {
        self.get_with(path, &format!("Host: 127.0.0.1:{}\r\n", self.port), "")
    }
}

#[test]
fn strangers_are_refused() {
    let sandbox = setup("serve-door");
    sandbox.program("peak").run();
    let mut served = Served::start(&sandbox, &["trace"]);
    let (token, port) = (served.token.clone(), served.port);
    assert!(token.len() == 32 && token.bytes().all(|it| it.is_ascii_hexdigit()), "{token}");
    let page = format!("/{token}/");
    let (status, head, body) = served.get(&page);
    assert_eq!(status, 200);
    assert!(body.contains("<noscript>") && head.contains("cache-control: no-store"), "{head}");
    for header in [
        "content-security-policy: default-src 'none'; script-src 'sha256-",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "cross-origin-resource-policy: same-origin",
    ] {
        assert!(head.contains(header), "{header}: {head}");
    }
    assert_eq!(served.get(&format!("{page}data")).0, 200);

    // The secret: missing, wrong, too short, too long.
    let mut wrong = token.clone().into_bytes();
    wrong[31] = if wrong[31] == b'0' { b'1' } else { b'0' };
    let wrong = String::from_utf8(wrong).unwrap();
    let strange = [
        "/".to_owned(),
        "/data".to_owned(),
        format!("/{wrong}/"),
        format!("/{}/data", &token[..31]),
        format!("/{token}0/data"),
        format!("/{token}"),
        format!("/x/{token}/"),
        format!("/?{token}/"),
    ];
    for path in strange {
        let (status, _, body) = served.get(&path);
        assert_eq!(status, 403, "{path}");
        assert!(!body.contains(&token), "{body}");
    }

    // Another name of this machine: DNS rebinding.
    let names = [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        "127.0.0.1".to_owned(),
        format!("127.0.0.1.evil.example:{port}"),
        String::new(),
    ];
    for name in names {
        let (status, ..) = served.get_with(&page, &format!("Host: {name}\r\n"), "");
        assert!(status == 403 || status == 400, "{name}: {status}");
    }
    assert_eq!(served.get_with(&page, "", "").0, 403);
    let host = format!("Host: 127.0.0.1:{port}\r\n");
    assert_eq!(served.get_with(&page, &format!("{host}Host: evil.example\r\n"), "").0, 403);
    assert_eq!(served.get_with(&page, &format!("Host: localhost:{port}\r\n"), "").0, 200);

    // Pages of others.
    let data = format!("{page}data");
    let others =
        ["Origin: http://evil.example\r\n", "Origin: null\r\n", "Sec-Fetch-Site: cross-site\r\n"];
    for more in others {
        assert_eq!(served.get_with(&data, &host, more).0, 403, "{more}");
    }
    let own = format!("Origin: http://127.0.0.1:{port}\r\nSec-Fetch-Site: same-origin\r\n");
    assert_eq!(served.get_with(&data, &host, &own).0, 200);

    // No path leads to a file, and no word is guessed at.
    for rest in
        ["../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "..", "data/", "//etc/passwd", "trace"]
    {
        assert_eq!(served.get(&format!("{page}{rest}")).0, 404, "{rest}");
    }
    for words in ["file=/etc/passwd", "from=1", "from=9&to=1", "from=-1&to=x", "skip=99999999999"] {
        assert_eq!(served.get(&format!("{data}?{words}")).0, 400, "{words}");
    }
    assert_eq!(
        served
            .send(&format!(
                "POST {data} HTTP/1.1\r\n{host}Content-Length: 0\r\nConnection: close\r\n\r\n"
            ))
            .0,
        405
    );
    // Other addresses of this machine are not listened at.
    assert!(TcpStream::connect(("127.0.0.2", port)).is_err());

    // It ends when it is told to.
    let pid = served.child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(served.child.wait().unwrap().code(), Some(0));
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

/// Waits until the page shows what it has asked for.
fn answered(browser: &mut Browser, fragment: &str) {
    browser.value(&format!("location.hash = '{fragment}'"));
    let last = fragment.split('=').next_back().unwrap();
    browser.wait_for(&format!(
        "location.hash.includes('{last}') && document.documentElement.dataset.asked === 'no'"
    ));
}

fn mallook(sandbox: &Sandbox, words: &[&str]) -> String {
    let output = sandbox.command(&artifacts().mallook).args(words).run_alone();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The summary of what `mallook cut` makes of a range.
fn cut(sandbox: &Sandbox, name: &str, words: &[&str]) -> Value {
    mallook(sandbox, &[&["cut"], words, &["-o", name, "trace"]].concat());
    serde_json::from_str(&mallook(sandbox, &["summary", "--json", name])).unwrap()
}

#[test]
fn a_range_is_exact() {
    if !have_browser("reports::serve::a_range_is_exact") {
        return;
    }
    let sandbox = setup("serve-range");
    sandbox.program("phases").env("MALLOOK_STACK", "full").run().expect(0);
    let whole = summary(&sandbox, "trace");
    let served = Served::start(&sandbox, &["trace"]);
    let mut browser = Browser::start(&sandbox);
    browser.go(&served.url);
    adds_up(&mut browser, &whole);
    let duration = whole["duration_ns"].as_u64().unwrap();
    let ranges = [(duration / 7 * 2, duration / 7 * 4), (duration / 3, duration / 3 + 1_234_567)];
    for (from, to) in ranges {
        answered(&mut browser, &format!("view=time%3A{from}-{to}"));
        browser.wait_for("Serve.range() !== null");
        let (since, until) = (format!("{from}ns"), format!("{to}ns"));
        let part = cut(&sandbox, &format!("part{from}"), &["--since", &since, "--until", &until]);
        let before =
            cut(&sandbox, &format!("before{from}"), &["--until", &format!("{}ns", from - 1)]);
        let figure = |summary: &Value, name: &str| summary[name].as_f64().unwrap();
        // What lives at the start is in the file of a cut as if it was born there.
        let born = |all: &str, live: &str| figure(&part, all) - figure(&before, live);
        assert_eq!(sum(&mut browser, "peak"), figure(&part, "peak_bytes"));
        assert_eq!(sum(&mut browser, "births"), born("allocations", "live_at_end_blocks"));
        assert_eq!(sum(&mut browser, "born"), born("allocated_bytes", "live_at_end_bytes"));
        let end = "Model.select(Model.view(Page.state.view), {}).reduce((sum, one) =>
            sum + one.cell.series[7][Model.view(Page.state.view).to], 0)";
        assert_eq!(browser.number(end), figure(&part, "live_at_end_bytes"));
        // Sizes by lifetimes are of the range, too, and of the row that is looked at.
        browser.key("3");
        browser.click("#rights [data-right=heat]");
        let note = "byId('flame-note').textContent";
        assert_eq!(browser.text(note), "allocations, born in the chosen time");
        let lived = "Model.select(Model.view(Page.state.view), {}).flatMap(one => one.cell.lived)
            .reduce((sum, row) => sum + row[2], 0)";
        assert_eq!(browser.number(lived), sum(&mut browser, "births"));
        browser.click("#rights [data-right=flame]");
        browser.key("1");
    }
    // By the mouse, to the nanosecond.
    let over = "document.querySelector('.u-over').getBoundingClientRect()";
    let (left, y) =
        (browser.number(&format!("{over}.left")), browser.number(&format!("{over}.top")));
    browser.drag((left + 100.0, y + 50.0), (left + 200.0, y + 50.0));
    browser.wait_for("Serve.range() !== null && document.documentElement.dataset.asked === 'no'");
    assert!(browser.text("byId('range').title").contains("to the nanosecond"));
    // And back.
    browser.key("w");
    adds_up(&mut browser, &whole);
    browser.asked_only(&served.url);
}

#[test]
fn the_rest_can_be_opened() {
    if !have_browser("reports::serve::the_rest_can_be_opened") {
        return;
    }
    let sandbox = setup("serve-rest");
    sandbox.program("phases").env("MALLOOK_STACK", "full").run().expect(0);
    let whole = summary(&sandbox, "trace");
    let served = Served::start(&sandbox, &["--cells", "5", "trace"]);
    let mut browser = Browser::start(&sandbox);
    browser.go(&served.url);
    let labels = "Table.rows.filter(row => !row.isOthers).map(row => row.key).join()";
    let first = browser.text(labels);
    browser.click(".row .others");
    browser.wait_for("Page.state.skip === 5 && document.documentElement.dataset.asked === 'no'");
    let second = browser.text(labels);
    assert!(!second.is_empty() && first != second, "{second}");
    adds_up(&mut browser, &whole);
    browser.key("Escape");
    browser.wait_for("Page.state.skip === 0 && document.documentElement.dataset.asked === 'no'");
    // What is searched for is found among those that did not fit.
    browser.click("#groups [data-group=site]");
    browser.key("/");
    browser.type_text("leak");
    let found = "Table.rows.some(row => row.label.endsWith('::leak'))";
    browser.wait_for(&format!("{found} && Model.content.served.range === null"));
    browser.asked_only(&served.url);
}

#[test]
fn a_running_process_is_followed() {
    if !have_browser("reports::serve::a_running_process_is_followed") {
        return;
    }
    let sandbox = setup("serve-live");
    let mut host = sandbox.program("asked").preloaded();
    let mut child = host.command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut allocate = |count: u32| {
        // In one piece: each is answered.
        input.write_all(format!("{count}\n").as_bytes()).unwrap();
        output.read_line(&mut String::new()).unwrap();
    };
    allocate(10);
    let served = Served::start(&sandbox, &["trace"]);
    let mut browser = Browser::start(&sandbox);
    browser.go(&served.url);
    let births = "Table.rows.find(row => row.label.startsWith('1,003 B')).costs.births";
    assert_eq!(browser.number(births), 10.0);
    assert_eq!(browser.value("byId('auto').checked"), true);
    // It asks by itself.
    allocate(500);
    browser.wait_for(&format!("{births} === 510"));
    // Or by the button.
    browser.click("#auto");
    allocate(90);
    browser.click("#refresh");
    browser.wait_for(&format!("{births} === 600"));
    browser.asked_only(&served.url);
    drop(input);
    child.wait().unwrap();
}

#[test]
fn names_run_no_script() {
    if !have("reports::serve::names_run_no_script", &["chromium", "gcc", "objcopy"]) {
        return;
    }
    let sandbox = setup("serve-hostile");
    hostile(&sandbox);
    let served = Served::start(&sandbox, &["trace"]);
    let mut browser = Browser::start(&sandbox);
    browser.go(&served.url);
    let duration = browser.number("Model.content.report.duration_ns") as u64;
    answered(&mut browser, &format!("view=time%3A0-{duration}"));
    browser.wait_for("Serve.range() !== null");
    for group in ["site", "function", "thread", "process"] {
        browser.click(&format!("#groups [data-group={group}]"));
        browser.click(".row .place");
        browser.key("Escape");
    }
    let names = browser.value("Model.content.texts").to_string();
    assert!(names.contains("<script>window.hit=1</script>") && HOSTILE.len() == 3, "{names}");
    assert_eq!(browser.text("typeof window.hit"), "undefined");
    assert_eq!(browser.number("document.images.length"), 0.0);
    // Nothing of it reaches the answer as HTML, either.
    let (_, head, _) = served.get(&format!("/{}/data", served.token));
    assert!(head.contains("content-type: application/json"), "{head}");
    browser.asked_only(&served.url);
}
