//! Hostile traces: mutated ones, header included, go through the reader, which neither panics nor
//! hangs, prints no more events than there is room for, and allocates no more than a stated bound.

use std::panic::{AssertUnwindSafe, catch_unwind};

use mallook_format::{Kind, Slot};
use mallook_reader::export::Format;

use crate::artifacts::tests;
use crate::counting::peak;
use crate::fuzz::encode::{Encoder, Moment, Process};
use crate::fuzz::{expand, read, shorten};
use crate::hostile_pauses::pauses;
use crate::invented::{invented, slot};
use crate::mutation::mutate;
use crate::sandbox::{Random, number, setup};
use crate::trace::Trace;

const BLOCK: usize = 16_384;
const FORMATS: [Format; 4] = [Format::Text, Format::Csv, Format::Jsonl, Format::Sizes];
/// Memory that the reader may hold for a trace: a megabyte, and 32 times the trace's size.
const MEGABYTE: usize = 1 << 20;
const BYTES_PER_BYTE: usize = 32;

/// Reads within the stated bound and without a panic, or keeps the trace and fails.
fn bounded(bytes: &[u8], formats: &[Format], name: &str) -> usize {
    let mut events = Ok(0);
    let held = peak(|| events = catch_unwind(AssertUnwindSafe(|| read(bytes, formats))));
    let bound = MEGABYTE + BYTES_PER_BYTE * bytes.len();
    match events {
        Ok(events) if held <= bound => events,
        _ => {
            let path = std::env::temp_dir().join(format!("mallook-hostile-{name}"));
            std::fs::write(&path, bytes).unwrap();
            panic!("{events:?}, {held} bytes held of {bound}: see {}", path.display());
        }
    }
}

/// A small ring that has gone round.
fn ring() -> Vec<u8> {
    let sandbox = setup("hostile");
    let run = sandbox.program("pairs").args(["1", "3000"]).ring("80K").run().expect(0);
    std::fs::read(run.trace().path()).unwrap()
}

/// A small ring with call stacks, some of which have lost their first definition.
fn stacks_in_a_ring() -> Vec<u8> {
    let process = Process { ring: Some(2), ..Process::default() };
    let moment = |number: u64| Moment {
        thread: 1,
        kind: Kind::Malloc as u8,
        address: 0x10_0000 + number * 16,
        size: number,
        stack: (16..17 + (number % 150) as u32).collect(),
        ..Moment::default()
    };
    Encoder::encode(process, &(0..1_500).map(moment).collect::<Vec<_>>()).0
}

/// The number of traces is `MALLOOK_MUTATIONS`, 60 000 if that is not set.
#[test]
fn mutated_traces() {
    let full = std::fs::read(tests().join("golden/v1.trace")).unwrap();
    let ring = ring();
    let stacks = std::fs::read(tests().join("golden/v1-stacks.trace")).unwrap();
    let (stacks_in_a_ring, pauses) = (stacks_in_a_ring(), pauses());
    for base in [&full, &ring, &stacks, &stacks_in_a_ring, &pauses] {
        assert!(read(base, &[Format::Csv]) >= 20, "the base trace is readable");
    }
    let mutations = number("MALLOOK_MUTATIONS", 60_000);
    let work = &|seed: u64| {
        let mut random = Random::with_seed(seed);
        let mut readable = 0;
        for turn in 0..mutations.div_ceil(2) {
            let base = match turn % 9 {
                0 => &ring,
                1..=3 => &stacks,
                4 => &stacks_in_a_ring,
                5 | 6 => &pauses,
                _ => &full,
            };
            let mut bytes = base.clone();
            mutate(&mut random, &mut bytes);
            let format = FORMATS[turn % FORMATS.len()];
            let events = bounded(&bytes, &[format], &format!("{seed}-{turn}"));
            readable += usize::from(events > 0);
        }
        readable
    };
    let seed = Random::new().word();
    let readable: usize = std::thread::scope(|scope| {
        let halves = [seed, !seed].map(|seed| scope.spawn(move || work(seed)));
        halves.into_iter().map(|half| half.join().unwrap()).sum()
    });
    // Mutations that break the header at once prove little: most must not.
    assert!(readable > mutations / 2, "{readable} of {mutations} were readable");
}

