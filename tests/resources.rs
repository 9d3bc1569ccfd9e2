//! Limits, address space, descriptors, thousands of processes: what runs out, and what must not, which
//! is memory.

use std::process::Output;

use crate::artifacts::artifacts;
use crate::disk::{can_mount, check_partial, moments_of, one_line, run_apart};
use crate::processes::is_root;
use crate::sandbox::{Host, Sandbox, number, said, setup, skip, stacks_of_the_suite};
use crate::trace::Trace;

#[test]
fn c4_without_proc() {
    if !can_mount("c4") {
        return;
    }
    let sandbox = setup("proc");
    let output =
        run_apart(&sandbox, "umount -l /proc && ! [ -e /proc/self ]", "churn", &["300000"], "full");
    assert_eq!((output.status.code(), &*output.stderr), (Some(7), &b""[..]), "{output:?}");
    let traces = sandbox.traces("trace");
    let [trace] = &traces[..] else { panic!("{traces:?}") };
    trace.check();
    assert_eq!(
        (trace.info().lost(), trace.info().present()),
        (0, moments_of("churn", &["300000"]))
    );
}

/// A program under a limit that the shell has set, in the units of `ulimit`.
fn limited<'a>(sandbox: &'a Sandbox, limit: &str, value: u64, calls: &str) -> Host<'a> {
    let script =
        format!("ulimit {limit} {value}; export LD_PRELOAD=\"$WANTED\"; exec \"$0\" \"$@\"");
    let host = sandbox.command("/bin/bash").args(["-c", &script]);
    host.arg(artifacts().program("churn")).arg(calls)
}

/// The library is there from the program on, not for the shell, which has the limit as well.
fn hooked(host: Host) -> Output {
    host.env("WANTED", &artifacts().library).env("MALLOOK_PREFIX", "trace").run_alone()
}

/// No SIGXFSZ: the trace ends below the limit, whatever that is.
#[test]
fn c4_file_size_limits() {
    let all = moments_of("churn", &["400000"]);
    // In KiB; no trace is smaller than 80.
    for limit in [0, 1, 79, 80, 81, 144, 300, 1_000, 2_048, 4_000] {
        let sandbox = setup("fsize");
        let output = hooked(limited(&sandbox, "-f", limit, "400000"));
        assert_eq!(output.status.code(), Some(7), "{limit}: {output:?}");
        one_line(&output, &limit.to_string());
        let traces = sandbox.traces("trace");
        if limit < 80 {
            let sizes: Vec<_> = traces.iter().map(|t| t.path().metadata().unwrap().len()).collect();
            assert!(traces.is_empty(), "{limit}: {sizes:?}");
        } else {
            let [trace] = &traces[..] else { panic!("{limit}: {traces:?}") };
            assert!(trace.path().metadata().unwrap().len() <= limit << 10);
            check_partial(trace, all, &limit.to_string());
        }
    }
}

/// A limit that the program sets when recording goes on already, also for its child.
#[test]
fn c4_limits_that_the_host_sets_itself() {
    for setup_of_host in [&["fsize=500000"][..], &["nofile=3", "fork"], &["as=50000000"]] {
        let sandbox = setup("self");
        let host = || sandbox.program("churn").arg("4000000").args(setup_of_host);
        let alone = host().run_alone();
        assert_eq!(alone.status.code(), Some(7), "{alone:?}");
        let run = host().run();
        assert_eq!(run.output.status.code(), Some(7), "{setup_of_host:?}: {:?}", run.output);
        // The file has grown before limits that concern files, and single blocks are mapped where
        // windows are not; a child cannot create its own file.
        let stderr = String::from_utf8_lossy(&run.output.stderr).into_owned();
        let lines = usize::from(setup_of_host.contains(&"fork"));
        assert_eq!(stderr.lines().count(), lines, "{stderr}");
        assert!(stderr.lines().all(|line| line.starts_with("mallook: ")), "{stderr}");
        let all = moments_of("churn", &["4000000"]);
        let info = run.trace().info();
        assert_eq!((info.lost(), info.present()), (0, all));
    }
}

