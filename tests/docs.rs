//! The documents name tests that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::artifacts::{artifacts, tests};

/// Documents whose promises name their tests.
const DOCUMENTS: [&str; 2] = ["ARCHITECTURE.md", "docs/robustness.md"];
/// Folders whose tests may be named, and whether a name has the module in front.
const FOLDERS: [&str; 9] = [
    "tests",
    "format/src",
    "preload/src",
    "reader/src",
    "analysis/src",
    "analysis/tests",
    "cli/src",
    "unwind/src",
    "unwind/tests/oracle",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.extension() {
            None => sources(&path, found),
            Some(extension) if extension == "rs" => found.push(path),
            Some(_) => {}
        }
    }
}

/// The tests of a source file, as `module::function`.
fn tests_in(path: &Path) -> Vec<String> {
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let folder = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
    let module = if matches!(stem, "mod" | "tests" | "loom") { folder } else { stem };
    let text = fs::read_to_string(path).unwrap();
    let mut names = Vec::new();
    for part in text.split("fn ").skip(1) {
        let end = part.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(0);
        names.push(format!("{module}::{}", &part[..end]));
    }
    names
}

/// Whether a name with `*` or `…` at its end, or without its module, is that of one of the tests.
fn is_known(name: &str, known: &BTreeSet<String>) -> bool {
    let matches = |test: &str| match name.strip_suffix(['*', '…']) {
        Some(start) => test.starts_with(start),
        None => test == name,
    };
    known.iter().any(|test| matches(test) || matches(test.split_once("::").unwrap().1))
}

/// Words in backticks that can only be the name of a test.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |word: &&str| {
        let module_or_long = word.contains("::") || word.matches('_').count() >= 3;
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:*…".contains(c);
        module_or_long && !word.starts_with('_') && word.chars().all(letters)
    };
    text.split('`').skip(1).step_by(2).filter(is_name)
}

#[test]
fn each_test_that_a_document_names_exists() {
    let root = tests().parent().unwrap();
    let mut files = Vec::new();
    FOLDERS.iter().for_each(|folder| sources(&root.join(folder), &mut files));
    let known: BTreeSet<_> = files.iter().flat_map(|path| tests_in(path)).collect();
    for document in DOCUMENTS {
        let text = fs::read_to_string(root.join(document)).unwrap();
        assert!(named(&text).count() > 20, "{document}: names were not found");
        let missing: Vec<_> = named(&text).filter(|name| !is_known(name, &known)).collect();
        assert!(missing.is_empty(), "{document} names tests that do not exist: {missing:#?}");
    }
    assert!(!is_known("processes::b1_no_such_test", &known));
}

/// The tables of `mallook diff` in the answers have the rows that it prints.
#[test]
fn the_answers_have_every_row_of_a_difference() {
    let root = tests().parent().unwrap();
    let golden = tests().join("golden/v1.trace");
    let output = Command::new(&artifacts().mallook).arg("diff").args([&golden, &golden]).output();
    let printed = String::from_utf8(output.unwrap().stdout).unwrap();
    // A name, and two blanks at the least before the first figure.
    let rows = |text: &str| -> Vec<String> {
        let table = text.lines().skip_while(|line| !line.trim_start().starts_with("A  ")).skip(1);
        let rows = table.take_while(|line| !line.is_empty());
        rows.map(|line| line.split("  ").next().unwrap().to_owned()).collect()
    };
    let expected = rows(&printed);
    assert!(expected.len() > 5, "{printed}");
    let answers = fs::read_to_string(root.join("docs/answers.md")).unwrap();
    let tables: Vec<_> = answers.split("```text\nA: ").skip(1).map(rows).collect();
    assert_eq!(tables, [expected.clone(), expected]);
}