/// The corpus that coverage-guided fuzzing has collected; reading it needs no nightly toolchain.
#[test]
fn the_corpus_of_the_fuzz_target() {
    let mut readable = 0;
    for seed in std::fs::read_dir(tests().join("../reader/fuzz/corpus/decode")).unwrap() {
        let seed = seed.unwrap();
        let short = std::fs::read(seed.path()).unwrap();
        let trace = expand(&short);
        let kept = shorten(&trace);
        assert_eq!(kept, short[..kept.len()], "{seed:?}: the trace has every byte of its seed");
        readable += usize::from(bounded(&trace, &FORMATS, &seed.file_name().to_string_lossy()) > 0);
    }
    assert!(readable > 50, "only {readable} seeds show events");
}

/// The bound that the library states for any trace.
fn stated_bound(bytes: &[u8]) -> usize {
    (32 << 20) + 4 * bytes.len()
}

/// A trace in which every second slot is another thread that begins a reallocation, and one whose
/// blocks all last from the first to the last moment.
#[test]
fn memory_is_bounded_by_the_size_of_the_file() {
    let threads = invented(
        1_500,
        |block| block as u64,
        |block| {
            let pair = |i: usize| {
                let number = (block * 500 + i) as u64;
                [
                    slot(Kind::Thread, number, 0, 0),
                    slot(Kind::ReallocDeath, 0x1000 + number * 16, 8, i as u32),
                ]
            };
            (0..500).flat_map(pair).collect()
        },
    );
    let overlapping = invented(
        1_500,
        |block| block as u64 + 1,
        |_| {
            let at = |i: u32| if i == 0 { 0 } else { 0xffff_0000 + i };
            (0..1_000).map(|i| slot(Kind::Malloc, 0x10000 + u64::from(i) * 16, 8, at(i))).collect()
        },
    );
    let sandbox = setup("bounded");
    for (name, bytes) in [("threads", threads), ("overlapping", overlapping)] {
        let bound = stated_bound(&bytes);
        let mut events = 0;
        let held = peak(|| events = read(&bytes, &[Format::Csv]));
        assert!(events > 500_000, "{name}: {events}");
        assert!(held <= bound, "{name}: {held} bytes held of {bound}");
        // Followed, calls that never ended are left out.
        let path = sandbox.file(&format!("{name}.1.1.0"), &bytes);
        let mut followed = 0;
        let held = peak(|| {
            let count = |_: &mallook_reader::Event| {
                followed += 1;
                true
            };
            mallook_reader::follow(&path, count).unwrap();
        });
        assert!(followed == events || name == "threads", "{name}: {followed} of {events}");
        assert!(held <= bound, "{name}, followed: {held} bytes held of {bound}");
    }
}

/// A file of a terabyte that is a hole but for its header.
#[test]
fn holes_are_passed_over() {
    let sandbox = setup("sparse");
    let mut bytes = std::fs::read(tests().join("golden/v1.trace")).unwrap();
    bytes[2_048..2_056].copy_from_slice(&(1_u64 << 26).to_le_bytes());
    let path = sandbox.file("sparse", &bytes);
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    let dump = &crate::artifacts::artifacts().dump;
    for option in ["--info", "--check", "--follow", "--format=csv"] {
        let host = sandbox.command("timeout").arg("60").arg(dump).arg(option).arg(&path);
        let output = host.run_alone();
        assert_eq!(output.status.code(), Some(0), "{option}: {output:?}");
        assert!(output.stdout.len() > 100);
    }
}

