//! Formats of a line a call: mtrace, memory_replay, rep, folded.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use mallook_format::Kind;

use super::truth::Truth;
use super::{export, recorded, said_by, text};
use crate::fuzz::encode::{Encoder, Moment, Process};
use crate::sandbox::{have, setup};

#[test]
fn mtrace() {
    if !have("exports::mtrace", &["mtrace"]) {
        return;
    }
    let sandbox = setup("mtrace");
    let run = recorded(&sandbox);
    let truth = Truth::of(run.trace());
    let file = export(&sandbox, "mtrace", &[run.trace().path()]);
    let said = said_by(&sandbox, "mtrace", &[text(&file)], 1);
    let mut lines = said.lines().skip_while(|line| !line.contains("Address")).skip(1);
    let sizes: Vec<u64> = lines
        .by_ref()
        .map(|line| line.split_whitespace().nth(1).unwrap())
        .map(|size| u64::from_str_radix(size.strip_prefix("0x").unwrap(), 16).unwrap())
        .collect();
    assert_eq!((sizes.len() as u64, sizes.iter().sum()), (truth.live_blocks, truth.live_bytes));
    assert_eq!(said.matches("  at leak_here(").count(), 21, "{said}");
    // Nothing was freed that was not known, and nothing was given out twice.
    assert!(!said.contains("never") && !said.contains("duplicate"), "{said}");
    let lines = fs::read_to_string(file).unwrap();
    let of = |sign: &str| lines.lines().filter(|line| line.contains(sign)).count() as u64;
    assert_eq!(
        (of(" > "), of(" < "), of(" ! "), of(" + (nil) ")),
        (truth.grown, truth.grown, 1, 1)
    );
}

/// Allocates and frees what the lines of memory_replay say, as that does: by the old addresses.
fn replay(lines: &str) -> Truth {
    let (mut live, mut truth) = (HashMap::new(), Truth::default());
    let mut last = 0;
    for line in lines.lines() {
        let (tid, rest) = line.split_once(": ").unwrap();
        tid.parse::<i32>().unwrap();
        let words: Vec<_> = rest.split(' ').collect();
        let address =
            |word: &str| u64::from_str_radix(word.strip_prefix("0x").unwrap(), 16).unwrap();
        let number = |word: &str| word.parse::<u64>().unwrap();
        let [start, end] = [words[words.len() - 2], words[words.len() - 1]].map(number);
        assert!(start <= end && last <= end, "{line}");
        last = end;
        let (at, arguments) = (address(words[1]), &words[2..words.len() - 2]);
        assert_ne!(at, 0, "{line}");
        let size = match (words[0], arguments) {
            ("malloc", [size]) => number(size),
            ("calloc", [count, size]) => number(count) * number(size),
            ("memalign", [alignment, size]) => {
                assert!(number(alignment).is_power_of_two(), "{line}");
                number(size)
            }
            ("realloc", [old, size]) => {
                truth.deaths += 1;
                truth.live_bytes -= live.remove(&address(old)).expect(line);
                number(size)
            }
            ("free", []) => {
                truth.deaths += 1;
                truth.live_bytes -= live.remove(&at).expect(line);
                continue;
            }
            _ => panic!("{line}"),
        };
        assert!(live.insert(at, size).is_none(), "{line}");
        truth.births += 1;
        truth.bytes += size;
        truth.live_bytes += size;
    }
    truth.live_blocks = live.len() as u64;
    truth
}

/// Fails unless every line is one that memory_replay understands; the births in it.
pub fn assert_replayable(lines: &str) -> u64 {
    replay(lines).births
}

#[test]
fn memory_replay() {
    let sandbox = setup("memory_replay");
    let run = recorded(&sandbox);
    let truth = Truth::of(run.trace());
    let file = export(&sandbox, "memory_replay", &[run.trace().path()]);
    let lines = fs::read_to_string(file).unwrap();
    let found = replay(&lines);
    let figures = |it: &Truth| (it.births, it.bytes, it.deaths, it.live_blocks, it.live_bytes);
    assert_eq!(figures(&found), figures(&truth));
    let of = |word: &str| lines.lines().filter(|line| line.contains(&format!(": {word} "))).count();
    assert_eq!((of("memalign"), of("calloc")), (5, 2));
    assert!(lines.contains(" 64 33001 ") && lines.contains(" 4096 33007 "), "{lines}");
}

