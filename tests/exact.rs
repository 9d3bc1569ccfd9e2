//! A program of known allocations gives exactly the expected lines, times within its life, and a
//! file of 16 bytes an event.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::sandbox::setup;
use crate::trace::window;

/// The calls of `exact.c`; the letters are the blocks that it names.
const ROWS: [&str; 21] = [
    "malloc,A,10007,,",
    "calloc,B,30027,,",
    "realloc,C,300007,A,",
    "realloc,D,10037,0x0,",
    "reallocarray,E,10021,D,",
    "posix_memalign,F,10039,,64",
    "aligned_alloc,G,10061,,128",
    "memalign,H,10067,,256",
    "valloc,I,10069,,",
    "pvalloc,J,10079,,",
    "malloc,K,4294967311,,",
    "malloc,0x0,9223372036854775807,,",
    "free,B,,,",
    "free,K,,,",
    "free,E,,,",
    "free,F,,,",
    "free,G,,,",
    "free,H,,,",
    "free,I,,,",
    "free,J,,,",
    "realloc,L,0,C,",
];

const SIZES: [&str; 13] = [
    "malloc 10007",
    "calloc 30027",
    "realloc 300007",
    "realloc 10037",
    "reallocarray 10021",
    "posix_memalign 10039",
    "aligned_alloc 10061",
    "memalign 10067",
    "valloc 10069",
    "pvalloc 10079",
    "malloc 4294967311",
    "malloc 9223372036854775807",
    "realloc 0",
];

#[test]
fn csv_rows_and_sizes_lines() {
    let sandbox = setup("exact");
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let before = now();
    let run = sandbox.program("exact").run().expect(0);
    let after = now();

    let addresses: BTreeMap<_, _> =
        run.said().into_iter().map(|(name, mut values)| (name, values.remove(0))).collect();
    let resolve = |field: &str| addresses.get(field).cloned().unwrap_or_else(|| field.to_owned());
    let expected: Vec<_> = (ROWS.iter())
        .map(|row| row.split(',').map(resolve).collect::<Vec<_>>().join(","))
        .collect();
    assert_eq!(run.trace().window(), expected);

    let rows = run.trace().rows();
    let (pid, ..) = run.trace().identity();
    assert!(rows.iter().all(|row| (row.pid, row.tid) == (pid, pid)));
    // The two clocks are synced at the start; 50 ms are for a clock that is set meanwhile.
    let slack = 50_000_000;
    for row in window(&rows) {
        assert!((before - slack..after + slack).contains(&row.time_ns), "{before} {row:?} {after}");
    }

    let sizes = run.trace().sizes();
    let position = |line| sizes.iter().position(|l| l == line).expect(line);
    let between = &sizes[position("malloc 99991") + 1..position("malloc 99989")];
    assert_eq!(between, SIZES);
    assert_eq!(sizes.first().unwrap(), "@ Start");
    assert_eq!(sizes.last().unwrap(), "@ End");
    assert_eq!(sizes.iter().filter(|line| line.starts_with('@')).count(), 2, "{sizes:?}");
}

/// After a clean end a trace of N events takes at most 17 N bytes and a small constant.
#[test]
fn an_event_costs_sixteen_bytes() {
    let sandbox = setup("bytes");
    for rounds in [0, 1_000, 200_000] {
        let run = sandbox.program("threads").args(["1", &rounds.to_string()]).run().expect(0);
        let trace = run.traces.iter().max_by_key(|t| t.path().metadata().unwrap().len()).unwrap();
        let events: u64 = trace.rows().iter().map(crate::trace::Row::moments).sum();
        assert!(events >= 6 * rounds);
        let bytes = trace.path().metadata().unwrap().len();
        let constant = 4 * 16_384;
        assert!(bytes <= 17 * events + constant, "{bytes} bytes for {events} events");
        std::fs::remove_file(trace.path()).unwrap();
    }
}
