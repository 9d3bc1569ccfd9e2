//! One concept a file: no source has more than 400 lines.

use std::fs;
use std::path::{Path, PathBuf};

use crate::artifacts::tests;

const MOST: usize = 400;
/// The files that people have written, by the ends of their names.
const SOURCES: [&str; 9] = [".rs", ".c", ".h", ".cc", ".go", ".js", ".css", ".html", ".py"];
/// Folders that hold what others have written, or a program has.
const NOT_OURS: [&str; 5] = ["target", "vendor", ".git", "corpus", "artifacts"];

/// Calls `found` with each source and its number of lines.
fn sources(directory: &Path, found: &mut impl FnMut(PathBuf, usize)) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            if !NOT_OURS.contains(&&*name) {
                sources(&path, found);
            }
        } else if SOURCES.iter().any(|end| name.ends_with(end)) {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            found(path, lines);
        }
    }
}

#[test]
fn sources_have_400_lines_at_the_most() {
    let (mut count, mut longer) = (0, Vec::new());
    sources(tests().parent().unwrap(), &mut |path, lines| {
        count += 1;
        if lines > MOST {
            longer.push((path, lines));
        }
    });
    assert!(count > 400, "only {count} sources were found");
    assert!(longer.is_empty(), "{longer:?}");
}
