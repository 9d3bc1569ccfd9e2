//! Robustness, cases B about processes and places. The names begin with the numbers of the cases.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use crate::artifacts::artifacts;
use crate::building::{lives, preload};
use crate::exec::EXEC_MARKER;
use crate::sandbox::{Host, Run, Sandbox, copy_program, number, said, setup, skip};
use crate::trace::{Row, Trace, dump, rows};

fn processes<'a>(sandbox: &'a Sandbox, case: &str, number: usize) -> Host<'a> {
    sandbox.program("processes").args([case, &number.to_string()])
}

/// The parent's trace has all of its own, and is no child's.
fn check_parent(run: &Run) -> Vec<Row> {
    let parent = run.trace_of(run.pids("parent")[0]);
    assert_eq!(parent.identities().first(), Some(&20_001));
    assert_eq!(parent.identities().last(), Some(&20_005));
    parent.rows()
}

/// The number of forks is `MALLOOK_FORKS`, 10 000 if that is not set: `fork`, and the system call
/// that libc does not know of, in turn.
#[test]
fn b1_ten_thousand_forks() {
    let (sandbox, forks) = (setup("b1_forks"), number("MALLOOK_FORKS", 10_000));
    let run = processes(&sandbox, "forks", forks).run().expect(0).sound();
    assert_eq!(run.traces.len(), forks + 1);
    let of_child = |size: u64| (1_001..1_001 + 2 * forks as u64).contains(&size) && size % 2 == 1;
    let parent = run.pids("parent")[0];
    assert!(run.trace_of(parent).identities().iter().all(|&size| !of_child(size) || size > 20_000));
    let mut found = HashMap::<u32, Vec<u64>>::new();
    for traces in run.traces.chunks(1_000) {
        let output = dump(&["--format", "csv"], &traces.iter().collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(0));
        for row in rows(&String::from_utf8(output.stdout).unwrap()) {
            assert_eq!(row.pid, row.tid, "{row:?}");
            if row.pid != parent {
                found.entry(row.pid).or_default().extend(row.size.or(Some(0)));
            }
        }
    }
    // In the order of their birth, each child has its own pair, and nothing else.
    // Two may have the same number, one after the other.
    let mut expected = HashMap::<u32, Vec<u64>>::new();
    for (turn, pid) in (0..).zip(run.pids("child")) {
        expected.entry(pid).or_default().extend([1_001 + 2 * turn, 0]);
    }
    assert_eq!(found, expected);
}

fn check_children(run: &Run, forks: usize) {
    let children = run.pids("child");
    assert_eq!(children.len(), forks);
    assert_eq!(run.traces.len(), forks + 1);
    for child in run.traces_of(&children) {
        let rows = child.rows();
        assert_eq!(lives(&rows, |size| size == 20_003), (5_000, 5_000), "{child:?}");
        assert_eq!(lives(&rows, |size| size == 501), (0, 0), "{child:?}: its parent's");
    }
    let rows = check_parent(run);
    assert_eq!(lives(&rows, |size| size == 20_003), (0, 0));
    let (births, deaths) = lives(&rows, |size| size == 501);
    assert!(births > 0 && births == deaths, "{births}, {deaths}");
}

#[test]
fn b1_b3_fork_from_a_thread_while_64_others_allocate() {
    let sandbox = setup("b1_crowd");
    let run = processes(&sandbox, "crowd", 40).run().expect(0).sound();
    check_children(&run, 40);
}

/// Without libc's handlers, so over an allocator that has no locks either.
#[test]
fn b1_b3_raw_clone_from_a_thread_while_64_others_allocate() {
    let sandbox = setup("b1_raw");
    let host = processes(&sandbox, "raw_crowd", 40);
    let run = host.env("LD_PRELOAD", preload(&[], &[&sandbox.library("bump")]));
    check_children(&run.run().expect(0).sound(), 40);
}

/// Every event of the other threads is their first one: at each fork some of them are where blocks
/// are claimed and thread buffers are taken. A lock there would be held for ever in the child.
#[test]
fn b3_fork_while_others_are_in_the_slow_path() {
    let sandbox = setup("b3");
    let run = processes(&sandbox, "slow", 200).run().expect(0).sound();
    check_children(&run, 200);
    // There they look for blocks of dead threads. More blocks than threads, or some find none.
    let host = processes(&sandbox, "slow", 100).ring("2M").env("MALLOOK_PREFIX", "ring");
    let run = Run::of(host.run().expect(0).output, &sandbox, "ring").sound();
    assert_eq!(run.traces.len(), 101);
}

