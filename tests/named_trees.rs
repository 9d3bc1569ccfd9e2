//! Known call stacks with their names, from the call to the line that is printed: programs in C, C++
//! and Rust, not optimised and optimised, with plugins that follow each other at one address, and
//! with their debug information elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::sandbox::{Run, Sandbox, have, setup};
use crate::trace::dump;

/// The names of a stack up to `main`, innermost first; those of inlined functions with a star.
fn names(stack: &[Value]) -> String {
    let mut names = Vec::new();
    for frame in stack {
        let name = frame["function"].as_str().unwrap_or("?");
        let star = if frame["inlined"].as_bool().unwrap_or(false) { "*" } else { "" };
        names.push(format!("{name}{star}"));
        if name == "main" || name.ends_with("::main") {
            break;
        }
    }
    names.join(" < ")
}

/// The stacks of the odd sizes from 2000 on, each of which has one, and how often each came.
fn stacks(run: &Run, options: &[&str]) -> BTreeMap<u64, (String, usize)> {
    stacks_of(&run.trace().read(&[&["--stacks", "--format", "jsonl"], options].concat()))
}

fn stacks_of(text: &str) -> BTreeMap<u64, (String, usize)> {
    let mut stacks = BTreeMap::new();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let Some(size) = row["size"].as_u64() else { continue };
        if !(2000..5000).contains(&size) || size % 2 == 0 || row["op"] != "malloc" {
            continue;
        }
        let names = names(row["stack"].as_array().unwrap());
        let entry = stacks.entry(size).or_insert((names.clone(), 0));
        assert_eq!(entry.0, names, "{size}");
        entry.1 += 1;
    }
    stacks
}

/// Fails unless these are the stacks, each as often as it says.
fn assert_stacks(run: &Run, options: &[&str], expected: &[(u64, &str, usize)]) {
    let expected: BTreeMap<_, _> =
        expected.iter().map(|&(size, names, times)| (size, (names.to_owned(), times))).collect();
    assert_eq!(stacks(run, options), expected, "{options:?}");
}

fn traced(sandbox: &Sandbox, program: &Path, arguments: &[&Path]) -> Run {
    let host = sandbox.command(program).args(arguments).env("MALLOOK_STACK", "full");
    host.run().expect(0)
}

/// The call stacks of a C program at this optimisation.
fn of_c(optimised: bool) -> Vec<(u64, &'static str, usize)> {
    let tail = "ask < tail_callee < tail_caller < main";
    vec![
        (2001, "ask < inlined* < with_inlined < main", 3),
        (2003, "ask < recursive < recursive < recursive < recursive < main", 3),
        (2005, if optimised { "ask < tail_callee < main" } else { tail }, 3),
        (2007, "ask < with_alloca < main", 3),
        (2009, "ask < aligned < main", 3),
    ]
}

fn build(sandbox: &Sandbox, level: &str) -> PathBuf {
    sandbox.build("special/known.c", "known", &[level, "-fomit-frame-pointer", "-ldl"])
}

#[test]
fn c() {
    if !have("c", &["gcc"]) {
        return;
    }
    for level in ["-O0", "-O1", "-O2", "-O3"] {
        let sandbox = setup("named_c");
        let program = build(&sandbox, level);
        let run = traced(&sandbox, &program, &[]);
        assert_stacks(&run, &[], &of_c(level == "-O2" || level == "-O3"));
    }
}

