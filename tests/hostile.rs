//! Hostile traces: mutated ones, header included, go through the reader, which neither panics nor
//! hangs, prints no more events than there is room for, and allocates no more than a stated bound.

use std::panic::{AssertUnwindSafe, catch_unwind};

use mallook_reader::export::Format;

use crate::artifacts::tests;
use crate::counting::peak;
use crate::fuzz::{expand, read, shorten};
use crate::sandbox::{Random, number, setup};

const BLOCK: usize = 16_384;
const FORMATS: [Format; 4] = [Format::Text, Format::Csv, Format::Jsonl, Format::Sizes];
/// Memory that the reader may hold for a trace: a megabyte, and 32 times the trace's size.
const MEGABYTE: usize = 1 << 20;
const BYTES_PER_BYTE: usize = 32;

/// Words with a meaning somewhere: as a size, a count, a position, a state.
const WORDS: [u64; 14] = [
    0,
    1,
    2,
    3,
    15,
    16,
    BLOCK as u64,
    u32::MAX as u64,
    1 << 32,
    1 << 48,
    1 << 62,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

/// A byte that matters: mostly in the header's fields, its live words, a block's header or slots.
fn place(random: &mut Random, length: usize) -> usize {
    let blocks = (length / BLOCK).max(1) as u64;
    let block = random.below(blocks) as usize * BLOCK;
    let offset = match random.below(8) {
        0 => random.below(128),
        1 => 2_048 + random.below(16),
        2 => 2_176 + random.below(256),
        3 | 4 => block as u64 + random.below(128),
        5 | 6 => block as u64 + 128 + random.below(1_024),
        _ => random.below(length as u64),
    };
    (offset as usize).min(length - 1)
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        let at = place(random, length);
        match random.below(10) {
            0 | 1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at] = random.word() as u8,
            3..=6 => {
                let word = match random.below(3) {
                    0 => random.word(),
                    1 => WORDS[random.below(WORDS.len() as u64) as usize],
                    _ => length as u64 / WORDS[1 + random.below(6) as usize],
                };
                let at = at / 8 * 8;
                let end = (at + 8).min(length);
                bytes[at..end].copy_from_slice(&word.to_le_bytes()[..end - at]);
            }
            7 => {
                // One slot, or a block's header, in place of another.
                let size = if random.below(2) == 0 { 16 } else { 128 };
                let from = place(random, length) / size * size;
                let to = at / size * size;
                if from.max(to) + size <= length {
                    bytes.copy_within(from..from + size, to);
                }
            }
            8 => {
                // One block in place of another, or one more of them.
                let blocks = length / BLOCK;
                let from = random.below(blocks.max(1) as u64) as usize * BLOCK;
                let block = bytes[from..(from + BLOCK).min(length)].to_vec();
                let to = random.below(blocks as u64 + 1) as usize * BLOCK;
                if to + block.len() <= length {
                    bytes[to..to + block.len()].copy_from_slice(&block);
                } else if length < 8 * BLOCK {
                    bytes.extend(block);
                }
            }
            _ => bytes.truncate(if random.below(4) == 0 { at / BLOCK * BLOCK } else { at }),
        }
    }
}

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

/// The number of traces is `MALLOOK_MUTATIONS`, 100 000 if that is not set.
#[test]
fn mutated_traces() {
    let full = std::fs::read(tests().join("golden/v1.trace")).unwrap();
    let ring = ring();
    for base in [&full, &ring] {
        assert!(read(base, &[Format::Csv]) > 20, "the base trace is readable");
    }
    let mutations = number("MALLOOK_MUTATIONS", 100_000);
    let work = &|seed: u64| {
        let mut random = Random::with_seed(seed);
        let mut readable = 0;
        for turn in 0..mutations.div_ceil(2) {
            let mut bytes = if turn % 8 == 0 { ring.clone() } else { full.clone() };
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