/// The library takes less than 16 MiB of address space before anything is recorded, and what is
/// recorded may fail to be mapped, but the host goes on.
#[test]
fn c4_address_space_limits() {
    let works = |kib: u64, wanted: bool| {
        let sandbox = setup("as");
        let host = limited(&sandbox, "-v", kib, "2000000");
        let output = if wanted { hooked(host) } else { host.run_alone() };
        let traces = sandbox.traces("trace");
        if output.status.code() == Some(7) && wanted && !traces.is_empty() {
            traces[0].check();
            let info = traces[0].info();
            assert_eq!(info.lost() > 0, !output.stderr.is_empty(), "{kib}: {output:?}");
        }
        let code = output.status.code();
        // Too little for the loader, with or without us: never a signal.
        assert!(matches!(code, Some(7 | 127 | 126)), "{kib} KiB, {wanted}: {output:?}");
        code == Some(7)
    };
    let steps = || (2..64).map(|mib| mib << 10);
    let least = steps().find(|&kib| works(kib, false)).unwrap();
    for kib in [least + (16 << 10), 24 << 10, 32 << 10, 48 << 10, 80 << 10, 120 << 10, 400 << 10] {
        assert!(works(kib, true), "{kib} KiB, of which the host needs {least}");
    }
    for kib in (least..least + (16 << 10)).step_by(2 << 10) {
        println!("{kib} KiB: {}", works(kib, true));
    }
}

/// No descriptor is missing from the host's; the file grows while there is one for a moment.
#[test]
fn c4_descriptor_limits() {
    for limit in [3, 4, 5, 8, 12, 20, 64] {
        let sandbox = setup("nofile");
        let calls = "300000";
        let host = || limited(&sandbox, "-n", limit, calls).arg("flood=100");
        let (alone, output) = (host().run_alone(), hooked(host()));
        assert_eq!(output.status.code(), alone.status.code(), "{limit}: {output:?} {alone:?}");
        if alone.status.code() != Some(7) {
            // The loader itself needs a descriptor.
            assert_eq!(limit, 3, "{alone:?}");
            continue;
        }
        let files = |output: &Output| said(output)["files"][0].parse::<u64>().unwrap();
        assert!(files(&output) + 1 >= files(&alone), "{limit}: {output:?}, {alone:?}");
        let traces = sandbox.traces("trace");
        assert_eq!(traces.len(), 1);
        // A file grows only while there is a descriptor for it.
        let all = moments_of("churn", &[calls]);
        if output.stderr.is_empty() {
            traces[0].check();
            assert_eq!((traces[0].info().lost(), traces[0].info().present()), (0, all), "{limit}");
        } else {
            one_line(&output, &limit.to_string());
            check_partial(&traces[0], all, &limit.to_string());
        }
    }
}

/// Twenty million calls (`MALLOOK_EVENTS`): what is recorded does not stay in the host's memory, nor
/// in the reader's.
#[test]
fn c3_c5_memory_of_the_host_and_of_the_reader_is_bounded() {
    let calls = number("MALLOOK_EVENTS", 20_000_000).to_string();
    let sandbox = setup("memory");
    let peak = |output: &Output| said(output)["peak_kib"][0].parse::<i64>().unwrap();
    let alone = peak(&sandbox.program("churn").arg(&calls).run_alone());
    let ring = sandbox.program("churn").arg(&calls).ring("8M").env("MALLOOK_PREFIX", "ring").run();
    let in_ring = peak(&ring.output);
    assert!(in_ring <= alone + (12 << 10), "{in_ring} KiB in a ring, {alone} KiB alone");
    let run = sandbox.program("churn").arg(&calls).run().expect(7);
    let hooked = peak(&run.output);
    println!(
        "{alone} KiB alone, {in_ring} KiB with a ring of 8 MiB, {hooked} KiB with a full trace"
    );
    assert!(hooked <= alone + (100 << 10), "{hooked} KiB recorded, {alone} KiB alone");
    let trace = run.trace();
    assert_eq!(trace.info().lost(), 0);
    let performed = said(&run.output)["performed"][0].parse::<u64>().unwrap();
    assert_eq!(trace.info().present(), performed);
    for arguments in [&["--info"][..], &["--check"], &["--format", "csv"]] {
        let dump = sandbox.program("peak").arg(&artifacts().dump).args(arguments);
        let output = dump.arg(trace.path()).run_alone();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
        assert_eq!(said(&output)["status"], ["0"], "{arguments:?}");
        let peak = said(&output)["kib"][0].parse::<u64>().unwrap();
        println!("{arguments:?}: {peak} KiB");
        assert!(peak < 300 << 10, "{arguments:?}: {peak} KiB");
    }
}

