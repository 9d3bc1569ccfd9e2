//! Descriptors: none is held, and a host may take all. System calls: few, and a host may forbid more.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use crate::processes::is_root;
use crate::sandbox::{Run, Sandbox, said, setup, skip};

/// Calls of `descriptors.c` after the trick: twice half a million, which is 16 MB of trace.
const MOMENTS: u64 = 1_000_000;

fn run(sandbox: &Sandbox, how: &str) -> Run {
    sandbox.program("descriptors").arg(how).run()
}

/// No descriptor is held, so none is taken; the file grows under its name.
#[test]
fn b10_a_host_that_takes_all_descriptors() {
    for how in ["close_range", "loop", "proc", "dup2", "dup2_low"] {
        let sandbox = setup("taken");
        let alone = sandbox.program("descriptors").arg(how).run_alone();
        assert_eq!(alone.status.code(), Some(6), "{how}: {alone:?}");
        let run = run(&sandbox, how).expect(6);
        let trace = run.trace();
        trace.check();
        let info = trace.info();
        assert_eq!((info.lost(), info.overwritten(), info.ending()), (0, 0, "exited"), "{how}");
        let sized = |size| trace.rows().iter().filter(|row| row.size == Some(size)).count() as u64;
        assert_eq!(sized(20_003), MOMENTS / 2, "{how}");
        if how == "dup2" {
            assert_eq!(run.said()["replaced"], ["0"], "no descriptor is ours");
        }
        assert_eq!(trace.identities(), expected_identities(), "{how}");
    }
}

fn expected_identities() -> Vec<u64> {
    let middle = std::iter::repeat_n(20_003, MOMENTS as usize / 2);
    std::iter::once(20_001).chain(middle).chain([20_005]).collect()
}

/// The directory is gone as well: one line, and what does not fit into the length that the file has
/// is counted.
#[test]
fn b10_a_host_that_takes_the_directory_too() {
    for how in ["close_range", "loop", "proc", "dup2", "dup2_low"] {
        let sandbox = setup("gone");
        let directory = sandbox.path().join("directory");
        fs::create_dir(&directory).unwrap();
        let host = sandbox.program("descriptors").arg(how);
        let host = host.args([sandbox.path().join("kept"), directory.clone()]);
        let run = host.env("MALLOOK_PREFIX", directory.join("trace")).run();
        let stderr = String::from_utf8_lossy(&run.output.stderr).into_owned();
        assert_eq!(run.output.status.code(), Some(6), "{how}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{how}: {stderr}");
        assert!(stderr.starts_with("mallook: events are lost for now: "), "{how}: {stderr}");
        let kept = sandbox.traces("kept");
        let [trace] = &kept[..] else { panic!("{how}: {kept:?}") };
        trace.check();
        let info = trace.info();
        // Looking for the trace has taken another two calls.
        let all = moments_of(how) + 2;
        assert!(info.lost() > 0, "{how}: {info:?}");
        assert_eq!(info.present() + info.lost(), all, "{how}");
    }
}

/// The same with the directory where it was.
fn moments_of(how: &str) -> u64 {
    let sandbox = setup("reference");
    run(&sandbox, how).expect(6).trace().info().present()
}

/// The host finds its own descriptors open and no others, after the start and after growth. Each
/// mapping of a trace lies between two pages that nobody can touch.
#[test]
fn b10_no_descriptor_is_held_and_mappings_are_guarded() {
    for pairs in ["1", "300000"] {
        let sandbox = setup("held");
        let alone = sandbox.program("held").arg(pairs).run_alone();
        for ring in [false, true] {
            let host = sandbox.program("held").arg(pairs);
            let run = if ring { host.ring("1M").run() } else { host.run() }.expect(7);
            let open = |output| said(output).remove("open");
            assert_eq!(open(&run.output), open(&alone), "{pairs}, ring {ring}");
            let said = run.said();
            let mappings: u64 = said["mappings"][0].parse().unwrap();
            assert_eq!(said["mappings"], said["guarded"], "{pairs}, ring {ring}");
            let windows = pairs != "1" && !ring;
            assert!(if windows { (2..5).contains(&mappings) } else { mappings == 1 }, "{mappings}");
        }
    }
}

