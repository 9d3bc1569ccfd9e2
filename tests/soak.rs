//! The soak: families of processes that do everything at once (`soak.c`), over an allocator that
//! counts what they do (`tally.c`). Each trace must hold as many events as its process counted,
//! none lost, and nothing impossible.
//!
//! One round is part of the suite; `MALLOOK_SOAK=1800` repeats it for half an hour. In a growing file
//! and in a ring, each with call stacks and without; with `MALLOOK_TEST_STACK`, with these only.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use crate::sandbox::{Random, Run, Sandbox, number, setup, stacks_of_the_suite};
use crate::trace::{Info, Trace, dump};

/// The size of the table, and of an entry of it (`tally.h`).
const TABLE_BYTES: u64 = (1 << 18) * 16;

/// Moments that may be on one side only where a process ended while threads of it ran: the two of a
/// reallocation in each.
const IN_FLIGHT: u64 = 2 * 16;

/// The count of a process.
struct Tally {
    events: u64,
    is_exact: bool,
}

/// The counts of all processes, by PID; those of one PID in the order of time.
fn tallies(sandbox: &Sandbox) -> BTreeMap<u32, Vec<Tally>> {
    let table = fs::read(sandbox.path().join("tally.table")).unwrap();
    let mut tallies = BTreeMap::<_, Vec<_>>::new();
    // The first entry holds the number of the others.
    for entry in table.chunks_exact(16).skip(1) {
        let word = |at: usize| u32::from_le_bytes(entry[at..at + 4].try_into().unwrap());
        let (pid, is_exact) = (word(8), word(12) == 1);
        let events = u64::from(word(0)) | u64::from(word(4)) << 32;
        // The first process makes no calls.
        if events != 0 {
            tallies.entry(pid).or_default().push(Tally { events, is_exact });
        }
    }
    tallies
}

/// The information about each trace.
fn infos(traces: &[Trace]) -> Vec<Info> {
    let mut infos = Vec::new();
    // As many as fit on a command line.
    for traces in traces.chunks(1_000) {
        let output = dump(&["--info"], &traces.iter().collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        infos.extend(Info::parse_all(&String::from_utf8(output.stdout).unwrap()));
    }
    infos
}

/// How the traces of a round are written.
#[derive(Clone, Copy, Debug)]
struct Way<'a> {
    /// The size of the ring, if it is one.
    ring: Option<&'a str>,
    /// The call stacks.
    stacks: &'a str,
}

/// Runs this number of families, and compares. Returns the number of processes and that of events.
fn round(sandbox: &Sandbox, families: usize, seed: u64, way: Way) -> (usize, u64) {
    let counter = sandbox.path().join("tally.so");
    let soak = sandbox.path().join("soak");
    let table = fs::File::create(sandbox.path().join("tally.table")).unwrap();
    table.set_len(TABLE_BYTES).unwrap();
    let mut host = sandbox.command(&soak).args([families.to_string(), seed.to_string()]);
    // Beneath us: what it counts is what our next definitions are asked for.
    host = host.env("LD_PRELOAD", crate::building::preload(&[], &[&counter]));
    host = host.env("MALLOOK_STACK", way.stacks);
    if let Some(size) = way.ring {
        host = host.ring(size);
    }
    let run: Run = host.run().expect(0).sound();
    assert_eq!(String::from_utf8_lossy(&run.output.stdout), "", "children that failed");

    let infos = infos(&run.traces);
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for (trace, info) in run.traces.iter().zip(infos) {
        found.entry(trace.identity().0).or_default().push(info);
    }
    let tallies = tallies(sandbox);
    let mut events = 0;
    for (pid, tallies) in &tallies {
        let infos = found.remove(pid).unwrap_or_default();
        assert_eq!(infos.len(), tallies.len(), "traces and processes with PID {pid}");
        for (info, tally) in infos.iter().zip(tallies) {
            let recorded = info.present() + info.overwritten();
            let difference = recorded.abs_diff(tally.events);
            let allowed = if tally.is_exact { 0 } else { IN_FLIGHT };
            assert!(difference <= allowed, "{} counted, {way:?}, {info:?}", tally.events);
            events += recorded;
        }
    }
    assert_eq!(found.len(), 0, "traces of processes that counted nothing");
    for trace in &run.traces {
        fs::remove_file(trace.path()).unwrap();
    }
    (run.traces.len(), events)
}

#[test]
fn soak() {
    let sandbox = setup("soak");
    sandbox.build("special/tally.c", "tally.so", &["-shared", "-fPIC"]);
    sandbox.build("special/soak.c", "soak", &[sandbox.path().join("tally.so").to_str().unwrap()]);
    let (time, start) = (Duration::from_secs(number("MALLOOK_SOAK", 0) as u64), Instant::now());
    let suite = stacks_of_the_suite();
    let stacks = suite.as_ref().map_or(vec!["off", "full"], |how| vec![how.to_str().unwrap()]);
    let mut random = Random::new();
    let (mut rounds, mut processes, mut events) = (0, 0, 0);
    loop {
        for &stacks in &stacks {
            for ring in [None, Some("1M")] {
                let way = Way { ring, stacks };
                let (more, moments) = round(&sandbox, 12, random.word() >> 1, way);
                (processes, events) = (processes + more, events + moments);
            }
        }
        rounds += 1;
        let seconds = start.elapsed().as_secs();
        println!("{seconds} s: {rounds} rounds, {processes} processes, {events} events: all there");
        if start.elapsed() >= time {
            break;
        }
    }
}
