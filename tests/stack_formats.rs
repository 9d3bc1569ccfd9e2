//! Call stacks in the output formats, against golden files made from a checked-in trace, which later
//! versions have to read for ever; the names that travel with a trace; and what is said where there
//! are no stacks.
//!
//! `MALLOOK_BLESS=1` writes the golden files anew, and the trace where there is none.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mallook_format::{Kind, SiteKind};

use crate::artifacts::{artifacts, tests};
use crate::fuzz::encode::{Encoder, Module, Moment, Place, Process, Way};
use crate::sandbox::{have, setup, skip};
use crate::trace::Trace;

const BIAS: u64 = 0x5555_5555_4000;
const LIBRARY: u64 = 0x7f00_0000_0000;

fn golden(extension: &str) -> PathBuf {
    tests().join("golden").join(format!("v1-stacks.{extension}"))
}

fn blessing() -> bool {
    std::env::var_os("MALLOOK_BLESS").is_some()
}

/// A process with a program, a library, and code of its own making.
fn process() -> Process {
    let module = |path: &[u8], build_id: &[u8], start| Module {
        path: path.to_vec(),
        build_id: build_id.to_vec(),
        start,
        pages: 16,
        bias: start,
        generation: 0,
    };
    let long = b"/opt/golden/a library, with a \"name\" of many words\x1b[2J.so";
    let modules = vec![
        module(b"", b"\x01\x02\x03\x04\x05\x06\x07\x08", BIAS),
        module(long, &[7; 20], LIBRARY),
    ];
    let place = |module: u32, offset: u64, kind: SiteKind| {
        let start = [0x1234_0000, BIAS, LIBRARY][module as usize];
        Place { address: start + offset, kind: kind as u8, module }
    };
    let places = [
        (16, place(1, 0x1000, SiteKind::Outermost)),
        (17, place(1, 0x1150, SiteKind::Call)),
        (18, place(1, 0x1190, SiteKind::Call)),
        (19, place(2, 0x2000, SiteKind::Call)),
        (20, place(2, 0x2100, SiteKind::Call)),
        (21, place(2, 0x2200, SiteKind::Signal)),
        (22, place(0, 0x10, SiteKind::Guessed)),
        (23, place(2, 0x2300, SiteKind::NoRule)),
        (24, place(2, 0x2fff, SiteKind::Call)),
        (25, place(1, 0x1200, SiteKind::Call)),
        // Outside of its module.
        (26, place(1, 0x99_0000, SiteKind::Call)),
    ];
    Process { modules, places: BTreeMap::from(places), ..Process::default() }
}

/// Calls with every kind of stack.
fn moments() -> Vec<Moment> {
    let call = |thread, kind: Kind, number: u64, size, stack: &[u32]| Moment {
        thread,
        kind: kind as u8,
        address: if number == 0 { 0 } else { 0x10_0000 + number * 0x100 },
        size,
        aux: 0,
        stack: stack.to_vec(),
        way: Way::default(),
    };
    let deep: Vec<u32> = [16, 17].into_iter().chain([18; 30]).collect();
    let cut: Vec<u32> = [1].into_iter().chain([18; 12]).collect();
    let mut all = vec![
        call(1, Kind::Malloc, 1, 10_001, &[16, 17]),
        call(1, Kind::Malloc, 2, 10_003, &[16, 17, 18]),
        call(1, Kind::Calloc, 3, 10_005, &[16, 17, 18]),
        call(2, Kind::Malloc, 4, 10_007, &[16, 19, 20]),
        call(1, Kind::Free, 2, 0, &[]),
        call(1, Kind::Malloc, 5, 10_009, &[16, 17, 21, 25, 19]),
        call(1, Kind::Malloc, 6, 10_011, &deep),
        call(1, Kind::Malloc, 7, 10_013, &[16, 22, 22, 19]),
        call(2, Kind::Malloc, 8, 10_015, &[23, 19]),
        call(2, Kind::Malloc, 9, 10_017, &[24]),
        call(2, Kind::Malloc, 10, 10_019, &cut),
        call(2, Kind::Malloc, 11, 10_021, &[2, 19]),
        call(2, Kind::Malloc, 12, 10_023, &[16, 3, 26]),
        call(2, Kind::Free, 9, 0, &[16, 17]),
        call(2, Kind::Malloc, 13, 10_025, &[]),
        call(2, Kind::ReallocDeath, 13, 10_027, &[]),
        call(2, Kind::Realloc, 14, 10_027, &[16, 17, 25]),
        call(2, Kind::ReallocDeath, 14, 10_029, &[16, 17]),
        call(2, Kind::Realloc, 0, 10_029, &[]),
        call(2, Kind::Malloc, 0, 10_031, &[16, 17]),
    ];
    all.push(Moment { aux: 1, ..call(2, Kind::Realloc, 15, 10_033, &[16, 17]) });
    all.push(Moment { aux: 6, ..call(2, Kind::AlignedAlloc, 16, 10_035, &[16, 17]) });
    let way = Way { apart: true, ..Way::default() };
    all.push(Moment { way, ..call(1, Kind::Malloc, 17, 10_037, &[16, 17, 18, 19]) });
    all
}

