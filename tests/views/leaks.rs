//! Leaks, against LeakSanitizer and against the known leaks of a program.

use super::*;

/// The functions that are blamed for the leaks of the service.
fn blamed(report: &Value) -> HashSet<String> {
    let leaks = report["leaks"].as_array().unwrap();
    let first = |leak: &Value| {
        let frames = leak["frames"].as_array().unwrap().clone();
        let own = frames.into_iter().find(|frame| {
            frame["source"].as_str().is_some_and(|source| source.contains("service.cc"))
        });
        own.unwrap()["function"].as_str().unwrap().replace("(anonymous namespace)::", "")
    };
    leaks.iter().map(first).collect()
}

/// A leak hunt as a new user has it: two commands from installation to the answer.
#[test]
fn a_leak_hunt_in_two_commands() {
    let sandbox = setup("hunt");
    let service = sandbox.build("service.cc", "service", &[]);
    let command = ["run", "--stacks", "--", service.to_str().unwrap()];
    assert!(mallook(&sandbox, &command).status.success());
    let text = good(&sandbox, &["leaks", "mallook.out"]);
    for line in ["open_session (service.cc:", "log_slow (service.cc:", "make_header (service.cc:"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let report = json(&sandbox, &["leaks", "mallook.out"]);
    let expected = ["open_session", "log_slow", "make_header"].map(str::to_owned);
    assert_eq!(blamed(&report), HashSet::from(expected));
    // Four threads: sessions that fail, slow requests, headers of odd bodies with their two strings.
    let count = |function: &str, size: u64| {
        let leaks = report["leaks"].as_array().unwrap();
        let is_it = |leak: &&Value| {
            let frames = leak["frames"].as_array().unwrap();
            frames.iter().any(|frame| frame["function"].as_str().unwrap().contains(function))
                && number(&leak["most_size"]) == size
        };
        leaks.iter().filter(is_it).map(|leak| number(&leak["blocks"])).sum::<u64>()
    };
    let requests = 10_000_u64;
    let of = |rest: u64, modulus: u64| 4 * (requests - rest).div_ceil(modulus);
    assert_eq!(count("open_session", 488), of(7, 1009));
    assert_eq!(count("log_slow", 1234), of(11, 5003));
    assert_eq!(count("make_header", 64), of(5, 997));
    let summary = json(&sandbox, &["summary", "mallook.out"]);
    assert!(number(&summary["allocations"]) >= 1_000_000, "{}", summary["allocations"]);
    let suppressed = report["suppressions"].as_array().unwrap();
    let names: Vec<_> = suppressed.iter().map(|it| it["suppression"].as_str().unwrap()).collect();
    assert!(names.contains(&"the emergency pool of libstdc++"), "{names:?}");
    let all = json(&sandbox, &["leaks", "--no-built-in", "mallook.out"]);
    let sum = |report: &Value, what: &str| number(&report[what]);
    assert_eq!(
        sum(&all, "leaked_bytes"),
        sum(&report, "leaked_bytes") + sum(&report, "suppressed_bytes")
    );
    // Suppressions of the user, and a verdict.
    sandbox.file("ours.supp", "# known\nleak:*open_session*\nleak:^main$\nleak:service.cc$\n");
    let known = json(&sandbox, &["leaks", "--suppressions", "ours.supp", "mallook.out"]);
    assert_eq!(sum(&known, "leaked_blocks"), 0, "{known}");
    let rules = known["suppressions"].as_array().unwrap();
    let of_session = rules.iter().find(|it| it["suppression"] == "leak:*open_session*").unwrap();
    assert_eq!(number(&of_session["bytes"]), 488 * of(7, 1009));
    let verdict = |options: &[&str]| {
        let command = [&["leaks", "--fail-if", "leaked>0"], options, &["mallook.out"]].concat();
        mallook(&sandbox, &command).status.code()
    };
    assert_eq!(verdict(&[]), Some(3));
    assert_eq!(verdict(&["--suppressions", "ours.supp"]), Some(0));
    sandbox.file("wrong.supp", "leak:a\nrace:b\n");
    assert_eq!(verdict(&["--suppressions", "wrong.supp"]), Some(2));
}

/// LeakSanitizer finds the same bytes and blocks, and its suppressions do the same.
#[test]
fn leaks_are_those_of_leaksanitizer() {
    let sandbox = setup("lsan");
    let plain = sandbox.build("service.cc", "plain", &[]);
    let run = sandbox.command(&plain).arg("2000").env("MALLOOK_STACK", "full").run().expect(0);
    drop(run);
    let checked = sandbox.build("service.cc", "checked", &["-fsanitize=leak"]);
    sandbox.file("ours.supp", "leak:open_session\n");
    for suppressions in [&[][..], &["--suppressions", "ours.supp"]] {
        let options = match suppressions.is_empty() {
            true => "print_suppressions=0",
            false => "suppressions=ours.supp",
        };
        let output = sandbox.command(&checked).arg("2000").env("LSAN_OPTIONS", options).run_alone();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if text.contains("LeakSanitizer has encountered a fatal error") {
            skip("views::leaks_are_those_of_leaksanitizer", "the right to trace (ptrace)");
            return;
        }
        let line = text.lines().find(|line| line.starts_with("SUMMARY: LeakSanitizer")).unwrap();
        let numbers: Vec<u64> =
            line.split([' ', '(']).filter_map(|word| word.parse().ok()).collect();
        let report = json(&sandbox, &[&["leaks"], suppressions, &["trace"]].concat());
        let ours = [&report["leaked_bytes"], &report["leaked_blocks"]].map(number);
        assert_eq!(numbers, ours, "{line}");
    }
}

/// Without call stacks: by size and thread, and what looks like the memory of libraries.
#[test]
fn leaks_without_stacks() {
    let sandbox = setup("plain_leaks");
    let service = sandbox.build("service.cc", "service", &[]);
    let run = sandbox.command(&service).arg("2000").run().expect(0);
    let report = json(&sandbox, &["leaks", "trace"]);
    assert_eq!(report["has_stacks"], false);
    let threads: HashSet<_> = run.trace().rows().iter().map(|row| row.tid).collect();
    let leaks = report["leaks"].as_array().unwrap();
    assert!(leaks.iter().all(|leak| threads.contains(&(number(&leak["tid"]) as u32))));
    assert!(leaks.iter().any(|leak| number(&leak["most_size"]) == 488));
    let names: Vec<_> = report["suppressions"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let is_guess = |it: &&&Value| it["suppression"].as_str().unwrap().starts_with("looks like ");
    assert_eq!(names.iter().filter(is_guess).count(), 2, "{names:?}");
    let text = good(&sandbox, &["leaks", "trace"]);
    assert!(text.contains("mallook run --stacks"), "{text}");
}