/// In a PID namespace, so that no one else takes the number.
#[test]
fn b1_the_same_pid_again_and_again() {
    let sandbox = setup("b1_pid");
    let Some(host) = in_a_pid_namespace("b1_the_same_pid_again_and_again", &sandbox) else {
        return;
    };
    let output = host.arg(artifacts().program("processes")).args(["reuse", "20"]).run_alone();
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]), "{output:?}");
    let run = Run::of(output, &sandbox, "trace").sound();
    let pids = run.pids("reused");
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
    let children: Vec<_> = run.traces.iter().filter(|t| t.identity().0 == pids[0]).collect();
    let of = |trace: &&Trace| trace.rows().iter().filter_map(|row| row.size).collect::<Vec<_>>();
    let mut sizes = children.iter().flat_map(of).collect::<Vec<_>>();
    sizes.sort_unstable();
    assert_eq!(sizes, (0..20).map(|turn| 1_001 + 2 * turn).collect::<Vec<_>>());
    assert_eq!(children.len(), 20);
    check_parent(&run);
}

/// The host that runs a program under the library in a PID namespace of its own, with numbers of its own.
pub fn in_a_pid_namespace<'a>(test: &str, sandbox: &'a Sandbox) -> Option<Host<'a>> {
    let mut unshare = vec!["--pid", "--fork", "--mount-proc"];
    if !is_root() {
        unshare.splice(0..0, ["--user", "--map-root-user"]);
    }
    let host = || sandbox.command("unshare").args(&unshare);
    if !host().arg("true").run_alone().status.success() {
        skip(test, "the right to make a PID namespace");
        return None;
    }
    let library = format!("LD_PRELOAD={}", preload(&[], &[]).to_str().unwrap());
    Some(host().args(["env", &library, "MALLOOK_PREFIX=trace"]))
}

pub fn is_root() -> bool {
    // SAFETY: geteuid(2) has no precondition and always succeeds.
    unsafe { libc::geteuid() == 0 }
}

/// `clone(CLONE_VM | CLONE_VFORK)`, as `posix_spawn` and Go do it, and `vfork`: the children change
/// their parent's heap, and their events stand in its trace, also where they need new blocks.
#[test]
fn b2_children_in_their_parents_memory() {
    let sandbox = setup("b2");
    let run = processes(&sandbox, "shared", 20).run().expect(0).sound();
    assert_eq!(run.traces.len(), 1);
    let rows = check_parent(&run);
    assert_eq!(lives(&rows, |size| size == 20_009), (60_000, 60_000));
    assert_eq!(lives(&rows, |size| size == 20_007), (60_000, 60_000));
}

/// A child that shares a thread's TLS gives that thread the place it writes to. It must not count as
/// the dead child's when the thread goes on, nor as another thread's: that one goes on, too.
#[test]
fn b2_on_a_thread_that_had_not_recorded() {
    let sandbox = setup("b2_lent");
    let run = processes(&sandbox, "lent", 0).run().expect(0).sound();
    let rows = check_parent(&run);
    assert_eq!(lives(&rows, |size| size == 20_011), (10, 10));
    assert_eq!(lives(&rows, |size| size == 20_013), (300_000, 300_000));
    let thread: u32 = run.said()["thread"][0].parse().unwrap();
    let lent = rows.iter().filter(|row| matches!(row.size, Some(20_011 | 20_013)));
    assert_eq!(lent.filter(|row| row.tid != thread).count(), 0, "not of thread {thread}");
}

/// A child keeps nothing of its ancestors' traces: neither descriptors nor mappings.
#[test]
fn b1_children_let_go_of_their_ancestors_traces() {
    for (ring, descriptors) in [(false, "0"), (true, "0")] {
        let sandbox = setup("b1_lineage");
        let host = processes(&sandbox, "lineage", 5);
        let run = if ring { host.ring("1M").run() } else { host.run() }.expect(0).sound();
        let said = run.said();
        assert_eq!(
            (&*said["descriptors"][0], &*said["mappings"][0]),
            (descriptors, "1"),
            "ring: {ring}"
        );
        assert_eq!(run.traces.len(), 6);
    }
}

