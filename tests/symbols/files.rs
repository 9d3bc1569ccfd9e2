//! Files that hold names: the right ones are found, the wrong ones give none and say why.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use mallook_reader::symbol::{
    BuildId, CodeAddress, Module, Reason, State, SymbolOptions, Symbolizer,
};

use super::{
    build_id, called, compile, have_compilers, module, names, range, run, start, strip_into,
};
use crate::sandbox::{Sandbox, setup, write_program};

const OPTIONS: &[&str] = &["-O2", "-g"];

/// A program with debug information, and where its hidden function starts.
fn program(sandbox: &Sandbox, more: &[&str]) -> (PathBuf, u64) {
    let file = compile(sandbox, "names.c", "names", &[OPTIONS, more].concat());
    let hidden = start(&file, "hidden");
    (file, hidden)
}

/// The functions at the start of the hidden one.
fn hidden(options: &SymbolOptions, module: &Module, address: u64) -> (State, Vec<String>) {
    let found = names(options, module, &[address]);
    let names = called(&found)[0].iter().map(|&name| name.to_owned()).collect();
    (found.state, names)
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// `directory/.build-id/xx/yyyy`
fn by_id(directory: &Path, id: &BuildId, suffix: &str) -> PathBuf {
    let (first, rest) = (&id.to_string()[..2], &id.to_string()[2..]);
    let folder = directory.join(".build-id").join(first);
    fs::create_dir_all(&folder).unwrap();
    folder.join(format!("{rest}{suffix}"))
}

fn debug_dir(directory: &Path) -> SymbolOptions {
    SymbolOptions { debug_dirs: vec![directory.into()], ..SymbolOptions::default() }
}

#[test]
fn separate_debug_file_by_link() {
    if !have_compilers("files::separate_debug_file_by_link") {
        return;
    }
    let sandbox = setup("by_link");
    let (file, address) = program(&sandbox, &["-Wl,--build-id=none"]);
    let whole = module(&file);
    assert_eq!(whole.build_id, None);
    let (state, expected) = hidden(&SymbolOptions::default(), &whole, address);
    assert_eq!(
        (state, expected.last().unwrap().as_str()),
        (State::Lines { file: text(&file) }, "hidden")
    );
    let debug = sandbox.path().join("names.debug");
    strip_into(&file, &debug);
    // Beside the module, in `.debug`, and in a directory for all, by name or by path.
    let all = sandbox.path().join("all");
    let path = all.join(file.parent().unwrap().strip_prefix("/").unwrap());
    let places = [sandbox.path().into(), sandbox.path().join(".debug"), all.clone(), path];
    for place in places {
        fs::create_dir_all(&place).unwrap();
        let there = place.join("names.debug");
        if there != debug {
            fs::rename(&debug, &there).unwrap();
        }
        let found = hidden(&debug_dir(&all), &whole, address);
        assert_eq!(found, (State::Lines { file: text(&there) }, expected.clone()));
        // Another file under that name is not taken.
        let good = fs::read(&there).unwrap();
        fs::write(&there, [&good[..], b"\0"].concat()).unwrap();
        let found = names(&debug_dir(&all), &whole, &[address]);
        assert_eq!(called(&found), [Vec::<&str>::new()]);
        assert_eq!(found.rejected[0].file, text(&there));
        assert!(
            matches!(found.rejected[0].reason, Reason::Checksum { .. }),
            "{:?}",
            found.rejected
        );
        fs::write(&there, good).unwrap();
        if there != debug {
            fs::rename(&there, &debug).unwrap();
        }
    }
}

#[test]
fn separate_debug_file_by_build_id() {
    if !have_compilers("files::separate_debug_file_by_build_id") {
        return;
    }
    let sandbox = setup("by_id");
    let (file, address) = program(&sandbox, &["-Wl,--build-id=sha1"]);
    let whole = module(&file);
    let id = whole.build_id.clone().unwrap();
    let (_, expected) = hidden(&SymbolOptions::default(), &whole, address);
    let directory = sandbox.path().join("debug");
    let debug = by_id(&directory, &id, ".debug");
    strip_into(&file, &debug);
    let options = debug_dir(&directory);
    let lines = (State::Lines { file: text(&debug) }, expected);
    assert_eq!(hidden(&options, &whole, address), lines);
    // The program itself is not needed.
    let moved = sandbox.path().join("moved");
    fs::rename(&file, &moved).unwrap();
    assert_eq!(hidden(&options, &whole, address), lines);
    // Nor is its debug information, where the program is kept under its build ID.
    fs::remove_file(&debug).unwrap();
    assert!(
        matches!(hidden(&options, &whole, address), (State::Missing { .. }, names) if names.is_empty())
    );
    let kept = by_id(&directory, &id, "");
    fs::rename(&moved, &kept).unwrap();
    // Stripped, and the position of a function that is not exported: no name.
    assert_eq!(hidden(&options, &whole, address), (State::Stripped { file: text(&kept) }, vec![]));
    // Another build under the name of this one.
    let other = compile(&sandbox, "names.c", "other", &["-O1", "-g", "-Wl,--build-id=sha1"]);
    fs::rename(&other, &debug).unwrap();
    let found = names(&options, &whole, &[address]);
    assert_eq!(called(&found), [Vec::<&str>::new()]);
    let reason = Reason::BuildId { found: build_id(&debug), expected: Some(id) };
    assert_eq!((&found.rejected[0].file, &found.rejected[0].reason), (&text(&debug), &reason));
}

#[test]
fn another_build_gives_no_names() {
    if !have_compilers("files::another_build_gives_no_names") {
        return;
    }
    let sandbox = setup("replaced");
    let (file, address) = program(&sandbox, &["-Wl,--build-id=sha1"]);
    let before = module(&file);
    compile(&sandbox, "names.c", "names", &["-O1", "-g", "-Wl,--build-id=sha1"]);
    let found = build_id(&file);
    assert!(found.is_some() && found != before.build_id);
    let differs = |found, expected| (State::Differs { file: text(&file), found, expected }, vec![]);
    let options = SymbolOptions::default();
    assert_eq!(hidden(&options, &before, address), differs(found.clone(), before.build_id.clone()));
    // The module had none: this is another file, too.
    let without = Module { build_id: None, ..before.clone() };
    assert_eq!(hidden(&options, &without, address), differs(found, None));
    compile(&sandbox, "names.c", "names", &["-O2", "-g", "-Wl,--build-id=none"]);
    assert_eq!(hidden(&options, &before, address), differs(None, before.build_id.clone()));
}

#[test]
fn no_build_id() {
    if !have_compilers("files::no_build_id") {
        return;
    }
    let sandbox = setup("no_build_id");
    let (file, address) = program(&sandbox, &["-Wl,--build-id=none"]);
    let options = SymbolOptions::default();
    let module =
        Module { seen: Some(SystemTime::now() + Duration::from_secs(60)), ..module(&file) };
    let found = names(&options, &module, &[address]);
    assert!(found.unverified);
    assert_eq!(called(&found)[0].last(), Some(&"hidden"));
    // Changed after the process had seen it.
    let earlier = Module { seen: Some(SystemTime::UNIX_EPOCH), ..module.clone() };
    assert_eq!(hidden(&options, &earlier, address), (State::Changed { file: text(&file) }, vec![]));
    // Too short to be the module.
    let mut longer = module.clone();
    longer.ranges[0].end += 1 << 20;
    assert_eq!(
        hidden(&options, &longer, address),
        (State::Elsewhere { file: text(&file) }, vec![])
    );
    // Deleted, and something else there now.
    let deleted = Module { path: format!("{} (deleted)", text(&file)).into(), ..module };
    let state = State::Deleted { file: text(&deleted.path) };
    assert_eq!(hidden(&options, &deleted, address), (state, vec![]));
}

#[test]
fn deleted_and_put_back() {
    if !have_compilers("files::deleted_and_put_back") {
        return;
    }
    let sandbox = setup("deleted");
    let (file, address) = program(&sandbox, &["-Wl,--build-id=sha1"]);
    let mut module = module(&file);
    module.path = format!("{} (deleted)", text(&file)).into();
    let (state, names) = hidden(&SymbolOptions::default(), &module, address);
    assert_eq!(
        (state, names.last().unwrap().as_str()),
        (State::Lines { file: text(&file) }, "hidden")
    );
}

#[test]
fn below_another_root() {
    if !have_compilers("files::below_another_root") {
        return;
    }
    let sandbox = setup("sysroot");
    let (file, address) = program(&sandbox, &["-Wl,--build-id=sha1"]);
    let mut module = module(&file);
    let root = sandbox.path().join("root");
    fs::create_dir_all(root.join("opt/bin")).unwrap();
    let there = root.join("opt/bin/names");
    fs::rename(&file, &there).unwrap();
    module.path = "/opt/bin/names".into();
    let options = SymbolOptions { sysroot: Some(root), ..SymbolOptions::default() };
    let (state, names) = hidden(&options, &module, address);
    assert_eq!(
        (state, names.last().unwrap().as_str()),
        (State::Lines { file: text(&there) }, "hidden")
    );
    let without = hidden(&SymbolOptions::default(), &module, address);
    assert!(matches!(without.0, State::Missing { .. }), "{without:?}");
}

#[test]
fn fetched_by_build_id() {
    if !have_compilers("files::fetched_by_build_id") {
        return;
    }
    let sandbox = setup("fetched");
    let (file, address) = program(&sandbox, &["-Wl,--build-id=sha1"]);
    let whole = module(&file);
    let (_, expected) = hidden(&SymbolOptions::default(), &whole, address);
    fs::create_dir(sandbox.path().join("cache")).unwrap();
    let cached = sandbox.path().join("cache/cached");
    strip_into(&file, &cached);
    let id = whole.build_id.clone().unwrap();
    let log = sandbox.path().join("log");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> {}\n[ \"$*\" = \"debuginfo {id}\" ] && echo {}\n",
        log.display(),
        cached.display()
    );
    let program = sandbox.path().join("debuginfod-find");
    write_program(&program, script.as_bytes());
    // Not asked for: not run.
    let options = SymbolOptions::default();
    assert_eq!(hidden(&options, &whole, address).1, Vec::<String>::new());
    assert!(!log.exists());
    let options = SymbolOptions { debuginfod: Some(program), ..options };
    let lines = (State::Lines { file: text(&cached) }, expected);
    assert_eq!(hidden(&options, &whole, address), lines);
    // What comes is looked at, too.
    compile(&sandbox, "names.c", "cache/cached", &["-O1", "-g", "-Wl,--build-id=sha1"]);
    assert_eq!(hidden(&options, &whole, address), (State::Stripped { file: text(&file) }, vec![]));
}

#[test]
fn a_stripped_library_has_exported_names_only() {
    if !have_compilers("files::a_stripped_library_has_exported_names_only") {
        return;
    }
    let sandbox = setup("stripped");
    let file = compile(&sandbox, "names.c", "names.so", &["-O2", "-g", "-shared", "-fPIC"]);
    let (hidden, visible) = (start(&file, "hidden"), start(&file, "visible"));
    run("strip", [&file]);
    let found = names(&SymbolOptions::default(), &module(&file), &[hidden, visible, visible + 5]);
    assert_eq!(found.state, State::Exported { file: text(&file) });
    assert_eq!(called(&found), [vec![], vec!["visible"], vec!["visible"]]);
    assert_eq!(found.resolved[2].frames[0].offset, Some(5));
    assert_eq!(found.resolved[0].offset, hidden);
    // Without lines, but not stripped.
    let file = compile(&sandbox, "names.c", "plain.so", &["-O2", "-shared", "-fPIC"]);
    let hidden = start(&file, "hidden");
    let found = names(&SymbolOptions::default(), &module(&file), &[hidden + 3, hidden - 1]);
    assert_eq!(found.state, State::Functions { file: text(&file) });
    assert_eq!(called(&found)[0], ["hidden"]);
}

#[test]
fn split_debug_information() {
    if !have_compilers("files::split_debug_information") {
        return;
    }
    let sandbox = setup("split");
    let (file, address) = program(&sandbox, &[]);
    let (_, expected) = hidden(&SymbolOptions::default(), &module(&file), address);
    for version in ["-gdwarf-5", "-gdwarf-4"] {
        let built = ["-O2", "-g", "-gsplit-dwarf", version];
        let options = SymbolOptions::default();
        let build = |turn: u32| {
            let file = compile(&sandbox, "names.c", &format!("split{turn}"), &built);
            let address = start(&file, "hidden");
            assert_eq!(hidden(&options, &module(&file), address).1, expected);
            let mut parts = fs::read_dir(sandbox.path()).unwrap().map(|it| it.unwrap().path());
            let part = parts.find(|it| it.extension().is_some_and(|it| it == "dwo")).unwrap();
            (file, address, part)
        };
        let (mut file, mut address, mut part) = build(0);
        // The parts in a package: only that is there.
        if crate::sandbox::have("files::split_debug_information", &["dwp"]) {
            let packed = |file: &Path, part: &Path| {
                let package = file.with_extension("dwp");
                let mut dwp = Command::new("dwp");
                let output = dwp.arg("-o").arg(&package).arg(part).output().unwrap();
                fs::remove_file(part).unwrap();
                // That of binutils 2.40 crashes on a few IDs of parts, which names of files change.
                let has_crashed = output.status.signal() == Some(libc::SIGSEGV);
                assert!(has_crashed || output.status.success(), "{output:?}");
                if has_crashed {
                    let _ = fs::remove_file(&package);
                }
                (!has_crashed).then_some(package)
            };
            let mut package = packed(&file, &part);
            for turn in 1..10 {
                if package.is_none() {
                    (file, address, part) = build(turn);
                    package = packed(&file, &part);
                }
            }
            let package = package.expect("dwp has crashed ten times");
            assert_eq!(hidden(&options, &module(&file), address).1, expected, "{version}");
            fs::remove_file(package).unwrap();
        }
        let _ = fs::remove_file(&part);
        // Without the parts, functions are left.
        assert_eq!(hidden(&options, &module(&file), address).1, ["hidden"]);
    }
}

#[test]
fn functions_that_the_linker_has_dropped() {
    if !have_compilers("files::functions_that_the_linker_has_dropped") {
        return;
    }
    let sandbox = setup("dropped");
    let options = ["-O0", "-g", "-ffunction-sections", "-Wl,--gc-sections"];
    let file = compile(&sandbox, "dropped.cc", "dropped", &options);
    let starts = ["_start", "main", "used"].map(|name| start(&file, name));
    assert!(starts[2] < 0x4000, "the dropped ones do not reach as far: {starts:x?}");
    let found = names(&SymbolOptions::default(), &module(&file), &starts);
    assert_eq!(called(&found), [["_start"], ["main"], ["used"]]);
}

#[test]
fn what_is_no_file_or_no_program() {
    let sandbox = setup("no_file");
    let address = [CodeAddress::returned_to(0x1234)];
    let at = |path: &Path| Module {
        path: path.into(),
        build_id: None,
        bias: 0x1000,
        ranges: range(0x1000..0x2000),
        generation: 0,
        seen: None,
    };
    let symbolizer = Symbolizer::default();
    let state = |path: &Path| {
        let found = symbolizer.symbolize(&at(path), &address);
        assert_eq!((found.resolved[0].offset, found.resolved[0].frames.len()), (0x234, 0));
        found.state
    };
    assert_eq!(state("[vdso]".as_ref()), State::Vdso);
    assert_eq!(state("".as_ref()), State::Anonymous);
    assert_eq!(state("[heap]".as_ref()), State::Anonymous);
    let pipe = sandbox.path().join("pipe");
    run("mkfifo", [&pipe]);
    for path in [
        sandbox.path(),
        Path::new("/dev/zero"),
        &pipe,
        Path::new("/nowhere"),
        Path::new("../Cargo.toml"),
    ] {
        assert!(matches!(state(path), State::Missing { .. }), "{path:?}");
    }
    for content in ["", "\x7fELF", "#!/bin/sh\n"] {
        let file = sandbox.file("nonsense", content);
        assert!(matches!(state(&file), State::Unreadable { .. } | State::Missing { .. }));
    }
}

#[test]
fn names_keep_their_control_characters() {
    if !have_compilers("files::names_keep_their_control_characters") {
        return;
    }
    let sandbox = setup("control");
    let file = compile(&sandbox, "names.c", "names", &["-O2", "-Wl,--build-id=none"]);
    let address = start(&file, "strange_name");
    let mut bytes = fs::read(&file).unwrap();
    let at: Vec<_> =
        (0..bytes.len() - 12).filter(|&at| &bytes[at..at + 12] == b"strange_name").collect();
    for at in at {
        bytes[at..at + 12].copy_from_slice(b"str\x1b[31m\n\xc3\x9f\xff");
    }
    fs::write(&file, bytes).unwrap();
    let found = names(&SymbolOptions::default(), &module(&file), &[address]);
    assert_eq!(called(&found), [["str\x1b[31m\nß\u{fffd}"]]);
}