/// A hundred allocations from each of 200 stacks: more than a block has numbers for.
fn many() -> Vec<Moment> {
    let stack = |number: u64| [16, 17, 18, 18 + (number % 3) as u32, 16 + (number % 10) as u32];
    let moment = |number: u64| Moment {
        thread: 1 + (number % 2) as u32,
        kind: Kind::Malloc as u8,
        address: 0x20_0000 + number * 16,
        size: 8,
        aux: 0,
        stack: stack(number * number % 211).repeat(1 + (number % 7) as usize),
        way: Way::default(),
    };
    (0..2_000).map(moment).collect()
}

fn golden_trace() -> Trace {
    let path = golden("trace");
    if blessing() && !path.exists() {
        fs::write(&path, Encoder::encode(process(), &moments()).0).unwrap();
    }
    Trace::new(path)
}

fn assert_golden(extension: &str, found: &str) {
    if blessing() {
        fs::write(golden(extension), found).unwrap();
    }
    let expected = fs::read_to_string(golden(extension)).unwrap();
    assert_eq!(found, expected, "{extension}; MALLOOK_BLESS=1 accepts what is found");
}

#[test]
fn golden_files() {
    let trace = golden_trace();
    let sandbox = setup("stacks");
    let table = sandbox.path().join("table.csv");
    for format in ["text", "jsonl"] {
        assert_golden(format, &trace.read(&["--stacks", "--format", format]));
    }
    let option = format!("--stacks-table={}", table.display());
    assert_golden("csv", &trace.read(&["--stacks", "--format", "csv", &option]));
    assert_golden("table.csv", &fs::read_to_string(&table).unwrap());
    assert_golden("folded", &trace.read(&["--format", "folded", "--cost", "bytes"]));
    let info = trace.read(&["--info"]);
    let stacks = info.lines().filter(|line| line.contains("stacks") && !line.starts_with("file: "));
    assert_golden("info", &stacks.map(|line| format!("{line}\n")).collect::<String>());
    trace.check();
}

/// Nothing but the last column is new.
#[test]
fn other_columns_are_those_of_a_plain_reading() {
    let trace = golden_trace();
    for rows in ["calls", "all"] {
        let plain = trace.read(&["--format", "csv", "--events", rows]);
        let stacked = trace.read(&["--format", "csv", "--events", rows, "--stacks"]);
        for (plain, stacked) in plain.lines().zip(stacked.lines()) {
            assert_eq!(stacked.rsplit_once(',').unwrap().0, plain);
        }
        assert_eq!(plain.lines().count(), stacked.lines().count());
    }
    // An alignment is one, and a reallocation of NULL is one, whatever number of a stack they have.
    let rows = trace.rows();
    let of = |size| rows.iter().find(|row| row.size == Some(size)).unwrap();
    assert_eq!(of(10_035).alignment, Some(64));
    assert_eq!((of(10_033).old_address, of(10_027).old_address), (Some(0), of(10_025).address));
    assert!(rows.iter().filter(|row| row.op == "malloc").all(|row| row.alignment.is_none()));
}

