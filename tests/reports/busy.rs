//! `mallook serve` under strangers who mean harm, and of processes that do not rest.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::browser::PATIENCE;
use super::serve::Served;
use super::summary;
use crate::artifacts::artifacts;
use crate::sandbox::{Host, have, setup, write_program};
use crate::trace::{Row, Trace};

/// Strangers who send what they like, and as slowly as they like, hold up nobody.
#[test]
fn strangers_hold_up_nobody() {
    let sandbox = setup("serve-strangers");
    sandbox.program("peak").run();
    let served = Served::start(&sandbox, &["trace"]);
    let page = format!("/{}/", served.token);
    let host = format!("Host: 127.0.0.1:{}\r\n", served.port);
    // A body that is longer than any memory, and one that never comes.
    let (mut held, more) = (Vec::new(), "Transfer-Encoding: chunked\r\n");
    for length in ["18446744073709551615", "9999999999999999999999", "100000", "-1", "x"] {
        for path in ["/", &page] {
            for method in ["GET", "POST"] {
                let length = format!("Content-Length: {length}\r\n");
                for body in [length.as_str(), more] {
                    let mut stream = served.connect();
                    let head = format!("{method} {path} HTTP/1.1\r\n{host}{body}\r\n1");
                    stream.write_all(head.as_bytes()).unwrap();
                    held.push((stream, path == page, method));
                }
            }
        }
        assert_eq!(served.get(&page).0, 200, "{length}");
    }
    for (stream, is_known, method) in held {
        let expected = match (is_known, method) {
            (true, "GET") => 200,
            (true, _) => 405,
            (false, _) => 403,
        };
        assert_eq!(Served::answer(stream).0, expected, "{method}");
    }
    // More connections than are kept, on which nothing comes, or half a request.
    let mut silent: Vec<_> = (0..200).map(|_| served.connect()).collect();
    assert_eq!(served.get(&page).0, 200);
    for stream in &mut silent {
        // It may be closed.
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: ");
    }
    assert_eq!(served.get(&page).0, 200);
    drop(silent);
    // A line without an end, and lines without an end.
    for part in ["a", "a: b\r\n"] {
        let mut stream = served.connect();
        let head = format!("GET {page} HTTP/1.1\r\n{host}{}", part.repeat(1 << 20));
        // What is too long is not read to its end.
        let _ = stream.write_all(head.as_bytes());
        assert_eq!(served.get(&page).0, 200);
    }
    let long = format!("Cookie: {}\r\n", "a".repeat(1 << 15));
    assert_eq!(served.get_with(&page, &host, &long).0, 431);
    let usual = format!("Cookie: {}\r\n", "a".repeat(1 << 14));
    assert_eq!(served.get_with(&page, &host, &usual).0, 200);
    assert_eq!(served.send("\r\n\r\n").0, 400);
}

/// A process that ends with the test.
struct Running(Child);

