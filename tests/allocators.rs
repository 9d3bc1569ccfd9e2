//! Every allocator below us: glibc, and jemalloc, tcmalloc and mimalloc, each preloaded after us and
//! each linked into the program. All is as without us, the gaps of an allocator included.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::artifacts::tests;
use crate::building::preload;
use crate::hooks;
use crate::sandbox::{Host, Sandbox, outcome, said, setup, skip};

/// Its library, and the cases of `hooks.c` on which a program dies without us: what the allocator
/// does not define is libc's then, which does not know its blocks.
pub const ALLOCATORS: [(&str, &[&str]); 3] = [
    ("libjemalloc.so.2", &["pvalloc", "old_cfree"]),
    ("libtcmalloc_minimal.so.4", &[]),
    ("libmimalloc.so.2", &[]),
];

/// Where the loader finds a library.
pub fn find(library: &str) -> Option<PathBuf> {
    let cache = Command::new("/sbin/ldconfig").arg("-p").output().ok()?;
    let cache = String::from_utf8_lossy(&cache.stdout).into_owned();
    let mut lines = cache.lines().filter(|line| line.contains("x86-64"));
    let line = lines.find(|line| line.trim_start().starts_with(&format!("{library} ")))?;
    line.split(" => ").nth(1).map(PathBuf::from)
}

/// A way to run a program over an allocator.
pub enum Way {
    Libc,
    Preloaded(PathBuf),
    Linked(PathBuf),
}

impl Way {
    /// A program over the allocator; to be run under our library, or alone.
    pub fn host<'a>(&self, sandbox: &'a Sandbox, program: &str, hooked: bool) -> Host<'a> {
        match self {
            Way::Libc => sandbox.program(program),
            Way::Preloaded(library) => {
                let list = if hooked { preload(&[], &[library]) } else { library.into() };
                sandbox.program(program).env("LD_PRELOAD", list)
            }
            Way::Linked(library) => {
                let library = library.to_str().unwrap();
                let options = ["-Wl,--no-as-needed", library];
                let source = |end| format!("{program}.{end}");
                let is_c = tests().join("programs").join(source("c")).exists();
                let source = source(if is_c { "c" } else { "cc" });
                sandbox.command(sandbox.build(&source, "linked", &options))
            }
        }
    }

    pub fn name(&self) -> String {
        let base = |library: &Path| library.file_name().unwrap().to_string_lossy().into_owned();
        match self {
            Way::Libc => "libc".to_owned(),
            Way::Preloaded(library) => format!("{} preloaded", base(library)),
            Way::Linked(library) => format!("{} linked", base(library)),
        }
    }
}

/// Does something for each allocator other than libc and each way; also told what is missing.
pub fn for_each(test: &str, mut work: impl FnMut(&Way, &[&str])) {
    for (name, missing) in ALLOCATORS {
        let Some(library) = find(name) else {
            skip(test, name);
            continue;
        };
        work(&Way::Preloaded(library.clone()), missing);
        work(&Way::Linked(library), missing);
    }
}

#[test]
fn c7_the_checker_of_all_hooks_over_each_allocator() {
    for_each("c7", |way, missing| {
        println!("{}", way.name());
        // Linked once, run from each case's sandbox.
        let shared = setup("linked");
        drop(way.host(&shared, "hooks", true));
        let linked = shared.path().join("linked");
        for (case, expected) in hooks::CASES {
            let sandbox = setup(case);
            let host = |hooked| match way {
                Way::Linked(_) => sandbox.command(&linked).arg(case),
                _ => way.host(&sandbox, "hooks", hooked).arg(case),
            };
            let alone = host(false).run_alone();
            let run = host(true).run();
            if missing.contains(case) {
                assert!(alone.status.signal().is_some(), "{case} works without us: {alone:?}");
                let works = run.output.status.success();
                let same = run.output.status.signal() == alone.status.signal();
                assert!(works || same, "{case}: {:?}", run.output);
            } else {
                assert!(alone.status.success(), "{case}: {alone:?}");
                hooks::compare(case, expected, &alone, &run);
            }
        }
    });
}

/// All that `malloc_usable_size` promises may be written, and is as much as without us.
#[test]
fn c7_usable_sizes_are_promises_that_hold() {
    let check = |way: &Way| {
        let sandbox = setup("usable");
        let alone = way.host(&sandbox, "usable", false).run_alone();
        let run = way.host(&sandbox, "usable", true).run().expect(0);
        assert_eq!(outcome(&alone), outcome(&run.output), "{}", way.name());
        run.trace().check();
    };
    check(&Way::Libc);
    for_each("c7", |way, _| check(way));
}