/// The objects say what the table says.
#[test]
fn tables_agree_with_jsonl() {
    let sandbox = setup("tables");
    let many = Encoder::encode(process(), &many()).0;
    for trace in [golden_trace(), Trace::new(sandbox.file("t.1.1.0", many))] {
        let table = sandbox.path().join("table");
        let option = format!("--stacks-table={}", table.display());
        let csv = trace.read(&["--stacks", "--no-symbols", "--format", "csv", &option]);
        let jsonl = trace.read(&["--stacks", "--no-symbols", "--format", "jsonl"]);
        let mut stacks = BTreeMap::<u64, Vec<(String, String)>>::new();
        for row in fs::read_to_string(&table).unwrap().lines().skip(1) {
            let (number, rest) = row.split_once(',').unwrap();
            let kind = rest.split(',').nth(1).unwrap().to_owned();
            let address = row.rsplit(',').next().unwrap().to_owned();
            stacks.entry(number.parse().unwrap()).or_default().push((kind, address));
        }
        let mut seen = std::collections::BTreeSet::new();
        for (row, object) in csv.lines().skip(1).zip(jsonl.lines()) {
            let number: u64 = row.rsplit(',').next().unwrap().parse().unwrap();
            let object: serde_json::Value = serde_json::from_str(object).unwrap();
            let text = |frame: &serde_json::Value, key: &str, other: &str| {
                frame[key].as_str().unwrap_or(other).to_owned()
            };
            let frames = object["stack"].as_array().map(|frames| {
                let frame = |it| (text(it, "kind", ""), text(it, "address", "0x0"));
                frames.iter().map(frame).collect::<Vec<_>>()
            });
            assert_eq!(frames.as_ref(), stacks.get(&number), "{row}");
            seen.insert(number);
        }
        seen.remove(&0);
        assert!(seen.iter().eq(stacks.keys()), "a stack of each row, and no other");
        assert!(stacks.keys().copied().eq(1..=stacks.len() as u64));
    }
}

#[test]
fn every_reader_finds_the_same_types() {
    let test = "stack_formats::every_reader_finds_the_same_types";
    if !have(test, &["python3"]) {
        return;
    }
    let load = tests().join("programs/special/load.py");
    let files = [golden("csv"), golden("table.csv")];
    let sandbox = setup("types");
    let output = sandbox.command("python3").arg(load).args(files).run_alone();
    assert!(output.status.success(), "{output:?}");
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        skip(test, line.strip_suffix(" MISSING").unwrap_or(line));
    }
}

/// The sums of all costs.
#[test]
fn costs() {
    let trace = golden_trace();
    let sum = |cost: &str| {
        let text = trace.read(&["--format", "folded", "--cost", cost]);
        let cost = |line: &str| {
            let (frames, cost) = line.rsplit_once(' ').unwrap();
            assert!(!frames.is_empty() && !frames.contains(|it: char| it.is_whitespace()));
            cost.parse::<u64>().unwrap()
        };
        text.lines().map(cost).sum::<u64>()
    };
    let rows = trace.rows();
    let born = |row: &&crate::trace::Row| row.op != "free" && row.address.is_some_and(|it| it != 0);
    let bytes = rows.iter().filter(born).filter_map(|row| row.size).sum::<u64>();
    assert_eq!(sum("allocations"), rows.iter().filter(born).count() as u64);
    assert_eq!(sum("bytes"), bytes);
    // Two were freed, and one was moved.
    let live = bytes - 10_003 - 10_017 - 10_025;
    assert_eq!((sum("live"), sum("peak")), (live, live));
    // What was moved at once is grown.
    assert_eq!(sum("temporary"), 0);
    let of_malloc = trace.read(&["--format", "folded", "--op", "calloc"]);
    assert_eq!(of_malloc.lines().count(), 1);
}

