//! Robustness, cases A: start-up and loading. The names begin with the numbers of the cases.

use std::fs;
use std::path::Path;

use crate::artifacts::artifacts;
use crate::building::{lives, preload};
use crate::sandbox::{Run, Sandbox, outcome, setup, skip, write_program};

/// Runs a case of `loading.c` with a library.
fn load(sandbox: &Sandbox, case: &str, library: &Path) -> Run {
    sandbox.program("loading").arg(case).arg(library).run().expect(0).sound()
}

/// The recorder works before libc is initialised and has an environment; and resolving the next
/// allocator takes no memory, or something would come before the first event.
#[test]
fn a1_the_first_act_of_a_program_is_to_allocate() {
    let sandbox = setup("a1_first");
    let run = sandbox.program("first").run().expect(0).sound();
    assert_eq!(run.trace().identities(), [20_031, 20_033, 20_035]);
    assert_eq!(run.trace().rows()[0].size, Some(20_031));
}

/// The text of the error is allocated by the loader: an event like any other.
#[test]
fn a1_a_failing_dlsym_allocates_its_error_text() {
    let sandbox = setup("a1_dlsym");
    let run = sandbox.program("first").arg("dlsym").run().expect(0).sound();
    let window = run.trace().window();
    let is_text = |line: &&String| line.starts_with("malloc,") || line.starts_with("calloc,");
    assert!(window.iter().filter(is_text).count() >= 2, "{window:#?}");
    assert!(window.len() < 40, "recursion: {window:#?}");
}

/// Libraries whose constructors allocate before ours is initialised, and after.
#[test]
fn a1_a4_other_preloaded_libraries_allocate_before_and_after() {
    let sandbox = setup("a4");
    let early = sandbox.library("early");
    for (prefix, value) in [("before", preload(&[&early], &[])), ("after", preload(&[], &[&early]))]
    {
        let host = sandbox.program("ends").env("LD_PRELOAD", value);
        let output = host.env("MALLOOK_PREFIX", prefix).run().expect(9).output;
        let run = Run::of(output, &sandbox, prefix).sound();
        let mut identities = run.trace().identities();
        assert_eq!(identities[..3], [20_021, 20_023, 20_001], "{prefix}");
        identities.sort_unstable();
        // The destructor runs after ours in one of the orders.
        let expected = [20_001, 20_011, 20_015, 20_021, 20_023, 20_025];
        assert_eq!(identities, expected, "{prefix}");
        // What comes after our marker does not hide it.
        assert_eq!(run.trace().info().ending(), "exited", "{prefix}");
        assert_eq!(lives(&run.trace().rows(), |size| size == 601), (5_000, 5_000), "{prefix}");
    }
}

#[test]
fn a2_dlopened_library_whose_constructor_starts_allocating_threads() {
    let sandbox = setup("a2_workers");
    let run = load(&sandbox, "workers", &sandbox.library("workers"));
    let rows = run.trace().rows();
    for size in (0..8).map(|thread| 1_001 + 2 * thread) {
        assert_eq!(lives(&rows, |s| s == size), (1_000, 1_000), "{size}");
    }
}

#[test]
fn a2_first_touch_of_dynamic_tls() {
    let sandbox = setup("a2_tls");
    let run = load(&sandbox, "dynamic_tls", &sandbox.library("tls"));
    touched(&run);
    let tls = lives(&run.trace().rows(), |size| (100_003..101_000).contains(&size));
    assert_eq!(tls.0, 8, "the loader's own allocations are recorded too");
}

/// The first touch after that makes a thread's table of TLS blocks grow, which reallocates it.
#[test]
fn a2_so_many_libraries_with_tls_that_tables_grow() {
    let (sandbox, copies) = (setup("a2_tables"), 64);
    let library = sandbox.library("tls");
    for copy in 0..copies {
        fs::copy(&library, format!("{}.{copy}", library.display())).unwrap();
    }
    let host = sandbox.program("loading").arg("dynamic_tls").arg(library);
    touched(&host.arg(copies.to_string()).run().expect(0).sound());
}

/// Every thread of `dynamic_tls` has touched the library's TLS.
fn touched(run: &Run) {
    let rows = run.trace().rows();
    for size in (0..8).map(|thread| 3_001 + 2 * thread) {
        assert_eq!(lives(&rows, |s| s == size), (100, 100), "{size}");
    }
}

