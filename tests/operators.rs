//! C++'s operators and jemalloc's own functions, over each allocator: one birth and one death a
//! block, whatever calls what below us; and a program that has neither sees neither.

use std::path::Path;

use crate::allocators::{Way, find, for_each};
use crate::artifacts::artifacts;
use crate::building::preload;
use crate::sandbox::{have, outcome, said, setup, skip};
use crate::trace::Row;

/// The cases of `operators.cc`, and the size of each, which its alignment may round up on the way.
const CASES: [(&str, u64, Option<u64>); 12] = [
    ("plain", 41_003, None),
    ("array", 41_011, None),
    ("sized", 41_017, None),
    ("array_sized", 41_023, None),
    ("nothrow", 41_039, None),
    ("array_nothrow", 41_047, None),
    ("aligned", 41_051, Some(64)),
    ("array_aligned", 41_057, Some(64)),
    ("aligned_sized", 41_077, Some(64)),
    ("array_aligned_sized", 41_081, Some(64)),
    ("aligned_nothrow", 41_113, Some(64)),
    ("array_aligned_nothrow", 41_117, Some(64)),
];

/// The rows of blocks with this size.
fn lives(rows: &[Row], size: u64) -> Vec<&Row> {
    let mut alive = None;
    let ours = |row: &&Row| match row.address {
        address if address == alive && row.is_free() => {
            alive = None;
            true
        }
        // The program's calls are rounded up to the alignment by libstdc++.
        address
            if !row.is_free()
                && row.size.is_some_and(|s| s == size || s == size.next_multiple_of(64)) =>
        {
            alive = address;
            true
        }
        _ => false,
    };
    let mut ours = ours;
    rows.iter().filter(|row| ours(row)).collect()
}

#[test]
fn c7_each_operator_over_each_allocator() {
    let check = |way: &Way| {
        let shared = setup("operators");
        drop(way.host(&shared, "operators", true));
        let linked = shared.path().join("linked");
        for (case, size, alignment) in CASES {
            let sandbox = setup(case);
            let host = match way {
                Way::Linked(_) => sandbox.command(&linked),
                _ => way.host(&sandbox, "operators", true),
            };
            let run = host.arg(case).run().expect(0).sound();
            let context = format!("{}, {case}", way.name());
            let rows = run.trace().rows();
            let ours = lives(&rows, size);
            assert_eq!(ours.len(), 6, "{context}: {ours:#?}");
            for pair in ours.chunks(2) {
                assert!(!pair[0].is_free() && pair[1].is_free(), "{context}: {ours:#?}");
                assert_eq!(pair[0].alignment, alignment, "{context}: {ours:#?}");
                assert_eq!(pair[0].address, pair[1].address, "{context}");
            }
            let said = run.said();
            let addresses = said["A"].iter().chain(&said["again"]);
            for (address, pair) in addresses.zip(ours.chunks(2)) {
                assert_eq!(*address, format!("{:#x}", pair[0].address.unwrap()), "{context}");
            }
        }
    };
    check(&Way::Libc);
    for_each("c7", |way, _| check(way));
}

/// Where the allocator has operators of its own, they are what stands in the trace.
#[test]
fn c7_operators_have_their_names() {
    let test = "c7_operators_have_their_names";
    let Some(library) = find("libmimalloc.so.2") else {
        skip(test, "libmimalloc.so.2");
        return;
    };
    for (case, birth, death) in [
        ("plain", "operator new,A,41003,,", "operator delete,A,,,"),
        ("array_aligned_sized", "operator new[],A,41081,,64", "operator delete[],A,41081,,64"),
    ] {
        let sandbox = setup(case);
        let host = sandbox.program("operators").arg(case);
        let run = host.env("LD_PRELOAD", preload(&[], &[&library])).run().expect(0);
        let calls: Vec<_> = run.trace().rows().iter().map(Row::call).collect();
        let a = &run.said()["A"][0];
        for row in [birth, death] {
            let row = row.replace(",A,", &format!(",{a},"));
            assert!(calls.contains(&row), "{row} in {calls:#?}");
        }
    }
}

/// Exceptions pass through the hooks, handlers run and destructors too: all is as without us.
#[test]
fn c7_operators_that_fail() {
    let check = |way: &Way| {
        let sandbox = setup("operators_fail");
        let alone = way.host(&sandbox, "operators", false).arg("failures").run_alone();
        for (ring, clock) in [(false, "tsc"), (true, "tsc"), (false, "monotonic")] {
            let host = way.host(&sandbox, "operators", true).arg("failures");
            let host = host.env("MALLOOK_CLOCK", clock);
            let run = if ring { host.ring("1M").run() } else { host.run() };
            assert_eq!(outcome(&run.output), outcome(&alone), "{}", way.name());
        }
        // mimalloc, built as C, ends the program instead.
        if !way.name().contains("mimalloc") {
            let said = said(&alone);
            assert_eq!(said.len(), 8);
            assert!(said.values().all(|value| value == &["1"]), "{}: {said:?}", way.name());
        }
    };
    check(&Way::Libc);
    for_each("c7", |way, _| check(way));
}