/// A process that gives up root, or leaves the place of its trace, after it has closed all
/// descriptors: the file has grown before.
#[test]
fn b10_b11_b12_a_daemon() {
    if !is_root() {
        skip("b10_b11_b12_a_daemon", "root");
        return;
    }
    for how in ["setuid", "setresuid", "seteuid", "chroot", "unshare"] {
        let sandbox = setup("departs");
        let run = sandbox.program("departs").arg(how).run().expect(7).sound();
        let info = run.trace().info();
        assert_eq!((info.lost(), info.ending()), (0, "exited"), "{how}");
        let rows = run.trace().rows();
        let sized = |size| rows.iter().filter(|row| row.size == Some(size)).count();
        assert_eq!((sized(20_001), sized(20_003), sized(20_005)), (1, 1_000_000, 1), "{how}");
    }
}

/// The calls that the host itself needs: to write its line, wait for its threads and end, and for glibc's
/// allocator.
const OF_THE_HOST: [i64; 9] = [
    libc::SYS_write,
    libc::SYS_futex,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
];

/// The calls that we add while the host runs, in full mode. The documentation names these.
const OF_FULL: [i64; 3] = [
    libc::SYS_rt_sigprocmask,
    libc::SYS_mremap,
    // And munmap, mprotect, madvise, which glibc needs too. At the end:
    libc::SYS_getpid,
];
/// The calls that we add when the file grows, from 512 KiB of trace on, and at the end.
const OF_GROWTH: [i64; 5] = [
    libc::SYS_openat,
    libc::SYS_fstat,
    libc::SYS_rt_sigpending,
    libc::SYS_ftruncate,
    libc::SYS_close,
];

/// In a ring.
const OF_RING: [i64; 3] = [libc::SYS_rt_sigprocmask, libc::SYS_getpid, libc::SYS_tgkill];

/// The calls of threads that wait for another one, which may never happen in a run.
const OF_WAITING: [i64; 2] = [libc::SYS_sched_yield, libc::SYS_poll];

fn confined(calls: &[i64], ring: Option<&str>) -> (Sandbox, Run) {
    let sandbox = setup("confined");
    let host = sandbox.program("confined").args(["3", "1000000"]);
    let host = host.args(calls.iter().map(i64::to_string));
    let run = if let Some(size) = ring { host.ring(size).run() } else { host.run() };
    (sandbox, run)
}

/// A filter that kills for any system call but those; each thread makes a million pairs of calls.
#[test]
fn b14_few_system_calls_after_the_start() {
    let full = [&OF_THE_HOST[..], &OF_FULL, &OF_GROWTH, &OF_WAITING].concat();
    let ring = [&OF_THE_HOST[..], &OF_RING, &OF_WAITING].concat();
    for (calls, size) in [(full, None), (ring, Some("4M"))] {
        let (_sandbox, run) = confined(&calls, size);
        let run = run.expect(8);
        assert_eq!(said(&run.output)["pairs"], ["4000000"]);
        let trace = run.trace();
        let info = trace.info();
        assert_eq!((info.lost(), info.ending()), (0, "exited"));
        assert!(info.present() + info.overwritten() >= 8_000_000);
        if size.is_none() {
            trace.check();
        }
    }
}

/// Each call of the list is needed: the list says no more than what is so. It also shows that the
/// filter kills.
#[test]
fn b14_the_documented_calls_are_the_ones_that_are_made() {
    let full = [&OF_FULL[..], &OF_GROWTH].concat();
    // In so small a ring, every thread that is not running has a block that others come to.
    for (ours, size) in [(&full[..], None), (&OF_RING[..], Some("160K"))] {
        for left_out in ours {
            let others = ours.iter().filter(|call| *call != left_out);
            let calls: Vec<_> = OF_THE_HOST.iter().chain(others).copied().collect();
            let (_sandbox, run) = confined(&calls, size);
            let signal = run.output.status.signal();
            assert_eq!(signal, Some(libc::SIGSYS), "without {left_out}: {:?}", run.output);
        }
    }
}

/// The descriptor through which the file grows is replaced, or closed, before the look at what it
/// is, every other time: the host's file stays what it was, and the growth comes later.
#[test]
fn b10_a_host_that_takes_the_descriptor_at_the_worst_moment() {
    for how in ["replace", "close", "after"] {
        let sandbox = setup("watched");
        let run = sandbox.program("watched").arg(how).run().expect(6);
        let said = run.said();
        if said.contains_key("unavailable") {
            skip("b10_a_host_that_takes_the_descriptor_at_the_worst_moment", "seccomp");
            return;
        }
        assert!(said["stops"][0].parse::<u64>().unwrap() > 3, "{how}: {said:?}");
        let trace = run.trace();
        trace.check();
        assert_eq!((trace.info().lost(), trace.info().overwritten()), (0, 0), "{how}");
        assert_eq!(trace.identities(), expected_identities(), "{how}");
    }
}
