//! The manual pages and the completions that `mallook generate` writes.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::artifacts::artifacts;
use crate::sandbox::{Sandbox, have, setup};

fn generate(sandbox: &Sandbox, what: &str) -> Vec<PathBuf> {
    let host = sandbox.command(&artifacts().mallook).args(["generate", what, "out/of/it"]);
    let output = host.run_alone();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let directory = sandbox.path().join("out/of/it");
    let directories = [directory.join("man1"), directory.join("man7"), directory];
    let entries = directories.iter().flat_map(|directory| directory.read_dir()).flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.is_file()).collect::<BTreeSet<_>>().into_iter().collect()
}

fn names(files: &[PathBuf]) -> Vec<&str> {
    files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect()
}

#[test]
fn a_page_for_each_command_and_the_variables() {
    let sandbox = setup("pages");
    let files = generate(&sandbox, "man");
    let commands = [
        "check",
        "ctl-mark",
        "ctl-pause",
        "ctl-resume",
        "ctl-status",
        "ctl",
        "cut",
        "diff",
        "dump",
        "export",
        "follow",
        "fragmentation",
        "generate",
        "info",
        "leaks",
        "library",
        "merge",
        "report",
        "run",
        "serve",
        "snapshot",
        "stats",
        "summary",
        "symbolize",
        "timeline",
        "top",
    ];
    let mut expected: Vec<_> = commands.iter().map(|name| format!("mallook-{name}.1")).collect();
    expected.extend(["mallook.1".to_owned(), "mallook-variables.7".to_owned()]);
    assert_eq!(names(&files), expected);
    for name in ["PREFIX", "MODE", "SIZE", "MAX", "CLOCK", "CMDLINE"] {
        let page =
            fs::read_to_string(sandbox.path().join("out/of/it/man7/mallook-variables.7")).unwrap();
        assert!(page.contains(&format!("MALLOOK_{name}")), "{name}: {page}");
    }
}

/// Every `name(section)` is the name of a file beside it, or of a page that every system has.
#[test]
fn references_can_be_followed() {
    let sandbox = setup("references");
    let files = generate(&sandbox, "man");
    let known: BTreeSet<_> = names(&files).into_iter().map(str::to_owned).collect();
    let mut followed = 0;
    for file in &files {
        let page =
            fs::read_to_string(file).unwrap().replace('\\', "").replace("fB", "").replace("fR", "");
        let words = page.split(|c: char| c.is_whitespace() || c == ',');
        for word in words.filter(|word| word.starts_with("mallook")) {
            let Some((name, section)) = word.split_once('(') else { continue };
            let section = &section[..1];
            assert!(known.contains(&format!("{name}.{section}")), "{word} in {}", file.display());
            followed += 1;
        }
    }
    assert!(followed > 8 * 8, "{followed} references");
}

#[test]
fn pages_are_sound() {
    let linters: [(&str, &[&str]); 2] =
        [("groff", &["-man", "-Tutf8", "-ww", "-z"]), ("mandoc", &["-Tlint", "-Wwarning"])];
    for (linter, options) in linters {
        if !have("pages_are_sound", &[linter]) {
            continue;
        }
        let sandbox = setup("sound");
        for file in generate(&sandbox, "man") {
            let output = Command::new(linter).args(options).arg(&file).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            assert!(output.stderr.is_empty() && output.stdout.is_empty(), "{output:?}");
        }
    }
}

#[test]
fn completions_of_both_programs() {
    let sandbox = setup("completions");
    let files = generate(&sandbox, "completions");
    assert_eq!(
        names(&files),
        [
            "_mallook",
            "_mallook-dump",
            "mallook-dump.bash",
            "mallook-dump.fish",
            "mallook.bash",
            "mallook.fish"
        ]
    );
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        assert!(text.contains("min-size") && text.contains("follow"), "{}", file.display());
        if file.extension().is_some_and(|extension| extension == "bash") {
            assert!(Command::new("bash").arg("-n").arg(file).status().unwrap().success());
        }
    }
}