/// Replays with the allocator of this process, as a driver does; the blocks and bytes that are left.
pub fn drive(trace: &Path) -> (usize, u64) {
    let text = fs::read_to_string(trace).unwrap();
    let mut numbers = text.lines().take(4).map(|line| line.parse::<u64>().unwrap());
    let [heap, ids, operations, weight] = std::array::from_fn(|_| numbers.next().unwrap());
    assert_eq!((weight, text.lines().count() as u64), (1, 4 + operations));
    let mut blocks: Vec<Option<Vec<u8>>> = vec![None; ids as usize];
    let (mut live, mut most) = (0u64, 0);
    for line in text.lines().skip(4) {
        let words: Vec<_> = line.split(' ').collect();
        let block = &mut blocks[words[1].parse::<usize>().unwrap()];
        let size = words.get(2).map(|size| size.parse::<usize>().unwrap());
        assert!(size.is_none_or(|size| size > 0), "{line}");
        match (words[0], size) {
            ("a", Some(size)) => {
                assert!(block.is_none(), "{line}");
                *block = Some(Vec::with_capacity(size));
                live += size as u64;
            }
            ("r", Some(size)) => {
                live -= block.take().expect(line).capacity() as u64;
                *block = Some(Vec::with_capacity(size));
                live += size as u64;
            }
            ("f", None) => live -= block.take().expect(line).capacity() as u64,
            _ => panic!("{line}"),
        }
        most = most.max(live);
    }
    // Blocks of no bytes are said to have one.
    assert!(most.abs_diff(heap) <= ids, "{most} {heap}");
    (blocks.iter().flatten().count(), live)
}

#[test]
fn rep() {
    let sandbox = setup("rep");
    let run = recorded(&sandbox);
    let truth = Truth::of(run.trace());
    let file = export(&sandbox, "rep", &[run.trace().path()]);
    let (blocks, bytes) = drive(&file);
    assert_eq!((blocks as u64, bytes), (truth.live_blocks, truth.live_bytes));
    let text = fs::read_to_string(file).unwrap();
    let ids: u64 = text.lines().nth(1).unwrap().parse().unwrap();
    // A reallocated block keeps its number.
    assert_eq!(ids + truth.grown, truth.births);
}

/// A thread is given an address whose reallocation by another thread has not ended yet: files are such
/// that no block is given out while it lives, or freed twice.
#[test]
fn a_reallocation_that_is_overtaken() {
    let moment = |thread, kind: Kind, address, size| Moment {
        thread,
        kind: kind as u8,
        address,
        size,
        ..Moment::default()
    };
    let moments = [
        moment(1, Kind::Malloc, 0x1000, 101),
        moment(1, Kind::ReallocDeath, 0x1000, 103),
        moment(2, Kind::Malloc, 0x1000, 105),
        moment(1, Kind::Realloc, 0x2000, 103),
        moment(2, Kind::Free, 0x1000, 0),
    ];
    let sandbox = setup("overtaken");
    let trace = sandbox.file("t.1.1.0", Encoder::encode(Process::default(), &moments).0);
    let made = |to: &str| {
        let path = sandbox.path().join(to);
        let output = super::run_export(to, &[], &[&trace], &path);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.contains("blocks that end where the next one at their address begins: 1"),
            "{said}"
        );
        path
    };
    let found = replay(&fs::read_to_string(made("memory_replay")).unwrap());
    assert_eq!((found.births, found.live_blocks, found.live_bytes), (3, 1, 103));
    assert_eq!(drive(&made("rep")), (1, 103));
    let lines = fs::read_to_string(made("mtrace")).unwrap();
    let signs: Vec<_> = lines.lines().map(|line| &line[..1]).collect();
    assert_eq!(signs, ["=", "+", "-", "+", "+", "-", "="], "{lines}");
}

#[test]
fn folded() {
    let sandbox = setup("folded");
    let run = recorded(&sandbox);
    let path = sandbox.path().join("folded");
    let output = super::run_export("folded", &["--cost", "bytes"], &[run.trace().path()], &path);
    assert!(output.status.success(), "{output:?}");
    let dumped = run.trace().read(&["--format", "folded", "--cost", "bytes"]);
    assert_eq!(fs::read_to_string(path).unwrap(), dumped);
    assert!(dumped.contains(";main;churn "), "{dumped}");
}