/// Names from a trace, and of files, do not steer the terminal or forge lines, wherever they are said.
#[test]
fn names_are_escaped_everywhere() {
    let sandbox = setup("forged");
    let mut bytes = std::fs::read(tests().join("golden/v1.trace")).unwrap();
    let name = b"/\x1b[2Jx\nlost: 7\nended: forged\0";
    bytes[192..192 + name.len()].copy_from_slice(name);
    bytes[128..128 + name.len()].copy_from_slice(name);
    bytes[BLOCK + 56..BLOCK + 64].copy_from_slice(b"t\nlost: ");
    bytes[17_000..17_200].fill(0xa5);
    let path = sandbox.file("tr\x1b[2Jace\nlost: 9", &bytes);
    let cut = sandbox.file("no\x1b[2Jtrace\nlost: 9", "hello");
    let dump = &crate::artifacts::artifacts().dump;
    for file in [&path, &cut] {
        for options in [&["--info"][..], &["--check"], &["--follow"], &[]] {
            let output = sandbox.command(dump).args(options).arg(file).run_alone();
            for text in [&output.stdout, &output.stderr] {
                let text = String::from_utf8_lossy(text);
                let raw = |c: char| c != '\n' && c.is_control();
                assert!(!text.contains(raw), "{options:?}: {text:?}");
                let forged = |line: &str| {
                    ["lost: 7", "lost: 9", "ended: forged"].iter().any(|it| line.starts_with(it))
                };
                assert!(!text.lines().any(forged), "{options:?}: {text:?}");
            }
        }
    }
}

/// One request that no memory can meet does not hide the sum of the others.
#[test]
fn impossible_requests_are_counted_apart() {
    let blocks = invented(
        1,
        |_| 1,
        |_| {
            vec![
                slot(Kind::Malloc, 0x1000, 1_001, 0),
                Slot::prefix(Kind::WideSize, 0, u64::MAX),
                slot(Kind::Calloc, 0, 0, 1),
                slot(Kind::Malloc, 0x2000, 1_003, 2),
            ]
        },
    );
    let sandbox = setup("impossible");
    let info = Trace::new(sandbox.file("t.1.1.0", blocks)).info();
    assert_eq!(info.get("requested bytes"), "2004");
    assert_eq!(info.get("impossible requests"), "1");
    assert_eq!(info.get("failed"), "1");
}

/// A prefix whose moment is missing, as where a process was killed between the two or has jumped out of a
/// signal handler, is that of no other moment.
#[test]
fn prefixes_without_their_moment_are_void() {
    let blocks = invented(
        1,
        |_| 1,
        |_| {
            vec![
                Slot::prefix(Kind::WideSize, 0, 1 << 40),
                Slot::prefix(Kind::WideAddress, 0, 1 << 60),
                Slot::default(),
                slot(Kind::Malloc, 0x1000, 1_001, 0),
            ]
        },
    );
    let sandbox = setup("void");
    let rows = Trace::new(sandbox.file("t.1.1.0", blocks)).rows();
    assert_eq!((rows[0].size, rows[0].address), (Some(1_001), Some(0x1000)));
}

/// More traces than may be mapped at once, in little memory.
#[test]
fn many_files() {
    let sandbox = setup("many_files");
    let golden = tests().join("golden/v1.trace");
    for number in 0..3_000 {
        std::os::unix::fs::symlink(&golden, sandbox.path().join(format!("t.{number}.1.0")))
            .unwrap();
    }
    let dump = &crate::artifacts::artifacts().dump;
    let run = |limit: usize, option: &str| {
        let script = format!(r#"ulimit -d {limit}; exec "$0" {option} t.*"#);
        let output = sandbox.command("sh").args(["-c", &script]).arg(dump).run_alone();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{option}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let text = run(24_576, "--info");
    assert_eq!(text.lines().filter(|line| *line == "ended: exited").count(), 3_000);
    // All of them cover the same time, so all of them are open at once.
    let rows = run(98_304, "--format=csv").lines().count();
    let of_one = Trace::new(golden).rows().len();
    assert_eq!(rows, 1 + 3_000 * of_one);
}
