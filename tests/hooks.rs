//! Every allocation function, one call at a time: each leaves exactly its row, a release exactly
//! one more, and the program sees what it would see without the library, `errno` included.

use std::collections::BTreeSet;
use std::process::Output;

use crate::sandbox::{Run, outcome, said, setup};

/// Case of `hooks.c`, and the rows that it must leave (`op,address,size,old_address,alignment`), A
/// and B being the addresses that the program got.
pub const CASES: &[(&str, &[&str])] = &[
    ("malloc", &["malloc,A,10007,,", "free,A,,,"]),
    ("calloc", &["calloc,A,30027,,", "free,A,,,"]),
    ("realloc", &["malloc,A,10007,,", "realloc,B,20011,A,", "free,B,,,"]),
    ("reallocarray", &["malloc,A,10007,,", "reallocarray,B,20027,A,", "free,B,,,"]),
    ("realloc_null", &["realloc,A,10037,0x0,", "free,A,,,"]),
    ("reallocarray_null", &["reallocarray,A,10031,0x0,", "free,A,,,"]),
    ("posix_memalign", &["posix_memalign,A,10039,,64", "free,A,,,"]),
    ("aligned_alloc", &["aligned_alloc,A,10061,,128", "free,A,,,"]),
    ("memalign", &["memalign,A,10067,,256", "free,A,,,"]),
    ("valloc", &["valloc,A,10069,,", "free,A,,,"]),
    ("pvalloc", &["pvalloc,A,10079,,", "free,A,,,"]),
    ("cfree", &["malloc,A,10091,,", "cfree,A,,,"]),
    ("old_cfree", &["malloc,A,10093,,", "cfree,A,,,"]),
    ("free_sized", &["malloc,A,10099,,", "free_sized,A,10099,,"]),
    ("free_aligned_sized", &["aligned_alloc,A,10103,,64", "free_aligned_sized,A,10103,,64"]),
    ("free_null", &[]),
    ("malloc_zero", &["malloc,A,0,,", "free,A,,,"]),
    ("realloc_zero", &["malloc,A,10007,,", "realloc,B,0,A,"]),
    ("malloc_huge", &["malloc,A,5368709120,,", "free,A,,,"]),
    ("realloc_huge", &["malloc,A,10007,,", "realloc,B,5368709121,A,", "free_sized,B,5368709121,,"]),
    ("memalign_odd", &["memalign,A,10111,,48", "free,A,,,"]),
    ("memalign_odd_huge", &["memalign,A,5368709123,,48", "free,A,,,"]),
    ("malloc_fails", &["malloc,0x0,9223372036854775807,,"]),
    ("calloc_overflow", &["calloc,0x0,9223372036854775807,,"]),
    ("calloc_fails", &["calloc,0x0,9223372036854775800,,"]),
    ("realloc_fails", &["malloc,A,10007,,", "realloc,0x0,9223372036854775807,A,", "free,A,,,"]),
    (
        "reallocarray_overflow",
        &["malloc,A,10007,,", "reallocarray,0x0,9223372036854775807,A,", "free,A,,,"],
    ),
    ("reallocarray_null_overflow", &["reallocarray,0x0,9223372036854775807,0x0,"]),
    (
        "reallocarray_fails",
        &["malloc,A,10007,,", "reallocarray,0x0,9223372036854775800,A,", "free,A,,,"],
    ),
    ("posix_memalign_bad", &["posix_memalign,0x0,10039,,24"]),
    ("posix_memalign_fails", &["posix_memalign,0x0,9223372036854775807,,64"]),
    ("aligned_alloc_bad", &["aligned_alloc,0x0,10061,,9223372036854775807"]),
    ("memalign_fails", &["memalign,0x0,9223372036854775807,,256"]),
    ("valloc_fails", &["valloc,0x0,9223372036854775807,,"]),
    ("pvalloc_fails", &["pvalloc,A,9223372036854775807,,", "free,A,,,"]),
];

/// Runs a case with and without the library, with these variables, and checks all that it says.
fn check(case: &str, expected: &[&str], variables: &[(&str, &str)]) {
    let sandbox = setup(case);
    let host = || {
        let host = sandbox.program("hooks").arg(case);
        variables.iter().fold(host, |host, (name, value)| host.env(name, value))
    };
    let alone = host().run_alone();
    assert!(alone.status.success(), "{alone:?}");
    assert_eq!(said(&alone)["changed"], ["0"], "{case}: errno changed by a call that succeeded");
    if case == "pvalloc_fails" {
        // There is an allocator that takes this for 0, but it is not libc.
        assert_eq!(said(&alone)["A"], ["0x0"]);
    }
    compare(case, expected, &alone, &host().run());
}

/// Compares what a case says with the library with what it says without it, and with its rows.
pub fn compare(case: &str, expected: &[&str], alone: &Output, run: &Run) {
    assert_eq!(outcome(&run.output).0, alone.status, "{case}: {:?}", run.output);
    assert_eq!(run.output.stderr, b"", "{case}");
    let (alone, hooked) = (said(alone), run.said());
    for name in ["errno", "result", "changed"] {
        assert_eq!(alone[name], hooked[name], "{case}: {name} without and with the library");
    }
    for name in ["A", "B"] {
        let failed = |address: &[String]| address == ["0x0"];
        assert_eq!(failed(&alone[name]), failed(&hooked[name]), "{case}: {name} without and with");
    }
    let expected: Vec<_> = (expected.iter())
        .map(|row| row.replace(",A,", &format!(",{},", hooked["A"][0])))
        .map(|row| row.replace(",B,", &format!(",{},", hooked["B"][0])))
        // Releasing what an allocator has refused is no event.
        .filter(|row| !(row.contains("free") && row.contains(",0x0,")))
        .collect();
    assert_eq!(run.trace().window(), expected, "{case}");
}

#[test]
fn every_case_of_the_program_is_checked() {
    let sandbox = setup("cases");
    let output = sandbox.program("hooks").run_alone();
    let cases = String::from_utf8(output.stdout).unwrap();
    let tested: BTreeSet<_> = CASES.iter().map(|(name, _)| *name).collect();
    assert_eq!(cases.lines().collect::<BTreeSet<_>>(), tested);
}

#[test]
fn each_call_leaves_its_rows_and_nothing_else() {
    for (case, expected) in CASES {
        check(case, expected, &[]);
    }
}

/// The recorder's slow path does all the work with this clock.
#[test]
fn the_same_with_the_portable_clock() {
    for (case, expected) in CASES {
        check(case, expected, &[("MALLOOK_CLOCK", "monotonic")]);
    }
}

#[test]
fn the_same_in_a_ring() {
    for (case, expected) in CASES {
        check(case, expected, &[("MALLOOK_MODE", "ring"), ("MALLOOK_SIZE", "80K")]);
    }
}

/// `start_ns` is there exactly where a block died before another one was born, and not after.
#[test]
fn only_reallocations_have_a_start() {
    let sandbox = setup("start");
    let rows = sandbox.program("exact").run().expect(0).trace().rows();
    let mut reallocations = 0;
    for row in rows {
        assert_eq!(row.start_ns.is_some(), row.moments() == 2, "{row:?}");
        if let Some(start) = row.start_ns {
            assert!(start <= row.time_ns, "{row:?}");
            reallocations += 1;
        }
    }
    assert_eq!(reallocations, 3);
}
