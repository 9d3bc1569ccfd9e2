//! Addresses of processes that ran: stacks whose calls are known, and code that was made at run time.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use mallook_reader::symbol::{
    CodeAddress, JitProcess, Module, NamesFile, NamesWriter, State, SymbolOptions, Symbolizer,
};

use super::{build_id, called, compile, have_compilers, module, range, run, shown, start};
use crate::sandbox::{have, setup};

/// The stack that the program printed, and its own module.
fn stack(program: &Path) -> (Vec<CodeAddress>, Module) {
    let output = Command::new(program).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let number = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).unwrap();
    let (addresses, maps): (Vec<_>, Vec<_>) = output.lines().partition(|it| it.starts_with("0x"));
    let addresses = addresses.into_iter().map(|it| CodeAddress::returned_to(number(it))).collect();
    let ranges: Vec<Range<u64>> = maps
        .into_iter()
        .filter(|line| line.ends_with(program.to_str().unwrap()))
        .map(|line| {
            let (start, rest) = line.split_once('-').unwrap();
            number(start)..number(rest.split_once(' ').unwrap().0)
        })
        .collect();
    let linked = module(program).ranges[0].start;
    let bias = ranges[0].start - linked;
    let path = program.into();
    let module =
        Module { path, build_id: build_id(program), bias, ranges, generation: 0, seen: None };
    (addresses, module)
}

#[test]
fn a_known_stack() {
    if !have_compilers("processes::a_known_stack") {
        return;
    }
    let sandbox = setup("stack");
    for options in [&["-O2", "-g"][..], &["-O2", "-g", "-no-pie"], &["-O2", "-g", "-static-pie"]] {
        let options = [options, &["-fno-optimize-sibling-calls"]].concat();
        let program = compile(&sandbox, "backtrace.c", "backtrace", &options);
        let (addresses, module) = stack(&program);
        let found = Symbolizer::default().symbolize(&module, &addresses);
        let frames = found.resolved.iter().flat_map(|place| &place.frames);
        let shown: Vec<_> = frames.map(|it| (shown(it), it.inlined)).collect();
        let expected = [
            ("take backtrace.c:10", true),
            ("third backtrace.c:14", false),
            ("second backtrace.c:19", false),
            ("first backtrace.c:23", false),
            ("main backtrace.c:29", false),
        ];
        let expected = expected.map(|(text, inlined)| (text.to_owned(), inlined));
        assert_eq!(shown[..5], expected, "{options:?}");
    }
}

#[test]
fn a_return_address_belongs_to_its_call() {
    if !have_compilers("processes::a_return_address_belongs_to_its_call") {
        return;
    }
    let sandbox = setup("last_call");
    let file = compile(&sandbox, "names.c", "names", &["-O2", "-g"]);
    let functions = super::functions(&file);
    let (_, start, size) = functions.iter().find(|it| it.0 == "last_call").unwrap();
    let end = start + size;
    let addresses = [CodeAddress::returned_to(end), CodeAddress::interrupted(end)];
    let found = Symbolizer::default().symbolize(&module(&file), &addresses);
    assert_eq!(called(&found)[0], ["last_call"]);
    assert_ne!(called(&found)[1].last(), Some(&"last_call"));
    assert_eq!(found.resolved[0].offset, end);
}

/// Another machine: the names are the same, and those of other builds are not taken.
#[test]
fn names_travel() {
    if !have_compilers("processes::names_travel") {
        return;
    }
    let sandbox = setup("travel");
    let program = compile(&sandbox, "backtrace.c", "backtrace", &["-O2", "-g"]);
    let plain = compile(&sandbox, "names.cc", "plain", &["-O2"]);
    let symbolizer = Symbolizer::default();
    let (stack, with_lines) = stack(&program);
    let with_symbols = module(&plain);
    let main = start(&plain, "main");
    let addresses = [CodeAddress::interrupted(main), CodeAddress::returned_to(main + 5)];
    let gone = Module { path: "/gone\x1b".into(), ..with_symbols.clone() };
    let known = [(&with_lines, &stack[..]), (&with_symbols, &addresses), (&gone, &addresses)];
    let mut writer = NamesWriter::new(Vec::new(), "a trace").unwrap();
    for (module, addresses) in known {
        writer.module(module, addresses, &symbolizer.symbolize(module, addresses)).unwrap();
    }
    let text = writer.finish().unwrap();
    assert!(!text.contains(&0x1b));
    let file = NamesFile::read(&text[..]).unwrap();
    assert_eq!(file.damage(), None);
    for (module, addresses) in known {
        let expected = symbolizer.symbolize(module, addresses);
        assert_eq!(file.symbolize(module, addresses), Some(expected));
    }
    // Loaded elsewhere.
    let moved = Module { bias: 0x7000, ranges: range(0x7000..0x70_0000), ..with_symbols.clone() };
    let there = [CodeAddress::interrupted(main + 0x7000)];
    assert_eq!(called(&file.symbolize(&moved, &there).unwrap()), [["main"]]);
    let other = Module { build_id: None, ..with_lines.clone() };
    assert_eq!(file.symbolize(&other, &stack), None);
    // Cut off anywhere, it says so.
    for end in (0..text.len()).step_by(97) {
        if let Ok(part) = NamesFile::read(&text[..end]) {
            assert!(part.damage().is_some());
        }
    }
}