/// Forked children of forked children, fifty deep: each has as many mappings and as much address
/// space as its parent.
#[test]
fn b1_a_deep_lineage_takes_no_address_space() {
    for ring in [false, true] {
        let sizes = [5, 50].map(|depth| {
            let sandbox = setup("b1_deep");
            let host = processes(&sandbox, "lineage", depth);
            let run = if ring { host.ring("64M").run() } else { host.run() }.expect(0).sound();
            let said = run.said();
            ["lines", "kib"].map(|name| said[name][0].parse::<u64>().unwrap())
        });
        let [[lines, kib], [deep_lines, deep_kib]] = sizes;
        assert!(deep_lines <= lines + 1, "ring {ring}: {sizes:?} mappings and KiB");
        assert!(deep_kib <= kib + 64, "ring {ring}: {sizes:?} mappings and KiB");
    }
}

/// A child that leaves nothing but a marker leaves it for the thread whose memory it uses: what that
/// thread does then is its own.
#[test]
fn b2_a_thread_that_starts_a_program_first() {
    let sandbox = setup("b2_start");
    let run = processes(&sandbox, "start", 0).run().expect(0).sound();
    let thread: u32 = run.said()["thread"][0].parse().unwrap();
    let rows = check_parent(&run);
    let tids = rows.iter().filter(|row| row.size == Some(20_015)).map(|row| row.tid);
    assert_eq!(tids.collect::<Vec<_>>(), [thread; 10]);
    let sizes = run.trace_of(run.pids("parent")[0]).sizes();
    assert!(sizes.iter().any(|line| line == EXEC_MARKER), "the child's marker");
}

/// The first to allocate is a child in somebody else's memory: the trace is that one's all the same,
/// and so is the end.
#[test]
fn b2_the_first_to_allocate_is_a_guest() {
    let sandbox = setup("b2_first");
    let run = processes(&sandbox, "first", 0).run().expect(0).sound();
    let (parent, child) = (run.pids("parent")[0], run.pids("child")[0]);
    assert_eq!(run.traces.len(), 2);
    for (pid, sizes) in [(parent, &[20_019, 20_001, 20_005][..]), (child, &[20_023, 20_025])] {
        let trace = run.trace_of(pid);
        assert_eq!(trace.identities(), sizes);
        assert!(trace.rows().iter().all(|row| row.tid == pid), "rows of other threads");
        assert_eq!(trace.info().ending(), "exited");
    }
    assert_eq!(run.trace_of(child).info().get("process"), format!("{child}, child of {parent}"));
}

/// The child's end is not its parent's: that is not marked, and no space is given back.
#[test]
fn b2_a_child_in_its_parents_memory_exits() {
    let sandbox = setup("b2_leave");
    let run = processes(&sandbox, "leave", 0).run().expect(0).sound();
    assert_eq!(lives(&check_parent(&run), |size| size == 20_017), (3_000, 3_000));
    let sizes = run.trace_of(run.pids("parent")[0]).sizes();
    let end = sizes.iter().position(|line| line == "@ End");
    let last = sizes.iter().rposition(|line| line.contains("20005"));
    assert!(end.is_none_or(|end| Some(end) > last), "{end:?}, {last:?}");
}

/// Runs a case of `places.c` with its trace in the directory `out`. It must end with 9, and its
/// child with 7, whatever happens.
fn places(sandbox: &Sandbox, case: &str) -> Run {
    fs::create_dir(sandbox.path().join("out")).unwrap();
    let run = sandbox.program("places").arg(case).env("MALLOOK_PREFIX", "out/trace").run();
    assert_eq!(run.output.status.code(), Some(9), "{:?}", run.output);
    assert_eq!(run.said()["ended"], ["7"]);
    run
}

/// Everything that the first process did.
fn check_first(run: &Run) {
    assert_eq!(run.trace().identities(), [20_001, 20_005]);
    assert_eq!(lives(&run.trace().rows(), |size| size == 601), (40_000, 40_000));
}

/// The traces in another directory of the sandbox.
fn in_directory(run: Run, sandbox: &Sandbox, directory: &str, prefix: &str) -> Run {
    found_in(run, sandbox, directory, prefix).sound()
}

