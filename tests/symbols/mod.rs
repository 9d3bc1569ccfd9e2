//! Names of code: what the reader finds for addresses is what binutils finds, or what the sources
//! say; and files that are the wrong ones give none.

use std::ffi::OsStr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use mallook_reader::symbol::{
    BuildId, CodeAddress, Frame, Module, Names, SymbolOptions, Symbolizer,
};

use crate::artifacts::tests;
use crate::sandbox::{Sandbox, have};

mod files;
mod hostile;
mod oracle;
mod processes;

/// Runs a command that must succeed.
fn run<S: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = S>,
) -> String {
    let mut command = Command::new(program);
    let output = command.args(arguments).env("LC_ALL", "C").output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Compiles a source of `programs/special` with these options; nothing else is set.
fn compile(sandbox: &Sandbox, source: &str, name: &str, options: &[&str]) -> PathBuf {
    let output = sandbox.path().join(name);
    let compiler = match source.rsplit('.').next() {
        Some("cc") => "g++",
        Some("rs") => "rustc",
        _ => "gcc",
    };
    let mut command = Command::new(compiler);
    command.current_dir(sandbox.path()).env_remove("RUSTFLAGS");
    command.arg("-o").arg(&output).args(options);
    command.arg(tests().join("programs/special").join(source));
    run_in(&mut command);
    output
}

fn run_in(command: &mut Command) {
    let result = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(result.status.success(), "{command:?}: {result:?}");
}

/// The build ID by binutils.
fn build_id(file: &Path) -> Option<BuildId> {
    let notes = run("readelf", [OsStr::new("-nW"), file.as_os_str()]);
    let (_, id) = notes.lines().find_map(|line| line.split_once("Build ID: "))?;
    Some(BuildId::from_hex(id).unwrap())
}

/// The file as a module at the addresses that it was linked for.
fn module(file: &Path) -> Module {
    let headers = run("readelf", [OsStr::new("-lW"), file.as_os_str()]);
    let number = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).unwrap();
    let loads = headers.lines().filter(|line| line.trim().starts_with("LOAD")).map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        (number(words[2]), number(words[2]) + number(words[5]))
    });
    let (start, end) = loads.reduce(|first, last| (first.0, last.1)).unwrap();
    Module {
        path: file.into(),
        build_id: build_id(file),
        bias: 0,
        ranges: range(start..end),
        generation: 0,
        seen: None,
    }
}

/// One range.
fn range(range: Range<u64>) -> Vec<Range<u64>> {
    std::iter::once(range).collect()
}

/// The names of these addresses, looked up as they are.
fn names(options: &SymbolOptions, module: &Module, addresses: &[u64]) -> Names {
    let addresses: Vec<_> = addresses.iter().map(|&it| CodeAddress::interrupted(it)).collect();
    Symbolizer::new(options.clone()).symbolize(module, &addresses)
}

/// Address and size of functions by their names, by binutils.
fn functions(file: &Path) -> Vec<(String, u64, u64)> {
    let table = run("nm", [OsStr::new("-S"), OsStr::new("--defined-only"), file.as_os_str()]);
    let table = oracle::filter(Command::new("c++filt").arg("-p"), table);
    let line = |line: &str| {
        let mut words = line.splitn(4, ' ');
        let (start, size) = (words.next()?, words.next()?);
        let (kind, name) = (words.next()?, words.next()?);
        let number = |word| u64::from_str_radix(word, 16).ok();
        let is_code = ["t", "T", "w", "W", "i"].contains(&kind);
        is_code.then_some(())?;
        Some((name.to_owned(), number(start)?, number(size)?))
    };
    table.lines().filter_map(line).collect()
}

/// The start of a function.
fn start(file: &Path, name: &str) -> u64 {
    let functions = functions(file);
    let found = functions.iter().find(|(it, _, _)| it == name);
    found.unwrap_or_else(|| panic!("{name} is not in {functions:?}")).1
}

/// `function file:line`, the file without its directory.
fn shown(frame: &Frame) -> String {
    let function = frame.function.as_deref().unwrap_or("??");
    let location = frame.location.as_ref().map_or("??:?".to_owned(), |it| {
        let file = it.file.rsplit('/').next().unwrap_or_default();
        format!("{file}:{}", it.line.map_or("?".to_owned(), |line| line.to_string()))
    });
    format!("{function} {location}")
}

/// The functions of each address, innermost first.
fn called(names: &Names) -> Vec<Vec<&str>> {
    names
        .resolved
        .iter()
        .map(|place| place.frames.iter().map(|it| it.function.as_deref().unwrap_or("??")).collect())
        .collect()
}

/// Takes the debug information out of a file into another one, and links the two.
fn strip_into(file: &Path, debug: &Path) {
    let file = file.as_os_str();
    run("objcopy", [OsStr::new("--only-keep-debug"), file, debug.as_os_str()]);
    let link = format!("--add-gnu-debuglink={}", debug.display());
    run("objcopy", [OsStr::new("--strip-all"), OsStr::new(&link), file]);
}

fn have_compilers(test: &str) -> bool {
    have(test, &["gcc", "g++", "objcopy", "readelf", "nm"])
}
