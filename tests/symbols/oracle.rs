//! Every byte of the code of small programs, against `addr2line` of binutils.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use mallook_reader::symbol::{State, SymbolOptions};

use super::{compile, functions, module, names, shown};
use crate::artifacts::tests;
use crate::sandbox::{have, setup};

/// The output of a command for a text.
pub fn filter(command: &mut Command, text: String) -> String {
    let command = command.env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The answer of `addr2line` for each address, innermost first.
fn addr2line(file: &Path, addresses: &[u64]) -> Vec<Vec<String>> {
    let mut command = Command::new("addr2line");
    command.args(["-a", "-i", "-f", "-e"]).arg(file);
    let text: String = addresses.iter().map(|address| format!("{address:#x}\n")).collect();
    let mangled = filter(&mut command, text);
    // Without parameters, of which ours have none.
    let output = filter(Command::new("c++filt").arg("-p"), mangled);
    let (mut all, mut lines) = (Vec::<Vec<String>>::new(), output.lines());
    while let Some(line) = lines.next() {
        if line.starts_with("0x") {
            all.push(Vec::new());
            continue;
        }
        let place = lines.next().unwrap();
        let place = place.split(" (discriminator").next().unwrap();
        let place = place.rsplit('/').next().unwrap();
        all.last_mut().unwrap().push(format!("{line} {place}"));
    }
    all
}

/// A name without what demanglers do not agree on: spaces, types of numbers, hashes.
fn normal(name: &str) -> String {
    let name: String = name.split_whitespace().collect();
    let mut name = name.replace("(anonymousnamespace)", "{anonymous}").replace(":usize", "");
    // Copies and parts of a function.
    if let Some((function, _)) = name.split_once("[clone.") {
        name = function.to_owned();
    }
    for number in 0..10 {
        for suffix in ["ul", "u", "l"] {
            for after in [",", ">"] {
                name =
                    name.replace(&format!("{number}{suffix}{after}"), &format!("{number}{after}"));
            }
        }
    }
    let is_hash = |text: &str| text.len() > 12 && text.bytes().all(|it| it.is_ascii_hexdigit());
    let mut normal = String::new();
    for part in name.split_inclusive(['[', ']']) {
        match part.strip_suffix(']') {
            Some(hash) if is_hash(hash) => drop(normal.pop()),
            _ => normal += part,
        }
    }
    match normal.rsplit_once("::h") {
        Some((start, hash)) if is_hash(hash) => start.to_owned(),
        _ => normal,
    }
}

/// The addresses of all functions that say how long they are.
fn code(file: &Path) -> Vec<u64> {
    let mut code: Vec<_> = functions(file)
        .into_iter()
        .filter(|(_, start, size)| *start != 0 && *size != 0)
        .flat_map(|(_, start, size)| start..start + size)
        .collect();
    code.sort_unstable();
    code.dedup();
    code
}

/// Compares; at most this many addresses, evenly.
fn compare(file: &Path, most: usize) {
    let (all, functions) = (code(file), functions(file));
    assert!(all.len() > 200, "{file:?}");
    let step = all.len().div_ceil(most);
    let addresses: Vec<_> = all.into_iter().step_by(step).collect();
    let expected = addr2line(file, &addresses);
    let found = names(&SymbolOptions::default(), &module(file), &addresses);
    assert!(matches!(found.state, State::Lines { .. }), "{:?}", found.state);
    assert_eq!(found.rejected, []);
    let (mut different, mut frames) = (Vec::new(), 0);
    for ((address, expected), place) in addresses.iter().zip(&expected).zip(&found.resolved) {
        let mut ours: Vec<_> = place.frames.iter().map(shown).collect();
        if ours.is_empty() {
            ours.push("?? ??:?".to_owned());
        }
        assert!(place.frames.last().is_none_or(|it| !it.inlined));
        frames += ours.len();
        let covers =
            |(_, start, size): &&(String, u64, u64)| (*start..start + size).contains(address);
        let symbols: Vec<_> = functions.iter().filter(covers).map(|(name, ..)| &**name).collect();
        if ours.len() != expected.len() {
            different.push(format!("{address:#x}: {ours:?}, expected {expected:?}"));
        }
        for (at, (ours, theirs)) in ours.iter().zip(expected).enumerate() {
            let is_end = at == 0 || at + 1 == expected.len();
            let is_alone = expected.len() == 1;
            if !agree(ours, theirs, is_end, is_alone, &symbols) {
                different.push(format!("{address:#x}, {at}: {ours}, expected {theirs}"));
            }
        }
    }
    let is_small = file.to_str().unwrap().ends_with('0');
    assert!(frames > addresses.len() || !is_small, "nothing is inlined");
    let (some, count) = (different.iter().take(20).collect::<Vec<_>>(), different.len());
    assert!(different.is_empty(), "{file:?}: {count} of {}: {some:#?}", addresses.len());
}

/// Both say the same, function and place.
///
/// - Where no line is known, `addr2line` names the object file.
/// - It takes the symbol of the address for the innermost function, also where that is an inlined
///   one; we take it for the outermost one, where the debug information has only the short name.
/// - Without optimisation it takes the main source for a header: a line that this does not have.
/// - What only we cannot demangle stays mangled.
fn agree(ours: &str, theirs: &str, is_end: bool, is_alone: bool, symbols: &[&str]) -> bool {
    let split = |text: &str| {
        let (function, place) = text.rsplit_once(' ').unwrap();
        let place = if place.ends_with(":?") || place.ends_with(":0") { "?" } else { place };
        (normal(function), place.to_owned())
    };
    let ((our_function, our_place), (function, place)) = (split(ours), split(theirs));
    let is_symbol = |name: &str| symbols.iter().any(|symbol| normal(symbol) == name);
    let demangled =
        || normal(&filter(Command::new("c++filt").args(["-p", &our_function]), String::new()));
    let same = our_function == function
        || is_end
            && is_symbol(&function)
            && (place != "?" || !is_alone || is_symbol(&our_function))
        || is_end && is_symbol(&our_function)
        || our_function.starts_with("_Z") && demangled() == function;
    same && (our_place == place
        || is_no_line(&place) && after_colon(&our_place) == after_colon(&place))
}

fn after_colon(place: &str) -> &str {
    place.rsplit(':').next().unwrap()
}

/// The source ends before this line.
fn is_no_line(place: &str) -> bool {
    let Some(line) = place.strip_prefix("names.cc:") else { return false };
    let source = std::fs::read_to_string(tests().join("programs/special/names.cc")).unwrap();
    line.parse().is_ok_and(|line: usize| line > source.lines().count())
}

const KINDS: [&[&str]; 7] = [
    &["-O2", "-g"],
    &["-O0", "-g"],
    &["-O2", "-g", "-no-pie"],
    &["-O2", "-gdwarf-4"],
    &["-O3", "-g", "-gz=zlib"],
    &["-O2", "-g", "-ffunction-sections", "-Wl,--gc-sections"],
    &["-O1", "-g", "-static"],
];

#[test]
fn c() {
    if !have("oracle::c", &["gcc", "addr2line", "nm"]) {
        return;
    }
    let sandbox = setup("oracle_c");
    for (number, options) in KINDS.iter().enumerate() {
        let file = compile(&sandbox, "names.c", &format!("c{number}"), options);
        compare(&file, 4_000);
    }
}

#[test]
fn cpp() {
    if !have("oracle::cpp", &["g++", "addr2line", "nm"]) {
        return;
    }
    let sandbox = setup("oracle_cpp");
    for (number, options) in KINDS[..6].iter().enumerate() {
        let file = compile(&sandbox, "names.cc", &format!("cpp{number}"), options);
        compare(&file, 4_000);
    }
}

#[test]
fn rust() {
    if !have("oracle::rust", &["rustc", "addr2line", "nm"]) {
        return;
    }
    let sandbox = setup("oracle_rust");
    // The compiler's own choice, and the newer one.
    for (number, mangling) in ["-Cdebuginfo=2", "-Csymbol-mangling-version=v0"].iter().enumerate() {
        let options = ["--edition=2021", "-g", "-O", mangling];
        let file = compile(&sandbox, "names.rs", &format!("rust{number}"), &options);
        compare(&file, 4_000);
    }
}

#[test]
fn shared_library() {
    if !have("oracle::shared_library", &["gcc", "addr2line", "nm"]) {
        return;
    }
    let sandbox = setup("oracle_so");
    let file = compile(&sandbox, "names.c", "names.so", &["-O2", "-g", "-shared", "-fPIC"]);
    compare(&file, 4_000);
}