/// Static TLS is scarce: ours is little enough to be loaded beside others, in every order.
#[test]
fn a3_beside_other_users_of_static_tls() {
    let jemalloc = Path::new("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2");
    if !jemalloc.exists() {
        skip("a3_beside_other_users_of_static_tls", "libjemalloc.so.2");
        return;
    }
    let sandbox = setup("a3");
    let tls = sandbox.library("static_tls");
    let orders = [
        preload(&[], &[jemalloc, &tls]),
        preload(&[], &[&tls, jemalloc]),
        preload(&[&tls], &[jemalloc]),
    ];
    for (number, order) in orders.iter().enumerate() {
        let prefix = format!("order{number}");
        let host = sandbox.program("pairs").args(["4", "1000"]).env("LD_PRELOAD", order);
        let output = host.env("MALLOOK_PREFIX", &prefix).run().expect(0).output;
        let run = Run::of(output, &sandbox, &prefix).sound();
        assert_eq!(run.trace().identities(), [20_041], "{order:?}");
        let ours = lives(&run.trace().rows(), |size| size <= 509 * 4);
        assert!(ours.0 >= 4_000 && ours.1 >= 4_000, "{order:?}: {ours:?}");
    }
}

#[test]
fn a4_the_environment_is_forgotten_before_a_fork() {
    let sandbox = setup("a4_clear");
    let run = sandbox.program("loading").arg("clear").run().expect(0).sound();
    assert_eq!(run.traces.len(), 2);
    assert_eq!(run.trace_of(run.pids("parent")[0]).identities(), [20_001, 20_005]);
    assert_eq!(run.trace_of(run.pids("child")[0]).identities(), [20_003]);
}

/// The very first act of the program: then there is no prefix, and the default is used, or the
/// prefix that the program was started with. Nothing is lost.
#[test]
fn a4_the_environment_is_forgotten_before_the_first_event() {
    let sandbox = setup("a4_first");
    let output = sandbox.program("first").arg("clear").run().expect(0).output;
    let prefix = if sandbox.traces("trace").is_empty() { "mallook.out" } else { "trace" };
    let run = Run::of(output, &sandbox, prefix).sound();
    assert_eq!(run.trace().identities(), [20_033, 20_035]);
}

/// A program whose own `dl_iterate_phdr` allocates; one that does not say where the loader's list is;
/// and both by a loader that is started as a program.
#[test]
fn a1_the_list_of_loaded_libraries() {
    let sandbox = setup("a1_list");
    let interposed = sandbox.build("special/interposed.c", "interposed", &[]);
    let mut bytes = fs::read(&interposed).unwrap();
    forget_debug(&mut bytes);
    let silent = sandbox.path().join("silent");
    write_program(&silent, &bytes);
    for (number, program) in [interposed, silent].iter().enumerate() {
        let loader = Path::new("/lib64/ld-linux-x86-64.so.2");
        for host in [sandbox.command(program), sandbox.command(loader).arg(program)] {
            let prefix = format!("list{number}");
            let output = host.env("MALLOOK_PREFIX", &prefix).run().expect(0).output;
            assert_eq!(output.stdout, b"alive\n");
            let run = Run::of(output, &sandbox, &prefix).sound();
            assert_eq!(lives(&run.trace().rows(), |size| size == 44_009), (1, 1));
            fs::remove_file(run.trace().path()).unwrap();
        }
    }
}

/// Gives the `DT_DEBUG` of a program's dynamic section another tag.
fn forget_debug(bytes: &mut [u8]) {
    let word = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let headers = word(bytes, 32) as usize;
    let dynamic = (0..usize::from(bytes[56]))
        .map(|index| headers + index * 56)
        .find(|&header| bytes[header..header + 4] == [2, 0, 0, 0])
        .unwrap();
    let (start, length) = (word(bytes, dynamic + 8) as usize, word(bytes, dynamic + 32) as usize);
    let mut entries = (start..start + length).step_by(16);
    let entry = entries.find(|&entry| word(bytes, entry) == 21).expect("DT_DEBUG");
    bytes[entry..entry + 8].copy_from_slice(&0x6000_0123u64.to_le_bytes());
}

/// Programs that no loader can put our library into, since they have none or are of another class:
/// their parent is traced on, and they run as ever.
#[test]
fn a5_children_of_another_class() {
    let sandbox = setup("a5");
    let foreign = ["-m32", "-static", "-nostdlib", "-ffreestanding", "-fno-pie", "-no-pie"];
    let children = [
        sandbox.build("special/static.c", "static", &["-static"]),
        sandbox.build("special/foreign.c", "foreign", &foreign),
    ];
    for (child, prefix) in children.iter().zip(["static", "foreign"]) {
        let host = || sandbox.program("loading").arg("child").arg(child);
        let alone = host().run_alone();
        let output = host().env("MALLOOK_PREFIX", "t").run().output;
        assert_eq!(outcome(&output), outcome(&alone), "{prefix}");
        // The shell of `system`, and whatever was started by vfork, comes besides.
        let run = Run::of(output, &sandbox, "t").sound();
        let parents = run.traces.iter().filter(|trace| trace.identities() == [20_001, 20_005]);
        assert_eq!(parents.count(), 1, "{prefix}");
        for trace in &run.traces {
            std::fs::remove_file(trace.path()).unwrap();
        }
    }
}

