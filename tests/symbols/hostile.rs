//! Damaged files: names may be missing, but nothing panics, hangs or takes more memory than stated.

use std::fs;

use mallook_reader::symbol::{
    CodeAddress, Frame, Location, Module, Names, NamesFile, NamesWriter, Resolved, State,
    SymbolOptions,
};

use super::{called, compile, functions, have_compilers, module, names, range, run, start};
use crate::counting::peak;
use crate::sandbox::{Random, number, setup};

/// Memory that names of a small program may take.
const MOST: usize = 64 << 20;

fn mutate(random: &mut Random, bytes: &mut Vec<u8>, from: usize) {
    for _ in 0..=random.below(6) {
        let at = from + random.below((bytes.len() - from) as u64) as usize;
        bytes[at] = match random.below(4) {
            0 => 0,
            1 => 0xff,
            2 => bytes[at] ^ 1 << random.below(8),
            _ => random.below(256) as u8,
        };
    }
    if random.below(16) == 0 {
        bytes.truncate(random.below(bytes.len() as u64) as usize);
    }
}

#[test]
fn damaged_programs() {
    if !have_compilers("hostile::damaged_programs") {
        return;
    }
    let sandbox = setup("damaged");
    let sources = [("names.cc", "-gdwarf-5"), ("names.c", "-gdwarf-4"), ("names.c", "-gz=zlib")];
    let mut random = Random::new();
    for (source, option) in sources {
        let file = compile(&sandbox, source, "whole", &["-O2", option, "-Wl,--build-id=none"]);
        let addresses: Vec<_> = functions(&file).iter().map(|(_, start, _)| start + 3).collect();
        let whole = fs::read(&file).unwrap();
        let module = Module { path: sandbox.path().join("damaged"), ..module(&file) };
        // Most of the file is debug information; the first pages are the headers.
        for round in 0..number("MALLOOK_MUTATIONS", 1_500) {
            let mut bytes = whole.clone();
            let from = if round % 4 == 0 { 0 } else { whole.len() / 3 };
            mutate(&mut random, &mut bytes, from);
            fs::write(&module.path, &bytes).unwrap();
            let memory = peak(|| {
                let found = names(&SymbolOptions::default(), &module, &addresses);
                assert_eq!(found.resolved.len(), addresses.len());
            });
            assert!(memory < MOST, "{memory} bytes in round {round}");
        }
    }
}

/// Debug information whose inlined functions are nested a million deep would take the stack.
#[test]
fn deep_debug_information() {
    if !have_compilers("hostile::deep_debug_information") {
        return;
    }
    // In DWARF 4: abbreviations of a unit, a function, and an inlined one without attributes.
    refused(
        "deep",
        "nested deeper than 512",
        "
        .section .debug_abbrev
        .byte 1, 0x11, 1, 0x11, 1, 0x12, 7, 0, 0
        .byte 2, 0x2e, 1, 0x11, 1, 0x12, 7, 0, 0
        .byte 3, 0x1d, 1, 0, 0, 0
        .section .debug_info
        .long after - start
start:  .short 4
        .long .debug_abbrev
        .byte 8, 1
        .quad code, 2
        .byte 2
        .quad code, 2
        .fill 1000000, 1, 3
        .fill 1000002, 1, 0
after:
",
    );
}

/// A directory of a megabyte and three hundred files in it.
#[test]
fn paths_that_explode() {
    if !have_compilers("hostile::paths_that_explode") {
        return;
    }
    refused(
        "paths",
        "paths of more than",
        "
        .section .debug_abbrev
        .byte 1, 0x11, 0, 0x11, 1, 0x12, 7, 0x1b, 8, 0x10, 0x17, 0, 0, 0
        .section .debug_info
        .long after - start
start:  .short 4
        .long .debug_abbrev
        .byte 8, 1
        .quad code, 2
        .fill 1000000, 1, 'd'
        .byte 0
        .long .debug_line
after:
        .section .debug_line
        .long end - begin
begin:  .short 4
        .long program - header
header: .byte 1, 1, 1, 0, 1, 1, 0
        .rept 300
        .byte 'f', 0, 0, 0, 0
        .endr
        .byte 0
program:
end:
",
    );
}