/// As [`in_directory`], whether or not something was lost.
fn found_in(run: Run, sandbox: &Sandbox, directory: &str, prefix: &str) -> Run {
    let mut found = Run::of(run.output, sandbox, "nothing");
    for entry in sandbox.path().join(directory).read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with(prefix) {
            found.traces.push(Trace::new(path));
        }
    }
    found
}

/// One line about the one process that could not create its trace, in which nothing else failed.
fn check_line(run: &Run) {
    let stderr = String::from_utf8(run.output.stderr.clone()).unwrap();
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("mallook: ") && stderr.contains("/out/trace"), "{stderr}");
}

#[test]
fn b11_the_directory_is_left() {
    let sandbox = setup("b11_leave");
    let run = in_directory(places(&sandbox, "leave"), &sandbox, "out", "trace.");
    assert_eq!(&*run.output.stderr, b"");
    assert_eq!(run.traces.len(), 2, "the child finds the directory");
}

/// By `chroot`, and by `pivot_root` in a mount namespace. The trace grows on; a child cannot create
/// one of its own.
#[test]
fn b11_the_root_is_changed() {
    if !is_root() {
        skip("b11_the_root_is_changed", "root");
        return;
    }
    for case in ["jail", "pivot"] {
        let sandbox = setup(case);
        let run = in_directory(places(&sandbox, case), &sandbox, "out", "trace.");
        check_first(&run);
        check_line(&run);
    }
}

/// Another name keeps the file, so that it can be looked at.
#[test]
fn b11_the_directory_is_deleted() {
    let sandbox = setup("b11_erase");
    let run = found_in(places(&sandbox, "erase"), &sandbox, ".", "kept.");
    assert_eq!(run.output.status.code(), Some(9), "{:?}", run.output);
    // The file cannot grow any more: what comes after the length that it has is counted.
    let info = run.trace().info();
    assert!(info.lost() > 0, "{info:?}");
    assert!(info.present() * 16 > 1_000_000 && info.present() + info.lost() > 80_000, "{info:?}");
    let stderr = String::from_utf8_lossy(&run.output.stderr).into_owned();
    let said = ["mallook: nothing is recorded: ", "mallook: events are lost for now: "];
    let starts = |line: &str| said.iter().any(|start| line.starts_with(start));
    assert!(stderr.lines().count() == 2 && stderr.lines().all(starts), "{stderr}");
    assert!(!sandbox.path().join("out").exists());
}

#[test]
fn b12_rights_are_dropped() {
    if !is_root() {
        skip("b12_rights_are_dropped", "root");
        return;
    }
    let sandbox = setup("b12");
    let run = in_directory(places(&sandbox, "drop"), &sandbox, "out", "trace.");
    check_first(&run);
    check_line(&run);
}

/// The library is a dependency here, since the loader takes no preloaded one from the user of a
/// setuid program: it has to see by itself that nothing may be written.
#[test]
fn b13_a_setuid_program_writes_nothing() {
    if !is_root() {
        skip("b13_a_setuid_program_writes_nothing", "root");
        return;
    }
    // Where the other user can come and write.
    let directory = tempfile::tempdir().unwrap();
    let open = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    open(directory.path(), 0o777);
    let library = directory.path().join("libmallook.so");
    fs::copy(&artifacts().library, &library).unwrap();
    open(&library, 0o755);
    let sandbox = setup("b13");
    let linked = ["-Wl,--no-as-needed", library.to_str().unwrap()];
    let built = sandbox.build("places.c", "program", &linked);
    let program = directory.path().join("program");
    copy_program(&built, &program);

    let run = |mode: u32, owner: u32| {
        chown(&program, Some(owner), None).unwrap();
        open(&program, mode);
        let host = sandbox.command(&program).arg("stay");
        let host = host.env("MALLOOK_PREFIX", directory.path().join("trace"));
        // Not even this mistake is told to whoever set the variable.
        let output = host.env("MALLOOK_MODE", "nonsense").run_alone();
        assert_eq!(output.status.code(), Some(9), "{output:?}");
        let names = directory.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name());
        let traces = names.filter(|name| name.to_str().unwrap().starts_with("trace.")).count();
        (said(&output)["secure"][0].clone(), traces, output.stderr.is_empty())
    };
    assert_eq!(run(0o4755, 65_534), ("1".to_owned(), 0, true), "setuid");
    assert_eq!(run(0o755, 65_534), ("0".to_owned(), 2, false), "the same without the right");
}
