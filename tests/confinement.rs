//! Robustness: processes that forbid themselves system calls or the time-stamp counter, kernels
//! that do not wipe memory on fork, small stacks, and a stderr that takes nothing.

use std::process::Command;

use crate::artifacts::artifacts;
use crate::building::lives;
use crate::sandbox::{Run, have, outcome, said, setup};
use crate::trace::{Info, Row};

fn confinement(case: &str, pairs: u64, ring: Option<&str>) -> Run {
    let sandbox = setup(case);
    let host = sandbox.program("confinement").args([case, &pairs.to_string()]);
    match ring {
        Some(size) => host.ring(size).run(),
        None => host.run(),
    }
}

fn born(rows: &[Row], size: u64) -> usize {
    lives(rows, |other| other == size).0
}

/// Every moment is there or counted.
fn accounted(info: &Info) -> u64 {
    info.present() + info.overwritten() + info.lost()
}

/// Filters that kill for each call of ours, which the process shows us by `prctl` or `syscall`, or
/// of which it shows only what comes before.
#[test]
fn b14_a_filter_that_kills_for_every_call_of_ours() {
    for case in ["prctl", "syscall", "unseen"] {
        for ring in [None, Some("1M")] {
            let run = confinement(case, 5_000, ring).expect(8);
            let info = run.trace().info();
            assert_eq!((info.lost(), info.ending()), (0, "exited"), "{case}");
            assert!(accounted(&info) >= 10_200, "{case}: {info:?}");
            run.trace().check();
            let rows = run.trace().rows();
            assert_eq!((born(&rows, 20_001), born(&rows, 20_003)), (100, 5_000), "{case}");
        }
    }
}

/// Events that no longer fit into the memory mapped before are counted; a ring goes round.
#[test]
fn b14_what_a_confined_process_has_no_room_for_is_counted() {
    let run = confinement("prctl", 600_000, None).expect(8);
    let info = run.trace().info();
    assert!(info.lost() > 0 && info.present() > 400_000, "{info:?}");
    assert_eq!(info.get("lost, the program had confined itself"), info.get("lost"));
    assert!(accounted(&info).abs_diff(1_200_200) < 10, "{info:?}");
    // Its end is known all the same.
    assert_eq!(info.get("ended"), "exited with code 8");
    let run = confinement("prctl", 600_000, Some("1M")).expect(8);
    let info = run.trace().info();
    assert!(info.lost() == 0 && info.overwritten() > 1_000_000, "{info:?}");
}

/// The sandbox of sshd's first process before a login.
#[test]
fn b14_the_filter_of_openssh() {
    for ring in [None, Some("1M")] {
        let run = confinement("openssh", 2_000, ring).expect(8).sound();
        assert_eq!(born(&run.trace().rows(), 20_003), 2_000);
    }
}

/// Where signals cannot be blocked any more, what a handler does that interrupts the recorder is
/// counted as lost, and nothing else is.
#[test]
fn b14_signals_in_a_confined_process() {
    let run = confinement("storm", 200_000, Some("1M")).expect(8);
    let handled: u64 = run.said()["handled"][0].parse().unwrap();
    let info = run.trace().info();
    assert!(handled > 100, "{handled}");
    let expected = 2 * (100 + 200_000 + handled);
    assert!(accounted(&info).abs_diff(expected) <= 10, "{expected}: {info:?}");
    let interrupted = info.0.get("lost, in a signal handler that interrupted the recorder");
    assert_eq!(interrupted.map_or("0", String::as_str), info.get("lost"));
}

#[test]
fn b14_strict_mode() {
    for (ring, clock) in [(None, "tsc"), (Some("1M"), "tsc"), (None, "coarse"), (None, "monotonic")]
    {
        let sandbox = setup("strict");
        let host = sandbox.program("confinement").args(["strict", "5000"]);
        let host = if let Some(size) = ring { host.ring(size) } else { host };
        let output = host.env("MALLOOK_CLOCK", clock).run().output;
        // The end of the only thread ends the process with its code.
        let run = Run::of(output, &sandbox, "trace");
        assert_eq!(run.output.status.code(), Some(8), "{:?}", run.output);
        let rows = run.trace().rows();
        assert_eq!((born(&rows, 20_001), born(&rows, 20_003)), (100, 5_000), "{clock}");
        run.trace().check();
    }
}

/// A probe for what the kernel can do confines nobody.
#[test]
fn b14_a_probe_for_seccomp_changes_nothing() {
    let run = confinement("probe", 600_000, None).expect(8).sound();
    assert_eq!(run.trace().info().present(), 1_200_200);
}

/// The confinement of a `vfork` child does not bind the process whose memory it shares.
#[test]
fn b14_a_vfork_child_that_confines_itself() {
    let run = confinement("vfork", 600_000, None).expect(8).sound();
    assert!(run.trace().info().present() >= 1_200_200);
}