/// Runs a program by the launcher; its exit code, stdout and stderr.
fn launch(sandbox: &Sandbox, program: &Path) -> (Option<i32>, String, String) {
    let launcher = sandbox.command(&artifacts().mallook).args(["run", "-o", "trace", "--"]);
    let (status, stdout, stderr) = outcome(&launcher.arg(program).run_alone());
    (status.code(), stdout, stderr)
}

#[test]
fn a7_a_static_program_is_named_and_runs() {
    let sandbox = setup("a7_static");
    let program = sandbox.build("special/static.c", "program", &["-static"]);
    let (code, stdout, stderr) = launch(&sandbox, &program);
    assert_eq!((code, &*stdout), (Some(7), "static\n"), "{stderr}");
    assert!(stderr.contains("program: statically linked, so nothing"), "{stderr}");
    assert!(sandbox.traces("trace").is_empty());
}

#[test]
fn a7_a_program_with_its_own_malloc_is_named_and_runs() {
    let sandbox = setup("a7_own");
    let program = sandbox.build("special/own.c", "program", &[]);
    let (code, stdout, stderr) = launch(&sandbox, &program);
    assert_eq!((code, &*stdout), (Some(7), "own\n"), "{stderr}");
    let says = |line: &&str| line.contains("program defines its own malloc: what that does not");
    assert_eq!(stderr.lines().filter(says).count(), 1, "{stderr}");
    // What it does not define itself is recorded, and sound.
    for trace in sandbox.traces("trace") {
        assert_eq!(trace.dump(&["--check"]).status.code(), Some(0));
        assert!(trace.read(&["--info"]).contains("\nmalloc: another one; what it did not pass on"));
    }
    // Any process of a tree says it, once with its forked children; and nothing where all is well.
    let host =
        sandbox.command("/bin/sh").arg("-c").arg(format!("true; {0}; {0}", program.display()));
    let stderr = String::from_utf8(host.run().output.stderr).unwrap();
    let says = |line: &&str| line.starts_with("mallook: ") && says(line);
    assert_eq!(stderr.lines().filter(says).count(), 2, "{stderr}");
    assert_eq!(stderr.lines().count(), 2, "{stderr}");
}

/// An allocator before us in `LD_PRELOAD` gets all calls.
#[test]
fn a7_an_allocator_before_us_is_named() {
    let Some(jemalloc) = crate::allocators::find("libjemalloc.so.2") else {
        skip("a7_an_allocator_before_us_is_named", "libjemalloc.so.2");
        return;
    };
    let sandbox = setup("a7_before");
    let host = || sandbox.command("/bin/ls").args(["-d", "/"]);
    let alone = host().run_alone();
    let output = host().env("LD_PRELOAD", preload(&[&jemalloc], &[])).run().output;
    let (alone, hooked) = (outcome(&alone), outcome(&output));
    assert_eq!((alone.0, alone.1), (hooked.0, hooked.1));
    let expected = "libjemalloc.so.2 defines malloc and is loaded before libmallook: what it does";
    assert!(hooked.2.contains(expected) && hooked.2.lines().count() == 1, "{}", hooked.2);
}

