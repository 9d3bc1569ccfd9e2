//! Views of real programs, of cuts, and of hostile traces.

use super::*;

/// gcc and redis-server: every view works, and the figures of all agree.
#[test]
fn views_of_real_programs() {
    if !have("views::real", &["gcc", "redis-server", "redis-cli"]) {
        return;
    }
    let sandbox = setup("views_real");
    sandbox.file("hello.c", "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n");
    sandbox
        .command("gcc")
        .args(["-O2", "hello.c", "-o", "hello"])
        .env("MALLOOK_STACK", "full")
        .run()
        .expect(0);
    agree(&sandbox, "trace");
    let script = "redis-server --port 0 --unixsocket r.sock --save '' >/dev/null & \
                  while kill -0 $! && ! redis-cli -s r.sock ping >/dev/null 2>&1; do sleep 0.1; done; \
                  redis-cli -s r.sock eval \"for i=1,2000 do redis.call('set','k'..i,string.rep('x',i)) end\" 0 >/dev/null; \
                  redis-cli -s r.sock shutdown nosave; wait";
    sandbox.command("sh").args(["-c", script]).env("MALLOOK_PREFIX", "redis").run().expect(0);
    agree(&sandbox, "redis");
}

/// The peak and the end are the same, whichever view says them.
fn agree(sandbox: &Sandbox, prefix: &str) {
    let summary = json(sandbox, &["summary", prefix]);
    let leaks = json(sandbox, &["leaks", prefix]);
    let sum = number(&leaks["leaked_bytes"]) + number(&leaks["suppressed_bytes"]);
    assert_eq!(sum, number(&summary["live_at_end_bytes"]));
    let peak = json(sandbox, &["leaks", "--at", "peak", prefix]);
    let sum = number(&peak["leaked_bytes"]) + number(&peak["suppressed_bytes"]);
    assert_eq!(sum, number(&summary["peak_bytes"]));
    let csv = good(sandbox, &["timeline", "--format", "csv", prefix]);
    let all = csv.lines().filter(|line| line.starts_with("all,"));
    let most = all.map(|line| line.split(',').nth(5).unwrap().parse::<u64>().unwrap()).max();
    assert_eq!(most, summary["peak_bytes"].as_u64());
    let same = json(sandbox, &["diff", prefix, prefix]);
    assert_eq!(same["places"].as_array().unwrap().len(), 0);
    json(sandbox, &["fragmentation", prefix]);
    // A merged file is the same.
    let name = format!("{prefix}-merged");
    good(sandbox, &["merge", "-o", &name, prefix]);
    let merged = json(sandbox, &["summary", &name]);
    assert_eq!(merged["peak_bytes"], summary["peak_bytes"]);
    assert_eq!(merged["live_at_end_bytes"], summary["live_at_end_bytes"]);
}

/// A cut range has the peak and the end of the range, in every view.
#[test]
fn views_of_a_cut() {
    if !have("views::cut", &["python3"]) {
        return;
    }
    let sandbox = setup("views_cut");
    let trace = python(&sandbox);
    let path = trace.path().to_str().unwrap();
    let rows = trace.rows();
    let [since, until] = [4, 8].map(|part| rows[rows.len() * part / 10].time_ns);
    good(&sandbox, &["cut", "--since", &unix(since), "--until", &unix(until), "-o", "part", path]);
    let first = rows.iter().position(|row| row.time_ns >= since).unwrap();
    let end = rows.iter().rposition(|row| row.time_ns <= until).unwrap() + 1;
    let mut model = Model::after(&rows[..first]);
    let mut most = model.bytes;
    for row in &rows[first..end] {
        model.row(row);
        most = most.max(model.bytes);
    }
    let summary = json(&sandbox, &["summary", "part"]);
    assert_eq!(number(&summary["peak_bytes"]), most);
    assert_eq!(number(&summary["live_at_end_bytes"]), model.bytes);
    let leaks = json(&sandbox, &["leaks", "--between", &unix(since), &unix(until), "part"]);
    let whole = json(&sandbox, &["leaks", "--between", &unix(since), &unix(until), path]);
    assert_eq!(leaks["leaked_bytes"], whole["leaked_bytes"]);
}

/// Damaged traces, a name full of control characters: nothing panics, and nothing reaches the terminal.
#[test]
fn views_of_hostile_traces() {
    let sandbox = setup("views_hostile");
    let golden = std::fs::read(tests().join("golden/v1-stacks.trace")).unwrap();
    let mut random = crate::sandbox::Random::new();
    let commands: [&[&str]; 8] = [
        &["leaks"],
        &["leaks", "--at", "peak"],
        &["leaks", "--between", "0s", "1s", "--json"],
        &["timeline"],
        &["timeline", "-f", "svg"],
        &["timeline", "-f", "csv"],
        &["fragmentation"],
        &["fragmentation", "--json"],
    ];
    for _ in 0..crate::sandbox::number("MALLOOK_HOSTILE_VIEWS", 25) {
        let mut bytes = golden.clone();
        crate::mutation::mutate(&mut random, &mut bytes);
        sandbox.file("bad", &bytes);
        for command in commands {
            hostile(&sandbox, &[command, &["bad"]].concat());
        }
        hostile(&sandbox, &["diff", "bad", "bad@1s"]);
        sandbox.file("bad", &golden);
    }
}

fn hostile(sandbox: &Sandbox, command: &[&str]) {
    let output = mallook(sandbox, command);
    assert!(output.status.code().is_some_and(|code| code <= 2), "{command:?}: {output:?}");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(!text.contains("panicked") && !text.contains('\u{1b}'), "{command:?}: {text}");
}
