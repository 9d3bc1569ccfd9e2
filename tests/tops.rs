//! `mallook top`: the state of running processes.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::artifacts::{artifacts, tests};
use crate::sandbox::{Sandbox, have, setup};

mod gone;

/// The JSON that a command of `mallook` prints.
fn json(arguments: &[&str]) -> Value {
    let output = Command::new(&artifacts().mallook).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `heaps.c`, which allocates when it is told to, and its file.
struct Heaps {
    child: Child,
    file: String,
}

impl Heaps {
    fn start(sandbox: &Sandbox, stacks: &str) -> Heaps {
        let mut host = sandbox.program("heaps").env("MALLOOK_STACK", stacks).preloaded();
        host.command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = host.command.spawn().unwrap();
        let mut heaps = Heaps { child, file: String::new() };
        heaps.allocate(1);
        let trace = sandbox.traces("trace").pop().unwrap();
        heaps.file = trace.path().to_str().unwrap().to_owned();
        heaps
    }

    /// Allocates so often, and waits until it has.
    fn allocate(&mut self, times: usize) {
        self.child.stdin.as_mut().unwrap().write_all(&vec![b'x'; times]).unwrap();
        let mut done = vec![0; times];
        self.child.stdout.as_mut().unwrap().read_exact(&mut done).unwrap();
    }

    fn pid(&self) -> String {
        self.child.id().to_string()
    }
}

impl Drop for Heaps {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// While a process waits, the figures are those of the other commands, and those of its program.
#[test]
fn figures_are_those_of_stats_and_summary() {
    for stacks in ["off", "full"] {
        let sandbox = setup("tops");
        let mut heaps = Heaps::start(&sandbox, stacks);
        let mut done = 1;
        for times in [99, 400] {
            heaps.allocate(times);
            done += times as u64;
            let top = json(&["top", "--once", "--json", &heaps.pid()]);
            let of_file = json(&["top", "--once", "--json", &heaps.file]);
            let mut peaks = Vec::new();
            for command in ["stats", "summary"] {
                let other = json(&[command, "--json", &heaps.file]);
                for (here, there) in [
                    ("allocations", "allocations"),
                    ("allocated_bytes", "allocated_bytes"),
                    ("frees", "frees"),
                    ("peak_bytes", "peak_bytes"),
                    ("peak_blocks", "peak_blocks"),
                    ("live_bytes", "live_at_end_bytes"),
                    ("live_blocks", "live_at_end_blocks"),
                    ("temporary", "temporary"),
                    ("complete", "complete"),
                    ("start_unix_ns", "start_unix_ns"),
                ] {
                    assert_eq!(top[here], other[there], "{command}, {here}");
                    assert_eq!(of_file[here], other[there], "{command}, {here} of the file");
                }
                // The rate of the clock is known better from the end, and a thread may have been put aside between
                // two readings.
                let time = |value: &Value| value["peak_time_ns"].as_u64().unwrap();
                assert!(time(&top).abs_diff(time(&other)) < 1_000_000, "{top}");
                peaks.push(time(&other));
                let places = |value: &Value| value["places"].as_array().unwrap().len();
                assert_eq!(places(&top), places(&other), "{command}");
            }
            assert!(peaks[0].abs_diff(peaks[1]) < 1_000, "{peaks:?}");
            assert_eq!((&top["caught_up"], &top["running"]), (&true.into(), &1.into()));
            assert_eq!(top["has_stacks"], stacks == "full");
            let row = top["places"].as_array().unwrap().iter().find(|row| match stacks {
                "full" => row["function"] == "main",
                _ => row["size"] == 100,
            });
            let row = row.unwrap_or_else(|| panic!("{top}"));
            assert_eq!(
                (&row["live_blocks"], &row["live_bytes"]),
                (&(7 * done).into(), &(700 * done).into())
            );
            assert_eq!(row["allocations"], 10 * done);
        }
    }
}

/// Before an interval has passed, rates are counted from the start on.
#[test]
fn rates_of_a_run_that_is_shorter_than_an_interval() {
    let sandbox = setup("short_rates");
    let run = sandbox.program("figures").arg("peak").run().expect(0);
    let file = run.trace().path().to_str().unwrap();
    let top = json(&["top", "--once", "--json", "--interval", "1000s", file]);
    assert_eq!(top["interval_ns"], top["duration_ns"]);
    let seconds = top["duration_ns"].as_f64().unwrap() / 1e9;
    for (rate, number) in
        [("allocations_per_s", "allocations"), ("allocated_bytes_per_s", "allocated_bytes")]
    {
        let (found, all) = (top[rate].as_f64().unwrap(), top[number].as_f64().unwrap());
        assert!((found * seconds / all - 1.0).abs() < 1e-9, "{rate}: {top}");
    }
}

/// A process, its children and grandchildren, also those that have ended.
#[test]
fn descendants_are_followed() {
    let sandbox = setup("descendants");
    let threads = artifacts().program("threads");
    let script = "sh -c \"$0 1 50; true\"; $0 1 50; echo done; read x";
    let mut other = sandbox.program("pairs").args(["1", "10"]).preloaded();
    assert!(other.command.status().unwrap().success());
    let host = sandbox.command("sh").args(["-c", script]).arg(&threads);
    let mut host = host.preloaded().command;
    let mut host = host.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut done = [0; 5];
    host.stdout.as_mut().unwrap().read_exact(&mut done).unwrap();
    let top = json(&["top", "--once", "--json", &host.id().to_string()]);
    let prefix = json(&["top", "--once", "--json", sandbox.path().join("trace").to_str().unwrap()]);
    drop(host.stdin.take());
    host.wait().unwrap();
    let programs = |top: &Value| {
        let name =
            |row: &Value| row["program"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let mut all: Vec<_> = top["processes"].as_array().unwrap().iter().map(name).collect();
        all.retain(|name| name == "threads" || name == "pairs");
        all.sort();
        all
    };
    assert_eq!(programs(&top), ["threads", "threads"], "{top}");
    assert_eq!(programs(&prefix), ["pairs", "threads", "threads"]);
    assert_eq!(top["running"], 1, "{top}");
}

/// Events that a ring overwrote before they were read are counted.
#[test]
fn what_was_overwritten_is_said() {
    let sandbox = setup("overwritten");
    let run = sandbox.program("pairs").args(["1", "100000"]).ring("80K").run();
    let file = run.trace().path().to_str().unwrap();
    let top = json(&["top", "--once", "--json", file]);
    let overwritten = run.trace().info().overwritten();
    assert!(overwritten > 0);
    assert_eq!(
        (&top["overwritten_events"], &top["complete"]),
        (&overwritten.into(), &false.into())
    );
    let text = Command::new(&artifacts().mallook).args(["top", "--once", file]).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains(" events overwritten before they were read"), "{text}");
}

/// Nothing of a trace reaches a terminal as it is.
#[test]
fn hostile_names_are_harmless() {
    let sandbox = setup("hostile_top");
    let mut bytes = fs::read(tests().join("golden/v1.trace")).unwrap();
    let name = b"/bin/\x1b[2J\x1b]0;x\x07\xff";
    bytes[192..192 + name.len()].copy_from_slice(name);
    let file = sandbox.file("trace.1.2.3", bytes);
    for options in [&["--once"][..], &["--once", "--json"]] {
        let output =
            Command::new(&artifacts().mallook).arg("top").args(options).arg(&file).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
        let is_harmful = |byte: &u8| *byte < b' ' && *byte != b'\n' || *byte == 0x7f;
        assert!(!output.stdout.iter().any(is_harmful), "{output:?}");
    }
}

/// A screen that cannot be shown is refused with the reason.
#[test]
fn what_cannot_be_shown() {
    let top = |arguments: &[&str]| {
        let output =
            Command::new(&artifacts().mallook).arg("top").args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let golden = tests().join("golden/v1.trace");
    let golden = golden.to_str().unwrap();
    for (arguments, expected) in [
        (&["--once", "2147483646"][..], "there is no process 2147483646"),
        (&["--once", "/nowhere/trace"], "cannot open /nowhere/trace"),
        (&["--once", "-"], "only files can be followed"),
        (&[golden], "no terminal: --once prints the state as text"),
        (&["--interval", "0", "--once", golden], "--interval"),
    ] {
        let (code, said) = top(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}

/// A terminal, by `tmux`, that ends with the test.
struct Tmux(String);

impl Tmux {
    /// `name`: of the socket. One that ends takes its socket along, whoever has it by then.
    fn start(sandbox: &Sandbox, name: &str, script: &str) -> Tmux {
        let socket = sandbox.path().join(name).to_str().unwrap().to_owned();
        let tmux = Tmux(socket);
        tmux.run(&["-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", script]);
        tmux
    }

    fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        let output = command.arg("-S").arg(&self.0).args(arguments).env_remove("TMUX").output();
        String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
    }

    /// Waits until the screen has this text.
    fn wait_for(&self, text: &str) -> String {
        let start = Instant::now();
        loop {
            let screen = self.run(&["capture-pane", "-p"]);
            if screen.contains(text) {
                return screen;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "no {text:?}: {screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.run(&["kill-server"]);
    }
}

/// The screen shows what happens, obeys keys and another size, and the terminal is given back: after a
/// key, and after a signal.
#[test]
fn the_screen_of_a_terminal() {
    if !have("tops::the_screen_of_a_terminal", &["tmux"]) {
        return;
    }
    let sandbox = setup("screen");
    let mut heaps = Heaps::start(&sandbox, "off");
    heaps.allocate(9);
    let script = format!(
        "{} top --interval 200ms {}; echo left $?; stty -a | grep -o ' -\\?icanon'; cat",
        artifacts().mallook.display(),
        heaps.pid()
    );
    let tmux = Tmux::start(&sandbox, "by_key", &script);
    let screen = tmux.wait_for("in 70 blocks");
    assert!(screen.contains("who allocates") && screen.contains("100 B"), "{screen}");
    heaps.allocate(10);
    tmux.wait_for("in 140 blocks");
    tmux.run(&["send-keys", "Tab"]);
    tmux.wait_for("up to 128 B");
    tmux.run(&["send-keys", "?"]);
    tmux.wait_for("any key goes back");
    tmux.run(&["send-keys", "x", "/", "n", "o", "n", "e"]);
    tmux.wait_for("no such row");
    tmux.run(&["resize-window", "-x", "20", "-y", "5"]);
    tmux.wait_for("live 13.");
    tmux.run(&["resize-window", "-x", "100", "-y", "30"]);
    tmux.wait_for("no such row");
    tmux.run(&["send-keys", "Escape"]);
    tmux.wait_for("up to 128 B");
    tmux.run(&["send-keys", "q"]);
    let screen = tmux.wait_for("icanon");
    assert!(screen.contains("left 0") && !screen.contains("-icanon"), "{screen}");
    drop(tmux);

    let script = format!(
        "{} top {}; echo left $?; stty -a | grep -o ' -\\?icanon'; cat",
        artifacts().mallook.display(),
        heaps.pid()
    );
    let tmux = Tmux::start(&sandbox, "by_signal", &script);
    tmux.wait_for("who allocates");
    let pids = tmux.run(&["list-panes", "-F", "#{pane_pid}"]);
    let shell = pids.trim();
    let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
    let child: i32 = children.split_whitespace().next().unwrap_or(shell).parse().unwrap();
    // SAFETY: a process of our own terminal.
    assert_eq!(unsafe { libc::kill(child, libc::SIGTERM) }, 0);
    let screen = tmux.wait_for("icanon");
    assert!(screen.contains("left 143") && !screen.contains("-icanon"), "{screen}");
}