/// The debug information is not read; the function is named all the same.
fn refused(name: &str, why: &str, debug_information: &str) {
    let sandbox = setup(name);
    let code = "
        .text
        .globl code
        .type code, @function
code:   nop
        ret
        .size code, . - code
";
    let source = sandbox.file("code.s", [code, debug_information].concat());
    let file = sandbox.path().join("code.so");
    let options = ["-shared", "-nostdlib", "-o"].map(AsRef::as_ref);
    run("gcc", [&options[..], &[file.as_os_str(), source.as_os_str()]].concat());
    let address = start(&file, "code");
    let memory = peak(|| {
        let found = names(&SymbolOptions::default(), &module(&file), &[address]);
        assert_eq!(called(&found), [["code"]]);
        assert!(matches!(found.state, State::Functions { .. }), "{}", found.state);
        let said = found.rejected[0].to_string();
        assert!(said.contains(why), "{said}");
    });
    assert!(memory < MOST, "{memory} bytes");
}

/// A file of names with all that there is.
fn file_of_names() -> (Vec<u8>, Module, [CodeAddress; 2]) {
    let module = Module {
        path: "/opt/größe".into(),
        build_id: mallook_reader::symbol::BuildId::new(&[1, 2, 3]),
        bias: 0x1000,
        ranges: range(0x1000..0x9000),
        generation: 0,
        seen: None,
    };
    let location = Location { file: "/src/a.c".into(), line: Some(7), column: Some(3) };
    let function = Some("f<\u{1b}\"\\>".into());
    let inner = Frame { function, offset: None, location: Some(location), inlined: true };
    let outer = Frame { function: Some("g".into()), offset: Some(5), ..Frame::default() };
    let frames = vec![inner, outer];
    let place = |offset| Resolved { frames: frames.clone(), offset };
    let addresses = [CodeAddress::returned_to(0x2000), CodeAddress::interrupted(0x3000)];
    let names = Names {
        state: State::Lines { file: "/opt/größe".into() },
        unverified: true,
        rejected: Vec::new(),
        resolved: vec![place(0x1000), place(0x2000)],
    };
    let mut writer = NamesWriter::new(Vec::new(), "trace").unwrap();
    writer.module(&module, &addresses, &names).unwrap();
    let text = writer.finish().unwrap();
    assert_eq!(NamesFile::read(&text[..]).unwrap().symbolize(&module, &addresses), Some(names));
    (text, module, addresses)
}

#[test]
fn damaged_files_of_names() {
    let (text, module, addresses) = file_of_names();
    let mut random = Random::new();
    for _ in 0..number("MALLOOK_MUTATIONS", 30_000) {
        let mut bytes = text.clone();
        mutate(&mut random, &mut bytes, 0);
        let memory = peak(|| {
            if let Ok(file) = NamesFile::read(&bytes[..]) {
                let _ = (file.damage(), file.symbolize(&module, &addresses));
            }
        });
        assert!(memory < 1 << 20, "{memory} bytes");
    }
}

#[test]
fn files_of_names_that_are_none() {
    let (text, module, addresses) = file_of_names();
    let error = |text: &[u8]| NamesFile::read(text).unwrap_err().to_string();
    for nonsense in [&b""[..], b"\n", b"{}", b"[1]", b"{\"mallook_symbols\":0}", b"MALLOOK"] {
        assert!(error(nonsense).contains("no file of names"));
    }
    assert!(error(b"{\"mallook_symbols\":2}\n").contains("version 2, expected at most 1"));
    // Deep, long, and of no module.
    let first = b"{\"mallook_symbols\":1}\n".to_vec();
    let deep = [&first[..], b"{\"x\":", &b"[".repeat(100_000), b"\n"].concat();
    let long = [&first[..], b"{\"x\":\"", &b"y".repeat(9 << 20), b"\"}\n"].concat();
    let stray = [&first[..], b"{\"at\":\"0x10\",\"frames\":[{}]}\n"].concat();
    for (text, said) in [(deep, "EOF"), (long, "longer than"), (stray, "no module")] {
        let mut damage = String::new();
        let memory = peak(|| damage = NamesFile::read(&text[..]).unwrap().damage().unwrap());
        assert!(damage.contains(said) && damage.contains("line 2"), "{damage}");
        assert!(memory < 32 << 20, "{memory} bytes");
    }
    // Lines and members of a later program are skipped.
    let text = String::from_utf8(text).unwrap();
    let later = text
        .replace("{\"at\"", "{\"new\":{\"a\":[1]},\"at\"")
        .replace("{\"end\"", "{\"line\":1}\n{\"end\"");
    let file = NamesFile::read(later.as_bytes()).unwrap();
    assert_eq!(file.damage(), None);
    assert!(!file.symbolize(&module, &addresses).unwrap().resolved[1].frames.is_empty());
    // Fewer lines than were written.
    let mut lines: Vec<_> = text.lines().collect();
    lines.remove(2);
    let fewer = lines.join("\n") + "\n";
    let damage = NamesFile::read(fewer.as_bytes()).unwrap().damage().unwrap();
    assert!(damage.contains("1 addresses, expected 1 and 2"), "{damage}");
}