impl Running {
    fn start(mut host: Host) -> Running {
        Running(host.command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    fn input(&mut self) -> &mut ChildStdin {
        self.0.stdin.as_mut().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until something is so.
fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        sleep(Duration::from_millis(10));
    }
}

/// The answer to a question.
fn data(served: &Served, words: &str) -> Value {
    let (status, _, body) = served.get(&format!("/{}/data?{words}", served.token));
    assert_eq!(status, 200, "{words}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// There is always more than was read: what was read is shown.
#[test]
fn a_process_that_never_rests_is_shown() {
    let sandbox = setup("serve-endless");
    let _endless = Running::start(sandbox.program("endless").ring("80K").preloaded());
    wait_for("a trace", || !sandbox.traces("trace").is_empty());
    let served = Served::start(&sandbox, &["trace"]);
    let mut last = 0;
    for _ in 0..3 {
        assert_eq!(served.get(&format!("/{}/", served.token)).0, 200);
        let state = data(&served, "")["served"]["state"].as_u64().unwrap();
        assert!(state > last);
        // It may not have come to anything yet.
        let newer = crate::sandbox::wait_for("newer events", || {
            let newer = data(&served, &format!("refresh={state}"));
            newer.get("unchanged").is_none().then_some(newer)
        });
        last = newer["served"]["state"].as_u64().unwrap();
        assert!(last > state, "{newer}");
    }
}

/// A question is answered from what a ring still has, by the sizes that it has: not by those that came at the
/// same places when the page was made.
#[test]
fn what_a_ring_has_lost_changes_no_names() {
    let sandbox = setup("serve-ring");
    let mut batches = Running::start(sandbox.program("batches").ring("80K").preloaded());
    // A block of the ring has about a thousand slots.
    let turns = |count: usize| {
        let of_turns = move |row: &Row| row.size == Some(30_001 + 2 * (count as u64 - 1));
        move |trace: &Trace| trace.rows().iter().any(of_turns)
    };
    let go_on = |batches: &mut Running, more: usize, all: usize| {
        batches.input().write_all(&vec![0; more]).unwrap();
        wait_for("all turns", || sandbox.traces("trace").iter().any(turns(all)));
    };
    go_on(&mut batches, 1000, 1000);
    let served = Served::start(&sandbox, &["trace"]);
    let whole = data(&served, "");
    assert_eq!(exact_sizes(&whole), (0..1000).map(|turn| (30_001 + 2 * turn, 1)).collect());
    go_on(&mut batches, 1300, 2300);
    let rows = sandbox.traces("trace")[0].rows();
    let left: BTreeMap<u64, u64> = rows
        .iter()
        .filter(|row| !row.is_free())
        .filter_map(|row| Some((row.size.filter(|size| (30_001..32_001).contains(size))?, 1)))
        .collect();
    assert!(!left.is_empty() && left.len() < 1000, "{}", left.len());
    let range = data(&served, "from=0&to=1000000000000");
    assert_eq!(exact_sizes(&range), left);
    let peak = range["cells"].as_array().unwrap().iter().flat_map(|cell| {
        cell["lived"].as_array().unwrap().iter().map(|lived| lived[4].as_u64().unwrap())
    });
    // One block lives at a time.
    assert_eq!(peak.sum::<u64>(), *left.keys().last().unwrap());
}

/// The sizes of the program's blocks, and how many were born, of an answer.
fn exact_sizes(answer: &Value) -> BTreeMap<u64, u64> {
    let number = |value: &Value| value.as_u64().unwrap();
    let row = |cell: &Value| {
        let births = cell["series"][0].as_array().unwrap().iter().map(number).sum();
        (number(&cell["size"]), births)
    };
    let cells = answer["cells"].as_array().unwrap().iter();
    let exact = cells.filter(|cell| cell["is_class"] == false).map(row);
    exact.filter(|(size, _)| *size > 30_000).collect()
}

/// Events that come while names are looked for are new to the page.
#[test]
fn what_comes_meanwhile_is_shown() {
    if !have("reports::busy::what_comes_meanwhile_is_shown", &["objcopy"]) {
        return;
    }
    let sandbox = setup("serve-meanwhile");
    // A program without debug information, which is fetched; that takes until the test says so.
    let (program, bin) = (sandbox.path().join("asked"), sandbox.path().join("bin"));
    let strip = sandbox.command("objcopy").arg("--strip-debug");
    let strip = strip.arg(artifacts().program("asked")).arg(&program).run_alone();
    assert!(strip.status.success(), "{strip:?}");
    std::fs::create_dir(&bin).unwrap();
    let fetch = "#!/bin/sh\n: >\"$HOME/fetched\"\nwhile ! [ -e \"$HOME/go\" ]; do sleep 0.01; done\nexit 1\n";
    write_program(&bin.join("debuginfod-find"), fetch.as_bytes());
    let host = sandbox.command(&program).env("MALLOOK_STACK", "full").preloaded();
    let mut asked = Running::start(host);
    let mut output = BufReader::new(asked.0.stdout.take().unwrap());
    let mut allocate = |asked: &mut Running, count: u32| {
        // In one piece: each is answered.
        asked.input().write_all(format!("{count}\n").as_bytes()).unwrap();
        output.read_line(&mut String::new()).unwrap();
    };
    allocate(&mut asked, 10);
    let path = std::env::var("PATH").unwrap();
    let serve = sandbox.command(&artifacts().mallook).args(["serve", "--debuginfod", "trace"]);
    let served = Served::of(serve.env("PATH", format!("{}:{path}", bin.display())));
    wait_for("a question for names", || sandbox.path().join("fetched").exists());
    allocate(&mut asked, 500);
    sandbox.file("go", "");
    assert_eq!(served.get(&format!("/{}/", served.token)).0, 200);
    let expected = summary(&sandbox, "trace")["allocations"].clone();
    assert_eq!(data(&served, "")["report"]["allocations"], expected);
    // Its end is new, too, though it is no call.
    drop(asked.0.stdin.take());
    asked.0.wait().unwrap();
    let state = data(&served, "")["served"]["state"].clone();
    let ended = data(&served, &format!("refresh={state}"));
    assert_eq!(ended["served"]["is_running"], false, "{ended}");
}