/// Calls of five threads, each counted by the program.
#[test]
fn c7_threads_over_each_allocator() {
    let check = |way: &Way| {
        let sandbox = setup("over");
        let run = way.host(&sandbox, "threads", true).args(["5", "30000"]).run().expect(0);
        let trace = run.trace();
        trace.check();
        let info = trace.info();
        assert_eq!((info.lost(), info.overwritten()), (0, 0), "{}", way.name());
        let rows = trace.rows();
        let mut framed = 0;
        for rows in crate::trace::by_thread(rows).values().filter(|rows| rows.len() > 1000) {
            assert_eq!(crate::trace::window(rows).len(), 5 * 30_000, "{}", way.name());
            framed += 1;
        }
        assert_eq!(framed, 5, "{}", way.name());
    };
    check(&Way::Libc);
    for_each("c7", |way, _| check(way));
}

/// Result and `errno` after each of a table of good and bad calls: line by line as without us.
#[test]
fn c8_errno_is_what_it_would_be_without_us() {
    let check = |way: &Way| {
        let sandbox = setup("errno");
        let alone = way.host(&sandbox, "errors", false).run_alone();
        assert_eq!(alone.status.code(), Some(0), "{}: {alone:?}", way.name());
        for variables in [&[][..], &[("MALLOOK_CLOCK", "monotonic")], &[("MALLOOK_MODE", "ring")]] {
            let host = way.host(&sandbox, "errors", true);
            let host = variables.iter().fold(host, |host, (name, value)| host.env(name, value));
            let run = host.run();
            let (alone, hooked) = (outcome(&alone), outcome(&run.output));
            assert_eq!((alone.0, &alone.2), (hooked.0, &hooked.2), "{}", way.name());
            assert_eq!(alone.1.lines().count(), hooked.1.lines().count());
            for (number, (alone, hooked)) in alone.1.lines().zip(hooked.1.lines()).enumerate() {
                assert_eq!(alone, hooked, "{}: line {number} without and with", way.name());
            }
        }
    };
    check(&Way::Libc);
    for_each("c8", |way, _| check(way));
}

const ROUNDS: u64 = 2_200_000;

/// Two million blocks that one thread allocates and another one releases, whose addresses the first
/// is given again at once.
#[test]
fn c9_addresses_that_change_threads_at_once() {
    let check = |way: &Way, variables: &[(&str, &str)]| {
        let sandbox = setup("pingpong");
        let host = way.host(&sandbox, "pingpong", true).arg(ROUNDS.to_string());
        let run = variables.iter().fold(host, |host, (name, value)| host.env(name, value)).run();
        assert_eq!(outcome(&run.output).0.code(), Some(0), "{}: {:?}", way.name(), run.output);
        let said = said(&run.output);
        let number = |name: &str| said[name][0].parse::<u64>().unwrap();
        println!("{} {said:?}", way.name());
        assert_eq!(number("handed_over"), ROUNDS);
        assert!(number("moved") > ROUNDS / 2, "{}: {said:?}", way.name());
        let trace = run.trace();
        trace.check();
        let info = trace.info();
        assert_eq!((info.lost(), info.overwritten()), (0, 0), "{}", way.name());
        let counted = |kind: &str| info.get(&format!("events, {kind}")).parse::<u64>().unwrap();
        assert!(counted("malloc") >= ROUNDS && counted("free") >= ROUNDS);
    };
    let one_heap = "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1";
    check(&Way::Libc, &[("GLIBC_TUNABLES", one_heap)]);
    check(&Way::Libc, &[]);
    for_each("c9", |way, _| check(way, &[]));
}

/// Where system calls of the recorder fail, too.
#[test]
fn c8_errno_while_the_recorder_has_trouble() {
    for (case, ring) in
        [("descriptors", false), ("threads", false), ("threads", true), ("fork", false)]
    {
        let sandbox = setup("errno");
        let directory = sandbox.path().join("directory");
        std::fs::create_dir(&directory).unwrap();
        let host = sandbox.program("errno").arg(case);
        let host = match case {
            "fork" => host.arg(&directory).env("MALLOOK_PREFIX", directory.join("trace")),
            _ => host,
        };
        let run = if ring { host.ring("1M").run() } else { host.run() };
        assert_eq!(run.output.status.code(), Some(0), "{case}: {:?}", run.output);
        let said = said(&run.output);
        assert!(said["changed"].iter().all(|times| times == "0"), "{case}, ring {ring}: {said:?}");
    }
}