/// A map, and names from it. The root is a directory of the test's own.
fn jit(root: PathBuf, map: &[u8], process: JitProcess, addresses: &[u64]) -> (State, Vec<String>) {
    fs::create_dir_all(root.join("tmp")).unwrap();
    fs::write(root.join(format!("tmp/perf-{}.map", process.pid)), map).unwrap();
    let options = SymbolOptions { sysroot: Some(root), ..SymbolOptions::default() };
    let addresses: Vec<_> = addresses.iter().map(|&it| CodeAddress::returned_to(it)).collect();
    let names = Symbolizer::new(options).symbolize_jit(&process, &addresses);
    let first = |names: Vec<&str>| names.first().copied().unwrap_or("-").to_owned();
    (names.state.clone(), called(&names).into_iter().map(first).collect())
}

#[test]
fn maps_of_functions_made_at_run_time() {
    let sandbox = setup("jit");
    let root = sandbox.path().to_owned();
    let file = root.join("tmp/perf-77.map").to_str().unwrap().to_owned();
    let process = JitProcess { pid: 77, started: None, ended: None };
    let map = b"7000 100 JS:*f /a.js:1:1\n7100 10 old\n7100 20 new\n";
    let (state, names) = jit(root.clone(), map, process, &[0x7100, 0x7101, 0x7118, 0x7200]);
    assert_eq!(names, ["JS:*f /a.js:1:1", "-", "new", "-"]);
    assert_eq!(state, State::Jit { file: file.clone(), replaced: 1 });
    // Of another process with this ID.
    let later = Some(SystemTime::now() + Duration::from_secs(3600));
    let (state, names) =
        jit(root.clone(), map, JitProcess { started: later, ..process }, &[0x7018]);
    assert!(matches!(state, State::NoMap { .. }));
    assert_eq!(names, ["-"]);
    let options =
        SymbolOptions { perf_maps: false, sysroot: Some(root), ..SymbolOptions::default() };
    let names =
        Symbolizer::new(options).symbolize_jit(&process, &[CodeAddress::returned_to(0x7018)]);
    assert_eq!(names.state, State::Anonymous);
}

#[test]
fn functions_of_node() {
    if !have("processes::functions_of_node", &["node"]) {
        return;
    }
    let sandbox = setup("node");
    let script = "function hotFunction(n) { let s = 0; for (let i = 0; i < n; i++) s += i % 7; return s }\n\
        for (let i = 0; i < 500; i++) hotFunction(20000); console.log(process.pid)";
    let script = sandbox.file("hot.js", script);
    // Its own log would lie in the working directory.
    let log = format!("--logfile={}", sandbox.path().join("v8.log").display());
    let output = run("node", ["--perf-basic-prof".as_ref(), log.as_ref(), script.as_os_str()]);
    let pid: u32 = output.trim().parse().unwrap();
    let map = PathBuf::from(format!("/tmp/perf-{pid}.map"));
    let text = fs::read_to_string(&map).unwrap();
    let line = text.lines().rfind(|line| line.contains("hotFunction")).unwrap();
    let start = u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap();
    let process = JitProcess { pid, started: None, ended: None };
    let names =
        Symbolizer::default().symbolize_jit(&process, &[CodeAddress::returned_to(start + 9)]);
    fs::remove_file(map).unwrap();
    let function = names.resolved[0].frames[0].function.as_deref().unwrap();
    assert!(function.contains("hotFunction"), "{function}");
    assert_eq!(names.resolved[0].frames[0].offset, Some(9));
}
