//! Output that lacks events says so: a line on stderr, in every command, and a line where they are
//! missing.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::artifacts::artifacts;
use crate::sandbox::{Sandbox, setup};
use crate::trace::{Trace, dump};

/// The number before these words, with commas.
fn number_before(text: &str, words: &str) -> u64 {
    let (before, _) = text.split_once(words).unwrap_or_else(|| panic!("no {words:?} in {text}"));
    let number = before.rsplit(|c: char| c != ',' && !c.is_ascii_digit()).next().unwrap();
    number.replace(',', "").parse().unwrap_or_else(|_| panic!("{words:?}: {text}"))
}

/// Every command says how many of how many events are missing, and exits with 0.
fn check(trace: &Trace, marker: &str) {
    let info = trace.info();
    let missing = info.lost() + info.overwritten();
    assert!(missing > 0);
    let commands = [
        &[][..],
        &["--format", "csv"],
        &["--op", "free"],
        &["--info"],
        &["--check"],
        &["--follow"],
    ];
    for arguments in commands {
        let output = trace.dump(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
        let is_it = |line: &&str| line.contains(" events are missing: ");
        assert_eq!(stderr.lines().filter(is_it).count(), 1, "{arguments:?}: {stderr}");
        let line = stderr.lines().find(is_it).unwrap();
        let name = trace.path().file_name().unwrap().to_str().unwrap();
        assert!(line.starts_with("mallook-dump: ") && line.contains(name), "{line}");
        assert_eq!(number_before(line, " of "), missing, "{line}");
        let all = missing + info.present();
        assert_eq!(number_before(line, " events are missing"), all, "{line}");
    }
    let text = trace.read(&[]);
    let lines: Vec<_> = text.lines().filter(|line| line.contains(marker)).collect();
    assert_eq!(lines.len(), 1, "{text}");
    assert_eq!(number_before(lines[0], marker), missing);
}

#[test]
fn a_ring_that_has_gone_round() {
    let sandbox = setup("gone_round");
    let run = sandbox.program("pairs").args(["2", "20000"]).ring("80K").run().expect(0);
    check(run.trace(), " events overwritten here");
}

#[test]
fn a_trace_that_reached_its_bound() {
    let sandbox = setup("bound");
    let run = sandbox.program("pairs").args(["1", "20000"]).env("MALLOOK_MAX", "80K").run();
    check(run.trace(), " events lost, here or before");
}

#[test]
fn nothing_is_said_of_a_complete_trace() {
    let sandbox = setup("complete");
    let run = sandbox.program("pairs").args(["1", "2000"]).ring("1M").run().expect(0);
    for arguments in [&[][..], &["--info"], &["--check"]] {
        assert_eq!(run.trace().dump(arguments).stderr, b"");
    }
    assert!(!run.trace().read(&[]).contains(" events "));
}

/// Of many incomplete traces, not a line each.
#[test]
fn many_incomplete_traces() {
    let sandbox = setup("incomplete");
    let run = sandbox.program("pairs").args(["1", "20000"]).ring("80K").run().expect(0);
    // Each by a name of its own: a file that is named twice is read once.
    let traces: Vec<_> = (0..30)
        .map(|number| {
            let link = sandbox.path().join(format!("linked.{number}"));
            std::os::unix::fs::symlink(run.trace().path(), &link).unwrap();
            Trace::new(link)
        })
        .collect();
    let stderr =
        String::from_utf8(dump(&["--info"], &traces.iter().collect::<Vec<_>>()).stderr).unwrap();
    assert_eq!(stderr.lines().count(), 21, "{stderr}");
    assert!(stderr.ends_with("events are missing from 10 further traces\n"), "{stderr}");
}

/// A file whose end is missing is damaged for everyone who reads it, followers included; within a block, at
/// the end of one, of a growing file and of a ring.
#[test]
fn a_file_without_its_end() {
    let sandbox = setup("without_its_end");
    let host = |sandbox| Sandbox::program(sandbox, "pairs").args(["1", "20000"]);
    let growing = fs::read(host(&sandbox).run().expect(0).trace().path()).unwrap();
    let other = setup("ring_without_its_end");
    let ring = fs::read(host(&other).ring("160K").run().expect(0).trace().path()).unwrap();
    for (name, bytes, length) in [
        ("block", &growing, 100_000),
        ("boundary", &growing, 81_920),
        ("ring", &ring, 81_920),
        ("ringed", &ring, 50_000),
    ] {
        assert!(bytes.len() > length, "{name}");
        sandbox.file(name, &bytes[..length]);
        let run = |arguments: &[&str]| {
            let output =
                sandbox.command(&artifacts().mallook).args(arguments).arg(name).run_alone();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{arguments:?} {name}: {stderr}");
            assert!(stderr.contains(&format!("{name}: damaged at offset {length}: ")), "{stderr}");
            output.stdout
        };
        for command in ["dump", "check", "follow"] {
            run(&[command]);
        }
        let said = [&["summary", "--json"][..], &["top", "--once", "--json"]].map(|arguments| {
            let report: Value = serde_json::from_slice(&run(arguments)).unwrap();
            assert_eq!(report["complete"], false, "{name}");
            report["damaged_places"].as_u64().unwrap()
        });
        assert!(said[0] > 0 && said[1] == said[0], "{name}: {said:?}");
    }
}

/// A ring that is overwritten faster than it is followed: every event is printed or counted.
#[test]
fn a_ring_that_is_followed_too_slowly() {
    let sandbox = setup("too_slowly");
    let host = sandbox.program("pairs").args(["4", "300000"]).ring("80K");
    let mut host = host.preloaded().command.spawn().unwrap();
    let trace = sandbox.first_trace("trace", &mut host);
    let mut follow = Command::new(&artifacts().dump);
    follow.arg("--follow").arg(trace.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let follow = follow.spawn().unwrap();
    assert!(host.wait().unwrap().success());
    let output = follow.wait_with_output().unwrap();
    let (text, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{stderr}");
    let (mut printed, mut missing) = (0, 0);
    for line in text.lines() {
        match line.contains(" events overwritten here") {
            true => missing += number_before(line, " events overwritten here"),
            // The two moments of a reallocation that is not of NULL.
            false if line.contains("realloc(0x") => printed += 2,
            false => printed += u64::from(!line.contains("---")),
        }
    }
    let info = trace.info();
    assert!(missing > 0);
    assert_eq!(printed + missing, info.present() + info.overwritten(), "{stderr}");
    assert!(stderr.contains(" events are missing: "), "{stderr}");
}