#[test]
fn c7_jemallocs_own_functions() {
    let test = "c7_jemallocs_own_functions";
    let Some(library) = find("libjemalloc.so.2") else {
        skip(test, "libjemalloc.so.2");
        return;
    };
    for way in [Way::Preloaded(library.clone()), Way::Linked(library)] {
        let sandbox = setup("extended");
        let run = way.host(&sandbox, "extended", true).run().expect(0).sound();
        let window = run.trace().window();
        let calls: Vec<_> = (window.iter())
            .map(|row| row.split(',').enumerate().filter(|(i, _)| ![1, 3].contains(i)))
            .map(|fields| fields.map(|(_, field)| field).collect::<Vec<_>>().join(","))
            .collect();
        let once = [
            "mallocx,42003,",
            "mallocx,42013,64",
            "rallocx,142007,",
            "xallocx,142011,",
            "xallocx,1099511627776,",
            "dallocx,,",
            "sdallocx,42013,64",
            "mallocx,9223372036854775807,",
        ];
        assert_eq!(calls, [once, once].concat(), "{}: {window:#?}", way.name());
    }
}

/// A program without C++ and jemalloc, which asks for their functions: by name there are none, and
/// a weak reference, which is bound before we know, works.
#[test]
fn a1_functions_that_a_process_does_not_have() {
    let sandbox = setup("weak");
    let run = sandbox.program("weak").run().expect(0).sound();
    let said = run.said();
    assert!(said.values().all(|found| found == &["0"]), "{said:?}");
    assert_eq!(said.len(), 5);
    let rows = run.trace().rows();
    for size in [42_031, 42_043] {
        assert_eq!(lives(&rows, size).len(), 2, "{size}");
    }
}

/// A C++ runtime that comes and goes with a library, in a program of C.
#[test]
fn b16_a_plugin_that_brings_c_plus_plus_along() {
    for options in [&["-shared", "-fPIC"][..], &["-shared", "-fPIC", "-static-libstdc++"]] {
        let sandbox = setup("plugin");
        let plugin = sandbox.build("special/plugin.cc", "plugin.so", options);
        let run = sandbox.program("loading").arg("plugin").arg(&plugin).run().expect(0).sound();
        assert_eq!(run.said()["caught"], ["7", "7", "7"], "{options:?}");
        let rows = run.trace().rows();
        let texts = rows.iter().filter(|row| row.size == Some(43_004) && !row.is_free());
        // Eleven copies and the original, each time.
        assert_eq!(texts.count(), 3 * 7 * 12, "{options:?}");
    }
}

/// musl's `calloc` calls its `malloc`, and so on: each call of the program is one event.
#[test]
fn a5_musl() {
    if !have("a5_musl", &["musl-gcc"]) {
        return;
    }
    let loader = "/lib/ld-musl-x86_64.so.1";
    let sandbox = setup("musl");
    let program = sandbox.path().join("program");
    let source = crate::artifacts::tests().join("programs/special/musl.c");
    let mut gcc = std::process::Command::new("musl-gcc");
    gcc.args(["-O0", "-fno-builtin", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&program);
    let built = gcc.arg(source).output().unwrap();
    assert!(built.status.success(), "{built:?}");
    let alone = sandbox.command(&program).run_alone();
    for (prefix, host) in [
        ("direct", sandbox.command(&program)),
        ("by_loader", sandbox.command(loader).arg(&program)),
    ] {
        if !Path::new(loader).exists() {
            continue;
        }
        let output = host.env("MALLOOK_PREFIX", prefix).run().output;
        assert_eq!(outcome(&output), outcome(&alone), "{prefix}");
        let run = crate::sandbox::Run::of(output, &sandbox, prefix).sound();
        let window = run.trace().window();
        let ops: Vec<_> = window.iter().map(|row| row.split(',').next().unwrap()).collect();
        let expected = [
            "malloc",
            "free",
            "calloc",
            "free",
            "calloc",
            "free",
            "realloc",
            "realloc",
            "free",
            "reallocarray",
            "free",
            "posix_memalign",
            "free",
            "aligned_alloc",
            "free",
            "memalign",
            "free",
            "valloc",
            "free",
            "malloc",
            "free",
            "calloc",
            "posix_memalign",
            "memalign",
        ];
        assert_eq!(ops, expected, "{prefix}: {window:#?}");
    }
    assert!(artifacts().library.exists());
}