/// Each block says what its thread was called when it began.
#[test]
fn b14_names_are_asked_for_again_after_a_change() {
    let run = confinement("named", 0, None).expect(8).sound();
    let blocks = std::fs::read(run.trace().path()).unwrap();
    let name =
        |block: &[u8]| String::from_utf8_lossy(&block[56..72]).trim_end_matches('\0').to_owned();
    let mut names: Vec<_> = blocks.chunks_exact(16 << 10).skip(1).map(name).collect();
    names.retain(|name| !name.is_empty());
    names.dedup();
    assert_eq!(names, ["confinement", "second", "third", "fourth"]);
}

/// The trace is opened before, though there is nothing to record yet.
#[test]
fn b14_a_process_that_confines_itself_before_its_first_event() {
    let run = confinement("untouched", 5_000, None).expect(8).sound();
    let rows = run.trace().rows();
    assert_eq!((born(&rows, 20_001), born(&rows, 20_003)), (100, 5_000));
}

/// A forked child would have to create a file; a thread goes on in what is mapped.
#[test]
fn b14_children_and_threads_of_a_confined_process() {
    let run = confinement("children", 100, None).expect(8);
    let rows = run.trace().rows();
    assert_eq!((born(&rows, 20_007), born(&rows, 20_009)), (5_000, 0));
    assert_eq!(run.trace().info().lost(), 0);
}

#[test]
fn b14_a_login_over_a_traced_sshd() {
    let test = "b14_a_login_over_a_traced_sshd";
    // SAFETY: asks for a number.
    let is_root = unsafe { libc::geteuid() } == 0;
    if !is_root && !crate::sandbox::skip(test, "root")
        || !have(test, &["sshd", "ssh", "ssh-keygen"])
    {
        return;
    }
    for mode in ["full", "ring"] {
        let sandbox = setup("sshd");
        let script = sandbox.file("login.sh", include_bytes!("programs/special/login.sh"));
        let host = sandbox.command("bash").arg(script).arg(mode).arg(&artifacts().library);
        let output = host.run_alone();
        assert_eq!(
            said(&output)["login"],
            ["hello from inside", "hello from inside"],
            "{output:?}"
        );
        assert!(sandbox.traces("trace").len() > 4, "{mode}");
    }
}

/// The counter is forbidden before the first event, or later.
#[test]
fn b14_the_time_stamp_counter_is_forbidden() {
    for case in ["counter_before", "counter_unseen", "counter"] {
        for clock in ["", "tsc", "coarse", "monotonic"] {
            let sandbox = setup(case);
            let host = sandbox.program("confinement").args([case, "3000"]);
            let output = host.env("MALLOOK_CLOCK", clock).run().output;
            let run = Run::of(output, &sandbox, "trace");
            assert_eq!(run.output.status.code(), Some(8), "{case}, {clock}: {:?}", run.output);
            // What cannot be had is said.
            let complains = !run.output.stderr.is_empty();
            assert_eq!(complains, case != "counter" && ["tsc", "coarse"].contains(&clock));
            let rows = run.trace().rows();
            assert_eq!((born(&rows, 20_001), born(&rows, 20_003)), (100, 3_000), "{case}, {clock}");
            assert_eq!(born(&rows, 20_007), if case == "counter" { 100 } else { 0 });
            run.trace().check();
            let span = rows.last().unwrap().time_ns - rows[0].time_ns;
            assert!((1..60_000_000_000).contains(&span), "{case}, {clock}: {span} ns");
        }
    }
}

/// A host that answers system calls in its handler of SIGSYS, as sandboxes do: a signal that a
/// thread raises itself is not blocked, or it would be its end.
#[test]
fn b14_a_broker_that_answers_calls_in_a_handler() {
    let run = confinement("trapped", 5_000, None).expect(8).sound();
    assert!(run.said()["traps"][0].parse::<u64>().unwrap() > 0, "{:?}", run.output);
    assert_eq!(born(&run.trace().rows(), 20_003), 5_000);
}

/// A file that cannot be had is asked for again, ever more seldom.
#[test]
fn c1_the_effort_of_trying_again_is_bounded() {
    let run = confinement("scarce", 100_000, None);
    assert_eq!(run.output.status.code(), Some(8), "{:?}", run.output);
    crate::disk::one_line(&run.output, "scarce");
    let tries: u64 = run.said()["traps"][0].parse().unwrap();
    assert!((4..64).contains(&tries), "{tries}");
    assert!(run.traces.is_empty());
}

/// Both processes have a file of their own, with all of their blocks.
fn check_fork(run: &Run, pairs: usize) {
    let [.., parent, child] = &run.traces[..] else { panic!("{:?}", run.traces) };
    for (trace, ours, others) in [(parent, 20_003, 20_009), (child, 20_009, 20_003)] {
        let rows = trace.rows();
        assert_eq!((born(&rows, ours), born(&rows, others)), (pairs, 0));
    }
}

#[test]
fn b1_where_the_kernel_refuses_to_wipe_memory_on_fork() {
    check_fork(&confinement("refused_wipe", 0, None).expect(8).sound(), 3_000);
    // More threads than the library has room for from the start.
    check_fork(&confinement("refused_wipe_crowd", 0, None).expect(8).sound(), 400);
}

