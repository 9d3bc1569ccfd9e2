//! Figures of a part of what a process did, by `mallook summary`: they are those of the events that are in the
//! file, and say how many are not. The traces are written by the second implementation of the format.

use std::collections::HashMap;

use mallook_format::{BLOCK_SIZE, Kind, SLOT_SIZE, SLOTS};
use serde_json::Value;

use crate::artifacts::artifacts;
use crate::fuzz::encode::{Encoder, Moment, Process};
use crate::sandbox::{Random, Sandbox, number, setup};

/// The figures of a trace, by name, with what they cover.
fn summary(sandbox: &Sandbox, bytes: &[u8], code: i32) -> Value {
    sandbox.file("part", bytes);
    let command = sandbox.command(&artifacts().mallook).args(["summary", "--json", "part"]);
    let output = command.run_alone();
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The figures of moments, by a plain map; what lives is added up after each.
fn model<'a>(moments: impl IntoIterator<Item = &'a Moment>) -> Vec<(&'static str, u64)> {
    let mut live = HashMap::<u64, &Moment>::new();
    let [mut births, mut bytes, mut frees, mut crossed, mut unknown, mut replaced] = [0; 6];
    let mut peak = (0, 0);
    for moment in moments {
        if moment.kind == Kind::Free as u8 {
            match live.remove(&moment.address) {
                Some(born) => {
                    frees += 1;
                    crossed += u64::from(born.thread != moment.thread);
                }
                None => unknown += 1,
            }
        } else {
            (births, bytes) = (births + 1, bytes + moment.size);
            replaced += u64::from(live.insert(moment.address, moment).is_some());
        }
        let now: u64 = live.values().map(|born| born.size).sum();
        if now > peak.0 {
            peak = (now, live.len() as u64);
        }
    }
    vec![
        ("allocations", births),
        ("allocated_bytes", bytes),
        ("frees", frees),
        ("crossed", crossed),
        ("unknown_frees", unknown),
        ("replaced", replaced),
        ("peak_bytes", peak.0),
        ("peak_blocks", peak.1),
        ("live_at_end_bytes", live.values().map(|born| born.size).sum()),
        ("live_at_end_blocks", live.len() as u64),
    ]
}

fn check(found: &Value, expected: &[(&'static str, u64)]) {
    for (name, value) in expected {
        assert_eq!(found[name], *value, "{name}: {expected:?}");
    }
}

fn moment(thread: u64, kind: Kind, address: u64, size: u64) -> Moment {
    Moment { thread: 1 + thread as u32, kind: kind as u8, address, size, ..Moment::default() }
}

/// A sound history of several threads, which free what any of them has made; each address is given out once.
fn history(random: &mut Random, count: u64) -> Vec<Moment> {
    let (threads, mut live) = (1 + random.below(4), Vec::new());
    let next = |number| {
        let thread = random.below(threads);
        if random.below(2) == 0 && !live.is_empty() {
            let old = live.swap_remove(random.below(live.len() as u64) as usize);
            return moment(thread, Kind::Free, old, 0);
        }
        let address = (number + 1) << 12;
        live.push(address);
        moment(thread, Kind::Malloc, address, random.below(1000))
    };
    (0..count).map(next).collect()
}

/// A block that was born before the window of a ring is an unknown death in it; one whose release was
/// overwritten seems to live.
#[test]
fn a_ring_has_the_figures_of_what_is_in_it() {
    let (sandbox, mut random) = (setup("windows"), Random::new());
    let (mut partial, mut unknown) = (0, 0);
    for round in 0..number("MALLOOK_WINDOWS", 15) {
        // The first ring is too small in any case.
        let (count, more) = match round {
            0 => (5 * SLOTS as u64, 0),
            _ => (random.below(5 * SLOTS as u64), random.below(4)),
        };
        let moments = history(&mut random, 1 + count);
        let process = Process { ring: Some(2 + more), ..Process::default() };
        let (bytes, there) = Encoder::encode(process, &moments);
        let found = summary(&sandbox, &bytes, 0);
        let figures = model(there.iter().map(|&at| &moments[at]));
        check(&found, &figures);
        let missing = (moments.len() - there.len()) as u64;
        check(&found, &[("missing_events", missing), ("damaged_places", 0)]);
        assert_eq!(found["complete"], missing == 0);
        partial += u64::from(missing != 0);
        unknown += figures.iter().find(|(name, _)| *name == "unknown_frees").unwrap().1;
    }
    assert!(partial > 0 && unknown > 0, "no window has hidden anything");
}

/// Events are missing in the middle, and addresses are given out that somebody has.
#[test]
fn a_damaged_trace_has_the_figures_of_what_can_be_read() {
    let (sandbox, mut random) = (setup("windows_damaged"), Random::new());
    for _ in 0..number("MALLOOK_WINDOWS", 15) {
        let count = 1 + random.below(3 * SLOTS as u64);
        let next = |_| {
            let kind = if random.below(2) == 0 { Kind::Free } else { Kind::Malloc };
            let size = if kind == Kind::Free { 0 } else { random.below(1000) };
            moment(0, kind, (1 + random.below(40)) << 4, size)
        };
        let moments: Vec<_> = (0..count).map(next).collect();
        let (mut bytes, there) = Encoder::encode(Process::default(), &moments);
        assert_eq!(there.len(), moments.len());
        let mut damaged: Vec<_> =
            (0..random.below(9)).map(|_| random.below(count) as usize).collect();
        damaged.sort_unstable();
        damaged.dedup();
        for at in &damaged {
            // The only thread fills one block after the other, behind the header of the file.
            let slots = (1 + at / SLOTS) * BLOCK_SIZE + BLOCK_SIZE - SLOTS * SLOT_SIZE;
            bytes[slots + at % SLOTS * SLOT_SIZE..][..SLOT_SIZE].fill(0xff);
        }
        let found = summary(&sandbox, &bytes, i32::from(!damaged.is_empty()));
        let is_there = |(at, _): &(usize, &Moment)| damaged.binary_search(at).is_err();
        check(&found, &model(moments.iter().enumerate().filter(is_there).map(|(_, it)| it)));
        check(&found, &[("damaged_places", damaged.len() as u64)]);
        assert_eq!(found["complete"], damaged.is_empty());
    }
}
