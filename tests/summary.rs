//! `mallook summary`, `stats` and `run --summary`: the figures of real programs, against what the
//! programs do and against tools that we did not write.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::artifacts::artifacts;
use crate::sandbox::{have, setup};
use crate::trace::Trace;

fn mallook(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(&artifacts().mallook).args(arguments).current_dir(directory).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The figures of traces as JSON.
fn figures(command: &str, options: &[&str], traces: &[&Trace]) -> Value {
    let mut program = Command::new(&artifacts().mallook);
    program.args([command, "--json"]).args(options).args(traces.iter().map(|trace| trace.path()));
    let output = program.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The summary of our program with known figures, in a sandbox of its own.
fn summary(arguments: &[&str]) -> Value {
    let run = setup("figures").program("figures").args(arguments.iter().copied()).run().expect(0);
    figures("summary", &[], &[run.trace()])
}

fn numbers<const N: usize>(summary: &Value, names: [&str; N]) -> [u64; N] {
    names.map(|name| summary[name].as_u64().unwrap_or_else(|| panic!("{name}: {summary}")))
}

/// heaptrack says 10 000 of 10 001, since it looks at the kinds of blocks, not at the blocks.
#[test]
fn blocks_that_overlap_are_not_temporary() {
    let summary = summary(&["rolling"]);
    let found =
        numbers(&summary, ["allocations", "temporary", "grown", "peak_bytes", "peak_blocks"]);
    assert_eq!(found, [10_001, 1, 0, 202, 2]);
}

/// heaptrack says that all are temporary.
#[test]
fn blocks_that_are_reallocated_are_not_temporary() {
    let sandbox = setup("reallocs");
    let run = sandbox.program("figures").arg("reallocs").run().expect(0);
    let summary = figures("summary", &[], &[run.trace()]);
    assert_eq!(numbers(&summary, ["allocations", "temporary", "grown"]), [10_001, 0, 10_000]);
    // Nor with any threshold.
    let stats = figures("stats", &["--threshold", "1000"], &[run.trace()]);
    assert_eq!(numbers(&stats, ["temporary", "grown", "temporary_threshold"]), [0, 10_000, 1000]);
    let chains = &stats["chains"];
    assert_eq!(numbers(chains, ["longest", "longest_first_bytes"]), [10_000, 1]);
}

#[test]
fn the_peak_of_one_event_is_seen() {
    let summary = summary(&["peak"]);
    let found =
        numbers(&summary, ["peak_bytes", "peak_blocks", "live_at_end_bytes", "live_at_end_blocks"]);
    assert_eq!(found, [170_301, 101, 50_150, 50]);
    let parts = |list: &str| -> u64 {
        let rows = summary[list].as_array().unwrap();
        rows.iter().map(|row| row["at_peak_bytes"].as_u64().unwrap()).sum()
    };
    assert_eq!((parts("sizes"), parts("places")), (170_301, 170_301));
    let most = summary["timeline"]["max_bytes"].as_array().unwrap().iter();
    assert_eq!(most.filter_map(Value::as_u64).max(), Some(170_301));
}

#[test]
fn who_frees_whose_memory() {
    let sandbox = setup("crossed");
    let run = sandbox.program("figures").arg("crossed").run().expect(0);
    let stats = figures("stats", &[], &[run.trace()]);
    let pairs = stats["crossings"].as_array().unwrap();
    let of_main = |pair: &&Value| pair["from_tid"] == stats["processes"][0]["pid"];
    let blocks = pairs.iter().filter(of_main).map(|pair| pair["bytes"].as_u64().unwrap() / 777);
    assert_eq!((blocks.clone().count(), blocks.sum::<u64>()), (20, 20), "{pairs:?}");
}

/// The number before a word.
fn before(text: &str, word: &str) -> u64 {
    let end = text.find(word).unwrap_or_else(|| panic!("no {word:?} in {text}"));
    let number = text[..end].split_whitespace().next_back().unwrap();
    number.replace(',', "").parse().unwrap_or_else(|_| panic!("{number:?} before {word:?}"))
}

#[test]
fn memcheck_and_dhat_have_the_same_figures() {
    if !have("memcheck_and_dhat_have_the_same_figures", &["valgrind"]) {
        return;
    }
    let sandbox = setup("valgrind");
    let program = artifacts().program("figures");
    let valgrind = |options: &[&str], what: &str| {
        let output = sandbox
            .command("valgrind")
            .args(options.iter().copied())
            .arg(&program)
            .arg(what)
            .run_alone();
        text(&output.stderr)
    };
    for what in ["rolling", "reallocs", "peak"] {
        let summary = summary(&[what]);
        let [allocations, bytes, end, end_blocks, peak, peak_blocks] = numbers(
            &summary,
            [
                "allocations",
                "allocated_bytes",
                "live_at_end_bytes",
                "live_at_end_blocks",
                "peak_bytes",
                "peak_blocks",
            ],
        );
        let memcheck = valgrind(&[], what);
        let heap = memcheck.lines().find(|line| line.contains("total heap usage")).unwrap();
        assert_eq!(
            [before(heap, " allocs"), before(heap, " bytes allocated")],
            [allocations, bytes]
        );
        let exit = memcheck.lines().find(|line| line.contains("in use at exit")).unwrap();
        assert_eq!([before(exit, " bytes in"), before(exit, " blocks")], [end, end_blocks]);
        let dhat = valgrind(&["--tool=dhat", "--dhat-out-file=/dev/null"], what);
        for (label, expected) in [
            ("Total:", [bytes, allocations]),
            ("At t-gmax:", [peak, peak_blocks]),
            ("At t-end:", [end, end_blocks]),
        ] {
            let line = dhat.lines().find(|line| line.contains(label)).unwrap();
            assert_eq!([before(line, " bytes in"), before(line, " blocks")], expected, "{line}");
        }
    }
}

/// heaptrack is a C++ library, whose emergency pool of 72 704 bytes it counts to the program.
#[test]
fn heaptrack_has_the_same_figures_and_its_own_pool() {
    if !have("heaptrack_has_the_same_figures_and_its_own_pool", &["heaptrack", "heaptrack_print"]) {
        return;
    }
    const POOL: u64 = 72_704;
    let sandbox = setup("heaptrack");
    let program = artifacts().program("figures");
    let what = "peak";
    let summary = summary(&[what]);
    let [allocations, end, peak] =
        numbers(&summary, ["allocations", "live_at_end_bytes", "peak_bytes"]);
    sandbox.command("heaptrack").args(["-o", "ht"]).arg(&program).arg(what).run_alone();
    let files = std::fs::read_dir(sandbox.path()).unwrap().map(|entry| entry.unwrap().path());
    let is_recorded =
        |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("ht.");
    let recorded = files.into_iter().find(is_recorded).expect("heaptrack has recorded nothing");
    let output = sandbox.command("heaptrack_print").arg(recorded).run_alone();
    let printed = text(&output.stdout);
    let of = |label: &str| {
        let line = printed
            .lines()
            .find(|line| line.starts_with(label))
            .unwrap_or_else(|| panic!("{label}: {printed}"));
        line[label.len()..].split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(of("calls to allocation functions:"), (allocations + 1).to_string());
    let kilobytes = |bytes: u64| format!("{:.2}K", bytes as f64 / 1000.0);
    assert_eq!(of("peak heap memory consumption:"), kilobytes(peak + POOL));
    assert_eq!(of("total memory leaked:"), kilobytes(end));
}

#[test]
fn a_summary_is_one_screen() {
    let sandbox = setup("screen");
    let run = sandbox.command("sh").args(["-c", "ls / >/dev/null; ls -l / >/dev/null; true"]).run();
    let first = run.traces[0].path().to_str().unwrap();
    let prefix = first.rsplitn(4, '.').last().unwrap();
    for arguments in [&[first][..], &[prefix], &["summary", prefix]] {
        let output = mallook(sandbox.path(), arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let screen = text(&output.stdout);
        assert!(screen.lines().count() <= 40, "{screen}");
        assert!(
            screen.lines().all(|line| line.chars().count() <= 100 || line.contains(prefix)),
            "{screen}"
        );
        assert!(screen.contains("\ncomplete: "), "{screen}");
        assert!(!screen.contains('\x1b'), "{screen}");
    }
}

/// Marks, pauses, processes, sentences and commands of two lines, all at once: tables give up rows for them.
#[test]
fn a_crowded_summary_is_one_screen() {
    let sandbox = setup("crowded");
    let program = artifacts().program("paused");
    let script = format!("{0}; ls / >/dev/null; ls -l / >/dev/null; true", program.display());
    let below = "a directory whose name is as long as it takes".repeat(3);
    std::fs::create_dir(sandbox.path().join(&below)).unwrap();
    let prefix = sandbox.path().join(&below).join("trace");
    let host = sandbox.command("sh").args(["-c", &script]).env("MALLOOK_PREFIX", &prefix);
    host.preloaded().run_alone();
    let prefix = prefix.to_str().unwrap();
    let output = mallook(sandbox.path(), &["summary", prefix]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let screen = text(&output.stdout);
    let lines_with = |part: &str| screen.lines().filter(|line| line.contains(part)).count();
    assert!(screen.lines().count() <= 40, "{screen}");
    assert!(screen.contains("\n▲ first") && screen.contains(" other marks]"), "{screen}");
    // Each of the commands takes two lines.
    assert!(lines_with("/trace") >= 2 && lines_with("mallook ") >= 3, "{screen}");
    assert!(screen.contains("all: peak of the sum"), "{screen}");
    assert!(lines_with(" B in ") >= 2, "{screen}");
}

/// A process that has ended has no memory: the peak is that of the sum of those that live.
#[test]
fn the_peak_of_a_tree_is_that_of_the_sum() {
    let sandbox = setup("tree");
    let program = artifacts().program("figures");
    let script = format!("{0} big; {0} big; {0} big", program.display());
    let run = sandbox.command("sh").args(["-c", &script]).run();
    let traces: Vec<_> = run.traces.iter().collect();
    let summary = figures("summary", &[], &traces);
    let [peak, allocated] = numbers(&summary, ["peak_bytes", "allocated_bytes"]);
    assert!((3_000_017..2 * 3_000_017).contains(&peak), "{peak}");
    assert!(allocated >= 3 * 3_000_017);
    assert_eq!(summary["processes"].as_array().unwrap().len(), traces.len());
}

#[test]
fn run_says_the_summary_and_passes_the_outcome_on() {
    let sandbox = setup("run");
    let program = artifacts().program("figures");
    let run = |options: &[&str], arguments: &[&str]| {
        let mut command = Command::new(&artifacts().mallook);
        command.arg("run").args(options).arg("--").arg(&program).args(arguments);
        let output =
            command.current_dir(sandbox.path()).env_remove("MALLOOK_PREFIX").output().unwrap();
        (output.status, text(&output.stderr))
    };
    let files = || std::fs::read_dir(sandbox.path()).unwrap().count();
    let (status, said) = run(&["--summary", "--no-keep"], &["peak", "7"]);
    assert_eq!((status.code(), files()), (Some(7), 0), "{said}");
    assert!(said.contains("170,301 B"), "{said}");
    let (status, said) = run(&["--summary", "--no-keep"], &["killed"]);
    assert_eq!(
        (std::os::unix::process::ExitStatusExt::signal(&status), files()),
        (Some(9), 0),
        "{said}"
    );
    assert!(said.contains("4,099 B"), "{said}");
    let (status, said) = run(&["--summary", "--no-keep", "--fail-if", "peak>170301"], &["peak"]);
    assert_eq!(status.code(), Some(0), "{said}");
    let limits = ["--no-keep", "--fail-if", "peak>=170301", "--fail-if", "leaked>0"];
    let (status, said) = run(&limits, &["peak"]);
    assert_eq!((status.code(), said.lines().count()), (Some(3), 2), "{said}");
    assert!(
        said.contains("FAILED: peak is 166 KiB (170,301 B), which reaches the limit"),
        "{said}"
    );
    // The program's own failure is more.
    assert_eq!(run(&limits, &["peak", "5"]).0.code(), Some(5));
    let (status, said) = run(&["--summary"], &["peak"]);
    assert_eq!((status.code(), files()), (Some(0), 1), "{said}");
    // The next command is one that works.
    let line = said.lines().find(|line| line.contains("mallook leaks")).expect("a next command");
    let file = line.split_whitespace().next_back().unwrap();
    assert_eq!(mallook(sandbox.path(), &["stats", file]).status.code(), Some(0));
    let judged = mallook(sandbox.path(), &["summary", "--fail-if", "allocations>1e3", file]);
    assert_eq!(judged.status.code(), Some(3));
}

/// Figures of a part say that they are: a ring, and a file that is cut.
#[test]
fn figures_of_a_part_say_so() {
    let sandbox = setup("part");
    let ring = sandbox.program("figures").arg("rolling").ring("80K").run().expect(0);
    let summary = figures("summary", &[], &[ring.trace()]);
    assert_eq!(summary["complete"], false);
    let [missing, frees, unknown] = numbers(&summary, ["missing_events", "frees", "unknown_frees"]);
    assert!(missing > 10_000 && frees > 1000 && unknown >= 1, "{summary}");
    let screen = text(&mallook(sandbox.path(), &[ring.trace().path().to_str().unwrap()]).stdout);
    assert!(screen.lines().nth(1).unwrap().starts_with("NOT COMPLETE: "), "{screen}");

    let whole = setup("whole").program("figures").arg("rolling").run().expect(0);
    let bytes = std::fs::read(whole.trace().path()).unwrap();
    let cut = sandbox.file("cut", &bytes[..bytes.len() / 2]);
    let output = mallook(sandbox.path(), &["summary", "--json", cut.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["complete"], false);
    assert!(numbers(&summary, ["damaged_places"])[0] >= 1);
}

#[test]
fn words_are_explained() {
    let sandbox = setup("words");
    let output = mallook(sandbox.path(), &["summary", "--explain", "temporary"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stdout).contains("by the thread that made it"));
    // Every figure with a limit, and every word that screens use for a figure.
    let refused = mallook(sandbox.path(), &["summary", "--fail-if", "nonsense>0", "x"]);
    let refused = text(&refused.stderr);
    let figures = refused.split("is one of ").nth(1).unwrap().lines().next().unwrap();
    let figures: Vec<_> = figures.split(", ").collect();
    assert!(figures.len() == 10, "{refused}");
    let shown = ["live at end", "lifetime", "at peak", "never freed", "own maximum", "mean life"];
    let more = ["live", "largest failed", "median", "longest", "frees", "missing", "damaged"];
    for word in figures.iter().chain(&shown).chain(&more) {
        let output = mallook(sandbox.path(), &["--explain", word]);
        assert_eq!(output.status.code(), Some(0), "{word}: {output:?}");
    }
    let output = mallook(sandbox.path(), &["summary", "--explain", "nonsense"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("own maximum"));
}