/// A short process takes of the disk what it records and at most 8 KiB more, however it ends, also
/// if it wanted a ring of 64 MiB; a thread more, a page more.
#[test]
fn c6_a_short_process_takes_little_of_the_disk() {
    let nothing = artifacts().program("batches");
    for (how, code) in
        [("exit", Some(7)), ("_exit", Some(7)), ("exec", None), ("kill", None), ("failed", Some(7))]
    {
        for ring in [false, true] {
            for pairs in [1, 100, 500, 2_000, 10_000] {
                let sandbox = setup("short");
                let host = sandbox.program("short").args([&pairs.to_string(), how]).arg(&nothing);
                let run = if ring { host.ring("64M").run() } else { host.run() };
                if let Some(code) = code {
                    assert_eq!(run.output.status.code(), Some(code), "{:?}", run.output);
                }
                let trace = &run.traces[0];
                let info = trace.info();
                assert_eq!((info.lost(), info.overwritten()), (0, 0), "{how}: {info:?}");
                let expected = if how == "failed" { 60_000 } else { 0 };
                let sized = trace.rows().iter().filter(|row| row.size == Some(20_005)).count();
                assert_eq!(sized, expected, "{how}");
                // The last block of a trace of more than 64 KiB has its space at once, and where
                // nothing is given back, three more have.
                let last = match (how, ring, pairs) {
                    ("failed", ..) => 128 << 10,
                    (_, _, 10_000) if ring || how == "kill" => 80 << 10,
                    (_, _, 10_000) => 32 << 10,
                    _ => 0,
                };
                // Its last page, and one for the entry of a new clock base.
                let thread = if pairs > 1 { 8 << 10 } else { 0 };
                // Sites and modules have a block of their own, and stacks slots.
                let has_stacks = stacks_of_the_suite().is_some();
                let stacks = if has_stacks { (64 << 10) + info.present() * 16 } else { 0 };
                let most = info.present() * 16 + (8 << 10) + thread + last + stacks;
                let space = trace.space();
                assert!(space <= most, "{how}, {pairs}, ring {ring}: {space} of {most} bytes");
                // Nor is it longer than its use, for those who copy it without holes.
                let length = trace.path().metadata().unwrap().len();
                let given_back = !ring && ["exit", "_exit", "exec"].contains(&how);
                assert!(!given_back || length <= most + (48 << 10), "{how}, {pairs}: {length}");
            }
        }
    }
}

/// The space that cannot be had for a moment, of addresses and of memory that may be locked, is
/// asked for again.
#[test]
fn c4_a_moment_of_scarcity() {
    for how in ["address", "lock", "little"] {
        for ring in [false, true] {
            if how == "lock" && !is_root() {
                skip("c4_a_moment_of_scarcity", "root");
                continue;
            }
            let sandbox = setup("scarce");
            let host = sandbox.program("scarce").arg(how);
            let run = if ring { host.ring("2M").run() } else { host.run() };
            assert_eq!(run.output.status.code(), Some(7), "{how}: {:?}", run.output);
            let info = run.trace().info();
            let performed = run.said()["performed"][0].parse::<u64>().unwrap();
            assert_eq!(info.present() + info.lost() + info.overwritten(), performed, "{info:?}");
            let after = run.trace().rows().iter().filter(|row| row.size == Some(20_007)).count();
            if ring {
                assert!(after > 30_000, "{after}: {info:?}");
            } else if how != "address" {
                assert_eq!((info.lost(), after), (0, 1_000_000), "{info:?}");
                assert_eq!(&*run.output.stderr, b"");
            } else {
                // The last try before there was space may have failed.
                assert!(info.lost() > 100_000 && after > 960_000, "{after}: {info:?}");
            }
        }
    }
}

/// `MALLOOK_PROCESSES` short ones, two at a time.
#[test]
fn c6_thousands_of_short_processes() {
    let processes = number("MALLOOK_PROCESSES", 5_000);
    let sandbox = setup("many");
    let program = artifacts().program("exact");
    let run = sandbox.program("many").args(["2", &processes.to_string()]).arg(program).run();
    assert_eq!(run.output.status.code(), Some(0), "{:?}", run.output);
    assert_eq!(String::from_utf8_lossy(&run.output.stderr), "");
    assert_eq!(run.said()["good"], [processes.to_string()]);
    let (mut children, mut bytes) = (0, 0);
    for traces in run.traces.chunks(500) {
        let traces: Vec<_> = traces.iter().collect();
        let output = crate::trace::dump(&["--info"], &traces);
        assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
        for info in crate::trace::Info::parse_all(&String::from_utf8(output.stdout).unwrap()) {
            assert_eq!((info.lost(), info.ending()), (0, "exited"), "{info:?}");
            children += usize::from(info.get("executable").ends_with("/exact"));
            bytes += info.get("file size").parse::<u64>().unwrap();
        }
    }
    assert_eq!(children, processes, "one trace each");
    // Nothing else lies there: no temporary name, no second file of a process.
    assert_eq!(sandbox.path().read_dir().unwrap().count(), run.traces.len());
    assert!(run.traces.len() <= processes + 1);
    assert!(bytes / processes as u64 <= 80 << 10, "{bytes} bytes in all");
    let space: u64 = run.traces.iter().map(Trace::space).sum();
    assert!(space / processes as u64 <= 16 << 10, "{space} bytes of the disk in all");
}