/// It would end with a sentence of the sanitizer's that does not name the cause.
#[test]
fn a7_c12_a_sanitized_program_is_refused() {
    let sandbox = setup("a7_asan");
    let program = sandbox.build("special/static.c", "program", &["-fsanitize=address"]);
    let alone = sandbox.command(&program).run_alone();
    assert_eq!(alone.status.code(), Some(7), "{alone:?}");
    let (code, stdout, stderr) = launch(&sandbox, &program);
    assert_eq!((code, &*stdout), (Some(125), ""), "{stderr}");
    assert!(stderr.contains("program: built with a sanitizer"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(sandbox.traces("trace").is_empty());
}

/// Blocks that come from behind the hooks and are released through them.
#[test]
fn a8_releases_of_addresses_that_were_never_seen() {
    let sandbox = setup("a8");
    let direct = sandbox.library("direct");
    let bound = ["-shared", "-fPIC", "-Wl,-Bsymbolic"];
    let symbolic = sandbox.build("special/direct.c", "symbolic.so", &bound);
    for (case, library) in [("by_name", &direct), ("by_name", &symbolic)] {
        let output = sandbox.program("loading").arg(case).arg(library).run().expect(0).output;
        let run = Run::of(output, &sandbox, "trace").sound();
        let window = run.trace().window();
        assert_eq!(window.len(), 25, "{case}: {window:#?}");
        assert!(window.iter().all(|row| row.starts_with("free,0x")), "{case}: {window:#?}");
        let check = String::from_utf8(run.trace().dump(&["--check"]).stdout).unwrap();
        assert!(check.contains(" 25 releases of memory from elsewhere"), "{check}");
        std::fs::remove_file(run.trace().path()).unwrap();
    }
}

/// A library that looks for its functions in libc first, from its constructor on.
#[test]
fn a8_libraries_that_are_bound_deeply() {
    let sandbox = setup("a8_deep");
    let deep = sandbox.library("deep");
    for case in ["deepbind", "deepbind_base"] {
        let run = load(&sandbox, case, &deep);
        let rows = run.trace().rows();
        for size in [45_007, 45_013, 45_033, 45_053, 45_061, 45_077, 45_083, 45_121] {
            let found = rows.iter().filter(|row| row.size == Some(size) && !row.is_free());
            assert_eq!(found.count(), 1, "{case}: {size}");
        }
        assert_eq!(lives(&rows, |size| (45_000..45_100).contains(&size)), (7, 6), "{case}");
        let check = String::from_utf8(run.trace().dump(&["--check"]).stdout).unwrap();
        assert!(check.contains(" 0 releases of memory from elsewhere"), "{check}");
        fs::remove_file(run.trace().path()).unwrap();
    }
    let run = load(&sandbox, "deep", &sandbox.library("direct"));
    assert_eq!(lives(&run.trace().rows(), |size| size == 40_000_001), (25, 25));
}

/// Where libc's table cannot be changed, one line says so, nothing else changes, and what the library
/// takes past us shows when it is released.
#[test]
fn a8_deep_binding_where_mprotect_is_refused() {
    let sandbox = setup("a8_refused");
    let direct = sandbox.library("direct");
    let host = sandbox.program("deny").args([&libc::EACCES.to_string(), "mprotect", "--"]);
    let host = host.arg(artifacts().program("loading")).arg("deep").arg(&direct);
    let host = host.env("DENIED_PRELOAD", &artifacts().library).env("MALLOOK_PREFIX", "trace");
    let output = host.run_alone();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let line = "mallook: a library is loaded with RTLD_DEEPBIND, and its allocations cannot be \
                recorded: mprotect is refused\n";
    assert_eq!(String::from_utf8_lossy(&output.stderr), line);
    let run = Run::of(output, &sandbox, "trace").sound();
    let rows = run.trace().rows();
    assert_eq!(lives(&rows, |size| size == 40_000_001), (0, 0));
    assert!(run.trace().read(&["--info"]).contains("\nreleases of memory never seen: 25\n"));
}

/// Libraries behind us that wrap functions ask libc for the real ones when they need them, and must
/// not find us there.
#[test]
fn a8_wrappers_behind_us_and_a_library_that_is_bound_deeply() {
    let sandbox = setup("a8_wrapper");
    let (deep, wrapper) = (sandbox.library("deep"), sandbox.library("wrapper"));
    let host = sandbox.program("loading").arg("deepbind").arg(&deep);
    let run = host.env("LD_PRELOAD", preload(&[], &[&wrapper])).run().expect(0);
    assert_eq!(run.said()["wrapped"], ["1"]);
    let rows = run.trace().rows();
    // What goes to the wrapper goes past it from there, as without us; the rest is recorded.
    assert_eq!(lives(&rows, |size| size == 45_061).0, 1);
    assert_eq!(lives(&rows, |size| size == 45_121), (1, 1));
}

/// The allocator gives the same address out again, and nobody sees it: no double death.
#[test]
fn a8_releases_of_one_address_that_was_never_seen_again_and_again() {
    let sandbox = setup("a8_again");
    let run = load(&sandbox, "again", &sandbox.library("direct"));
    assert_eq!(run.trace().window().len(), 50);
}

#[test]
fn a8_a_libc_in_a_name_space_of_its_own() {
    let sandbox = setup("a8_space");
    let run = load(&sandbox, "space", Path::new(""));
    assert_eq!(run.trace().identities(), [20_063]);
    assert_eq!(run.trace().window().len(), 2);
}

#[test]
fn b16_a_library_that_is_loaded_and_unloaded_a_thousand_times() {
    let sandbox = setup("b16");
    let library = sandbox.library("churn");
    let host = sandbox.program("loading").arg("loop").arg(library).arg("1000");
    let run = host.run().expect(0).sound();
    assert_eq!(lives(&run.trace().rows(), |size| size == 20_051), (7_000, 7_000));
}