#[test]
fn without_stacks_it_is_said() {
    let trace = Trace::new(tests().join("golden/v1.trace"));
    let plain = trace.dump(&[]);
    let stacked = trace.dump(&["--stacks"]);
    assert_eq!(stacked.stdout, plain.stdout);
    let said = String::from_utf8(stacked.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(": no call stacks were recorded; mallook run --stacks records them"));
    for (arguments, expected) in [
        (&["--stacks", "--format", "sizes"][..], "the format sizes has no place for them"),
        (&["--stacks", "--stacks-table", "x"], "--stacks-table goes with --format csv alone"),
        (&["--cost", "peak"], "--cost goes with --format folded alone"),
        (&["--follow", "--format", "csv", "--stacks"], "--stacks: the stacks of csv"),
        (&["--follow", "--format", "folded"], "--format folded"),
    ] {
        let output = trace.dump(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}

/// Names go with the trace to a machine that has no program.
#[test]
fn names_travel_with_the_trace() {
    if !have("names_travel_with_the_trace", &["nm", "readelf"]) {
        return;
    }
    let sandbox = setup("names");
    let program = sandbox.path().join("program");
    fs::copy(artifacts().program("pairs"), &program).unwrap();
    let said = |tool: &str, option: &str| {
        let output = Command::new(tool).arg(option).arg(&program).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let main = said("nm", "--defined-only");
    let main = main.lines().find_map(|line| line.strip_suffix(" T main")).unwrap();
    let offset = u64::from_str_radix(main, 16).unwrap() + 4;
    let notes = said("readelf", "-n");
    let id = notes.lines().find_map(|line| line.trim().strip_prefix("Build ID: "));
    let byte = |at| u8::from_str_radix(&id.unwrap()[at..at + 2], 16).unwrap();
    let build_id: Vec<u8> = (0..id.map_or(0, str::len)).step_by(2).map(byte).collect();
    let module = Module {
        path: program.to_str().unwrap().as_bytes().to_vec(),
        build_id,
        start: BIAS,
        pages: 64,
        bias: BIAS,
        generation: 0,
    };
    let place = Place { address: BIAS + offset, kind: SiteKind::Outermost as u8, module: 1 };
    let process = Process {
        modules: vec![module],
        places: BTreeMap::from([(16, place)]),
        ..Process::default()
    };
    let moment = Moment {
        thread: 1,
        kind: Kind::Malloc as u8,
        address: 0x1000,
        size: 20_001,
        stack: vec![16],
        ..Moment::default()
    };
    let trace = Trace::new(sandbox.file("t.1.1.0", Encoder::encode(process, &[moment]).0));
    let named = trace.read(&["--stacks"]);
    assert!(named.contains("        main at "), "{named}");
    assert!(named.contains("pairs.c:"), "{named}");
    let symbolize = |arguments: &[&str]| {
        let mut mallook = Command::new(&artifacts().mallook);
        mallook.arg("symbolize").args(arguments).arg(trace.path()).output().unwrap()
    };
    let output = symbolize(&[]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with("t.1.1.0.names: 1 of 1 call sites in 1 modules have names\n"), "{text}");
    fs::remove_file(&program).unwrap();
    assert_eq!(trace.read(&["--stacks"]), named);
    // It is no trace, and no complaint is made of it.
    let all = |pattern: &str| {
        let script = format!("{} info {pattern}", artifacts().mallook.display());
        sandbox.command("sh").args(["-c", &script]).run_alone()
    };
    let output = all("t.*");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stderr, b"");

    fs::remove_file(sandbox.path().join("t.1.1.0.names")).unwrap();
    let without = trace.dump(&["--stacks"]);
    let said = String::from_utf8(without.stderr).unwrap();
    assert!(said.contains("no names of functions: cannot open "), "{said}");
    let frames = String::from_utf8(without.stdout).unwrap();
    assert!(frames.contains(&format!("        program+{offset:#x} in ")), "{frames}");
    let other = sandbox.file("other", "text");
    let output = symbolize(&["--output", other.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(fs::read(Path::new(&other)).unwrap(), b"text");
}