/// qemu-user says yes, and does nothing.
#[test]
fn b1_where_memory_is_not_wiped_on_fork_although_the_kernel_says_so() {
    let test = "b1_where_memory_is_not_wiped_on_fork_although_the_kernel_says_so";
    if !have(test, &["qemu-x86_64"]) {
        return;
    }
    let sandbox = setup("qemu");
    let mut host = sandbox.command("qemu-x86_64");
    let preload = format!("LD_PRELOAD={}", artifacts().library.display());
    host = host.args(["-E", &preload, "-E", "MALLOOK_PREFIX=trace"]);
    let host = host.arg(artifacts().program("confinement")).args(["fork", "3000"]);
    let run = Run::of(host.run_alone(), &sandbox, "trace").expect(8).sound();
    check_fork(&run, 3_000);
}

/// An overflow in the slow path is found before anything has changed, and reaches the host's
/// handler.
#[test]
fn b15_stack_overflows_that_the_host_survives() {
    let sandbox = setup("overflow");
    for _ in 0..20 {
        let run = sandbox.program("stack").arg("overflow").run().expect(0);
        assert!(run.said().contains_key("survived"));
    }
}

/// The recorder takes less than 1 KiB below a call, after the first event.
#[test]
fn b15_what_is_taken_of_a_stack() {
    for (mode, clock) in [("full", "tsc"), ("ring", "tsc"), ("full", "coarse")] {
        let sandbox = setup("depth");
        let depth =
            |output: &std::process::Output| said(output)["depth"][0].parse::<i64>().unwrap();
        let alone = depth(&sandbox.program("stack").arg("depth").run_alone());
        let host = sandbox.program("stack").arg("depth").env("MALLOOK_MODE", mode);
        let host = host.env("MALLOOK_STACK", "off");
        let run = host.env("MALLOOK_CLOCK", clock).run().expect(0);
        let ours = depth(&run.output) - alone;
        assert!((1..1024).contains(&ours), "{mode}, {clock}: {ours} bytes over {alone}");
        // The first event, which opens the trace. Functions are bound before, which takes more.
        let first = || sandbox.program("stack").arg("first").env("LD_BIND_NOW", "1");
        let alone = depth(&first().run_alone());
        let host = first().env("MALLOOK_MODE", mode).env("MALLOOK_STACK", "off");
        let ours = depth(&host.env("MALLOOK_CLOCK", clock).run().output) - alone;
        assert!((1..1024).contains(&ours), "{mode}, {clock}: {ours} bytes over {alone} at first");
    }
    // With call stacks, and code that is met for the first time.
    for how in ["caller", "fp", "full"] {
        let sandbox = setup("depth");
        let depth =
            |output: &std::process::Output| said(output)["depth"][0].parse::<i64>().unwrap();
        let alone = depth(&sandbox.program("stack").arg("depth").run_alone());
        let host = sandbox.program("stack").arg("depth").env("MALLOOK_STACK", how);
        let ours = depth(&host.run().expect(0).output) - alone;
        assert!((1..2560).contains(&ours), "{how}: {ours} bytes over {alone}");
        sandbox.program("stack").arg("overflow").env("MALLOOK_STACK", how).run().expect(0);
    }
}

#[test]
fn b9_a_stderr_that_is_full_and_never_read() {
    let sandbox = setup("full");
    let mut host = sandbox.command("timeout").args([
        "-sKILL".as_ref(),
        "60".as_ref(),
        artifacts().program("quiet").as_os_str(),
    ]);
    host = host.arg("full");
    let output = host.preloaded().run_alone();
    assert_eq!(said(&output).get("alive").map(Vec::len), Some(1), "{output:?}");
}

/// The usual limit of locked memory is 8 MiB.
#[test]
fn c4_all_memory_can_be_locked() {
    for stacks in ["off", "full"] {
        let sandbox = setup(&format!("locked-{stacks}"));
        let alone = sandbox.program("quiet").arg("locked").run_alone();
        let run = sandbox.program("quiet").arg("locked").env("MALLOOK_STACK", stacks).run();
        assert_eq!(outcome(&run.output), outcome(&alone), "{stacks}");
        assert_eq!(said(&alone)["mlockall"], ["0"]);
    }
}

/// A collector scans the writable segments of every library, at each collection.
#[test]
fn c4_the_writable_segments_are_small() {
    let test = "c4_the_writable_segments_are_small";
    if !have(test, &["readelf"]) {
        return;
    }
    let mut readelf = Command::new("readelf");
    let output = readelf.arg("-lW").arg(&artifacts().library).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let sizes = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let is_load = words.next()? == "LOAD" && line.contains(" RW ");
        let size = words.nth(4)?;
        is_load.then(|| u64::from_str_radix(size.trim_start_matches("0x"), 16).unwrap())
    });
    let size: u64 = sizes.sum();
    assert!((1..64 << 10).contains(&size), "{size} bytes");
}
