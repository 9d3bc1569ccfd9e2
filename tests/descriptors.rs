//! Descriptors that the host takes away from us, and system calls that it does not allow.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use crate::sandbox::{Run, Sandbox, said, setup, skip};

/// Calls of `descriptors.c` after the trick: twice half a million, which is 16 MB of trace.
const MOMENTS: u64 = 1_000_000;

fn run(sandbox: &Sandbox, how: &str) -> Run {
    sandbox.program("descriptors").arg(how).run()
}

/// The descriptor is gone or the host's: the file is opened again under its name.
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
            assert_eq!(run.said()["replaced"], ["1"], "our descriptor was one of them");
        }
        assert_eq!(trace.identities(), expected_identities(), "{how}");
    }
}

fn expected_identities() -> Vec<u64> {
    let middle = std::iter::repeat_n(20_003, MOMENTS as usize / 2);
    std::iter::once(20_001).chain(middle).chain([20_005]).collect()
}

/// The directory is gone as well: one line, and what could not be recorded is counted.
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
        assert!(stderr.starts_with("mallook: recording stops: "), "{how}: {stderr}");
        let kept = sandbox.traces("kept");
        let [trace] = &kept[..] else { panic!("{how}: {kept:?}") };
        trace.check();
        let info = trace.info();
        // Looking for the trace has taken another two calls.
        let all = moments_of(how) + 2;
        assert!(info.lost() > 0, "{how}: {info:?}");
        assert_eq!(info.present() + info.lost(), all, "{how}");
        assert!(info.0.contains_key("recording stopped"), "{how}: {info:?}");
    }
}

/// The same with the directory where it was.
fn moments_of(how: &str) -> u64 {
    let sandbox = setup("reference");
    run(&sandbox, how).expect(6).trace().info().present()
}

/// What the host itself needs: to write its line, wait for its threads and end, and what glibc's
/// allocator needs.
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

/// What we add while the host runs, in full mode. The documentation names these.
const OF_FULL: [i64; 9] = [
    libc::SYS_rt_sigprocmask,
    libc::SYS_prctl,
    libc::SYS_fstat,
    libc::SYS_prlimit64,
    libc::SYS_fallocate,
    libc::SYS_close,
    libc::SYS_fcntl,
    libc::SYS_rt_sigpending,
    // And mmap, munmap, madvise, which glibc needs too. At the end:
    libc::SYS_getpid,
];
const AT_THE_END_OF_FULL: [i64; 1] = [libc::SYS_ftruncate];

/// In a ring.
const OF_RING: [i64; 4] =
    [libc::SYS_rt_sigprocmask, libc::SYS_prctl, libc::SYS_getpid, libc::SYS_tgkill];

fn confined(calls: &[i64], ring: bool) -> (Sandbox, Run) {
    let sandbox = setup("confined");
    let host = sandbox.program("confined").args(["3", "1000000"]);
    let host = host.args(calls.iter().map(i64::to_string));
    let run = if ring { host.ring("4M").run() } else { host.run() };
    (sandbox, run)
}

/// A filter that kills for any system call but those; each thread makes a million pairs of calls.
#[test]
fn b14_few_system_calls_after_the_start() {
    let full = [&OF_THE_HOST[..], &OF_FULL, &AT_THE_END_OF_FULL].concat();
    let ring = [&OF_THE_HOST[..], &OF_RING].concat();
    for (calls, is_ring) in [(full, false), (ring, true)] {
        let (_sandbox, run) = confined(&calls, is_ring);
        let run = run.expect(8);
        assert_eq!(said(&run.output)["pairs"], ["4000000"]);
        let trace = run.trace();
        let info = trace.info();
        assert_eq!((info.lost(), info.ending()), (0, "exited"));
        assert!(info.present() + info.overwritten() >= 8_000_000);
        if !is_ring {
            trace.check();
        }
    }
}

/// Each call of the list is needed: the list says no more than what is so. It also shows that the
/// filter kills.
#[test]
fn b14_the_documented_calls_are_the_ones_that_are_made() {
    let full = [&OF_FULL[..], &AT_THE_END_OF_FULL].concat();
    for (ours, is_ring) in [(&full[..], false), (&OF_RING[..], true)] {
        for left_out in ours {
            let others = ours.iter().filter(|call| *call != left_out);
            let calls: Vec<_> = OF_THE_HOST.iter().chain(others).copied().collect();
            let (_sandbox, run) = confined(&calls, is_ring);
            let signal = run.output.status.signal();
            assert_eq!(signal, Some(libc::SIGSYS), "without {left_out}: {:?}", run.output);
        }
    }
}

/// The descriptor is replaced between the look at what it is and the work on the file; or closed,
/// and with it the one that the work is done through.
#[test]
fn b10_a_host_that_takes_the_descriptor_at_the_worst_moment() {
    for how in ["replace", "close"] {
        let sandbox = setup("watched");
        let run = sandbox.program("watched").arg(how).run().expect(6);
        let said = run.said();
        if said.contains_key("unavailable") {
            skip("b10_a_host_that_takes_the_descriptor_at_the_worst_moment", "seccomp");
            return;
        }
        assert_eq!(said["traces"], ["1"], "{how}: our descriptor was one of them");
        assert!(said["stops"][0].parse::<u64>().unwrap() > 3, "{how}: {said:?}");
        let trace = run.trace();
        trace.check();
        assert_eq!((trace.info().lost(), trace.info().overwritten()), (0, 0), "{how}");
        assert_eq!(trace.identities(), expected_identities(), "{how}");
    }
}
