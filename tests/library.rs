//! The reader as a library: a program outside the workspace depends on it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::artifacts::{inner_cargo, tests};

/// Counts allocations by size.
const PROGRAM: &str = r#"use mallook_reader::{EventKind, Events, Trace};

fn main() -> Result<(), mallook_reader::Error> {
    let trace = Trace::open(std::env::args_os().nth(1).unwrap().as_ref())?;
    let mut sizes = std::collections::BTreeMap::<_, u64>::new();
    for event in Events::of(&trace) {
        if let EventKind::Call(call) = event.kind && call.kind.is_birth() {
            *sizes.entry(call.size().unwrap_or(0)).or_default() += 1;
        }
    }
    println!("{sizes:?}");
    Ok(())
}
"#;

/// The counts of allocations by size, from the golden csv.
fn expected() -> BTreeMap<u64, u64> {
    let csv = fs::read_to_string(tests().join("golden/v1.csv")).unwrap();
    let mut sizes = BTreeMap::new();
    for row in csv.lines().skip(1) {
        let fields: Vec<_> = row.split(',').collect();
        if !fields[3].contains("free") {
            *sizes.entry(fields[5].parse().unwrap()).or_default() += 1;
        }
    }
    sizes
}

#[test]
fn a_program_outside_the_workspace_counts_allocations_by_size() {
    // Always the same directory, so that dependencies are built once.
    let project = Path::new(env!("CARGO_TARGET_TMPDIR")).join("count-by-size");
    let workspace = tests().parent().unwrap();
    let manifest = format!(
        "[package]\nname = \"count-by-size\"\nedition = \"2024\"\n\n\
         [dependencies]\nmallook-reader = {{ path = {:?} }}\n\n[workspace]\n",
        workspace.join("reader"),
    );
    fs::create_dir_all(project.join("src")).unwrap();
    fs::write(project.join("Cargo.toml"), manifest).unwrap();
    fs::write(project.join("src/main.rs"), PROGRAM).unwrap();
    // The versions that the workspace has been built with, so nothing is downloaded.
    fs::copy(workspace.join("Cargo.lock"), project.join("Cargo.lock")).unwrap();

    let mut cargo = inner_cargo();
    cargo.args(["run", "--quiet", "--offline", "--manifest-path"]);
    cargo.arg(project.join("Cargo.toml")).arg("--target-dir").arg(project.join("target"));
    let output = cargo.arg("--").arg(tests().join("golden/v1.trace")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{:?}\n", expected()));
}