/// The loader tells the segments of a program apart where there are pages between them that belong to
/// none; the program is one module, known by its build ID.
#[test]
fn a_program_with_gaps_between_its_segments() {
    if !have("a_program_with_gaps_between_its_segments", &["gcc"]) {
        return;
    }
    let sandbox = setup("named_gaps");
    let apart = ["-O2", "-ldl", "-Wl,--section-start=.rodata=0x80000", "-Wl,--build-id"];
    let program = sandbox.build("special/known.c", "known", &apart);
    let run = traced(&sandbox, &program, &[]);
    assert_stacks(&run, &[], &of_c(true));
    let another = [&apart[..], &["-Wl,--build-id=0x11"]].concat();
    sandbox.build("special/known.c", "known", &another);
    let output = run.trace().dump(&["--stacks", "--format", "jsonl"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("is another build: build ID 11, expected "), "{said}");
    assert!(!String::from_utf8(output.stdout).unwrap().contains("with_alloca"));
}

/// One is unloaded, and another one is loaded in its place, again and again.
#[test]
fn plugins_at_one_address() {
    if !have("plugins_at_one_address", &["gcc"]) {
        return;
    }
    for level in ["-O0", "-O2"] {
        let sandbox = setup("named_plugins");
        let program = build(&sandbox, level);
        let plugin = |name: &str, inner: &str| {
            let define = format!("-DINNER={inner}");
            sandbox.build("special/known_plugin.c", name, &[level, "-shared", "-fPIC", &define])
        };
        let plugins = [plugin("one.so", "of_one"), plugin("two.so", "of_two")];
        let run = traced(&sandbox, &program, &[&plugins[0], &plugins[1]]);
        let mut places = run.said().remove("plugin").unwrap();
        assert_eq!(places.len(), 6);
        places.dedup();
        assert_eq!(places.len(), 1, "the loader chose other addresses");
        let mut expected = of_c(level == "-O2");
        expected.push((2011, "of_one < enter < of_plugin < main", 9));
        expected.push((2013, "of_two < enter < of_plugin < main", 9));
        assert_stacks(&run, &[], &expected);
    }
}

/// Debug information in a file of its own, found by its name and by the build ID; and nowhere.
#[test]
fn separate_debug_information() {
    if !have("separate_debug_information", &["gcc", "objcopy", "readelf"]) {
        return;
    }
    let tool = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for by_id in [false, true] {
        let sandbox = setup("named_separate");
        let source = setup("named_source");
        let unstripped = build(&source, "-O2");
        let program = sandbox.path().join("known");
        let debug = sandbox.path().join("known.debug");
        tool(Command::new("objcopy").arg("--only-keep-debug").args([&unstripped, &debug]));
        let mut strip = Command::new("objcopy");
        strip.arg("--strip-all").current_dir(sandbox.path());
        if !by_id {
            strip.arg("--add-gnu-debuglink=known.debug");
        }
        tool(strip.args([&unstripped, &program]));
        let run = traced(&sandbox, &program, &[]);
        let mut options = vec![];
        let directory = sandbox.path().join("by-id");
        if by_id {
            let notes = tool(Command::new("readelf").arg("-n").arg(&program));
            let id = notes.split("Build ID: ").nth(1).unwrap().split_whitespace().next().unwrap();
            let place = directory.join(".build-id").join(&id[..2]);
            std::fs::create_dir_all(&place).unwrap();
            std::fs::rename(&debug, place.join(format!("{}.debug", &id[2..]))).unwrap();
            options = vec!["--debug-dir", directory.to_str().unwrap()];
        }
        drop(source);
        assert_stacks(&run, &options, &of_c(true));
        // Without it there are no names of the program's own functions, and no wrong ones.
        std::fs::rename(&debug, sandbox.path().join("elsewhere")).ok();
        let output = dump(&["--stacks", "--format", "jsonl"], &[run.trace()]);
        assert!(String::from_utf8_lossy(&output.stderr).contains("has no names"), "{output:?}");
        let bare = stacks_of(&String::from_utf8(output.stdout).unwrap());
        let own = of_c(true);
        assert_eq!(bare.len(), own.len());
        for (names, _) in bare.values() {
            assert!(names.starts_with("? < ? < ?"), "{names}");
        }
    }
}

/// Debug information that programs share, as `dwz` puts it into a file of its own.
#[test]
fn shared_debug_information() {
    if !have("shared_debug_information", &["gcc", "dwz"]) {
        return;
    }
    let sandbox = setup("named_shared");
    let program = build(&sandbox, "-O2");
    for copy in ["first", "second"] {
        std::fs::copy(&program, sandbox.path().join(copy)).unwrap();
    }
    let mut dwz = Command::new("dwz");
    dwz.current_dir(sandbox.path()).args(["-m", "shared", "-M", "shared", "first", "second"]);
    let output = dwz.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(sandbox.path().join("shared").exists());
    let run = traced(&sandbox, &sandbox.path().join("first"), &[]);
    assert_stacks(&run, &[], &of_c(true));
}

#[test]
fn cpp() {
    if !have("cpp", &["g++"]) {
        return;
    }
    for level in ["-O0", "-O2"] {
        let sandbox = setup("named_cpp");
        let program = sandbox.build("special/known.cc", "known", &[level]);
        let run = traced(&sandbox, &program, &[]);
        let expected = [
            (3001, "shop::ask < shop::generic<unsigned short> < main", 3),
            (3003, "shop::ask < shop::Square<3>::draw < main", 3),
            // While the exception flies: the function that has thrown is still there.
            (3005, "shop::ask < shop::Guard::~Guard < shop::throws < shop::catches < main", 3),
            (3007, "shop::ask < shop::catches < main", 3),
        ];
        assert_stacks(&run, &[], &expected);
    }
}

#[test]
fn rust() {
    if !have("rust", &["rustc"]) {
        return;
    }
    for level in ["0", "2"] {
        let sandbox = setup("named_rust");
        let program = sandbox.path().join("known");
        let source = crate::artifacts::tests().join("programs/special/known.rs");
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2024", "-g", "-C", &format!("opt-level={level}"), "-o"]);
        let output = rustc.arg(&program).arg(source).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let run = traced(&sandbox, &program, &[]);
        let star = if level == "0" { "" } else { "*" };
        let vector = "<alloc::vec::Vec<usize> as known::inside::Asks>::asks";
        let each =
            "<core::slice::iter::Iter<T> as core::iter::traits::iterator::Iterator>::for_each";
        let closure = format!("known::ask < known::main::{{{{closure}}}}{star}");
        let of_vector = format!("known::ask < {vector}::{{{{closure}}}}{star} < {each}{star}");
        let expected = [
            (4001, &*format!("{closure} < known::generic < known::main"), 3),
            (4003, &*format!("{of_vector} < {vector} < known::main"), 3),
        ];
        assert_stacks(&run, &[], &expected);
    }
}
