//! All ways for a process to end: nothing recorded before is lost, handlers and destructors that
//! run at the end are recorded too, and the trace says how it ended.

use crate::sandbox::{Run, setup};

fn run(how: &str) -> Run {
    setup(how).program("ends").arg(how).run()
}

/// Checks the recorded calls, and the ending that the reader says.
fn check(run: &Run, identities: &[u64], ending: &str) {
    let trace = run.trace();
    assert_eq!(trace.identities(), identities);
    let info = trace.info();
    assert_eq!(info.get("ended"), ending);
    assert_eq!((info.lost(), info.overwritten()), (0, 0));
    let ends = trace.sizes().iter().filter(|line| *line == "@ End").count();
    // Nothing runs at the end but what is recorded here.
    let runs_handlers = ending.starts_with("exited") && identities.contains(&20_015);
    assert_eq!(ends, usize::from(runs_handlers));
}

#[test]
fn exit_runs_handlers_and_destructors() {
    check(&run("exit").expect(4), &[20_001, 20_011, 20_015], "exited with code 4");
    check(&run("").expect(9), &[20_001, 20_011, 20_015], "exited");
}

#[test]
fn destructors_of_thread_local_data() {
    let run = run("thread").expect(9);
    check(&run, &[20_001, 20_019, 20_017, 20_011, 20_015], "exited");
}

#[test]
fn the_main_thread_ends_as_a_thread() {
    check(&run("main_thread").expect(0), &[20_001, 20_011, 20_015], "exited");
}

#[test]
fn quick_exit_runs_its_own_handlers_only() {
    check(&run("quick_exit").expect(5), &[20_001, 20_013], "exited with code 5");
}

#[test]
fn ends_without_any_handler() {
    for (how, code) in [("_exit", 3), ("_Exit", 7), ("raw", 6)] {
        check(&run(how).expect(code), &[20_001], &format!("exited with code {code}"));
    }
}

/// The marker of an exec that failed is not the end.
#[test]
fn an_exec_that_fails() {
    for (how, code) in [("exec_exit", 126), ("exec_main", 9)] {
        check(
            &run(how).expect(code),
            if code == 9 { &[20_001, 20_011, 20_015] } else { &[20_001] },
            if code == 9 { "exited" } else { "exited with code 126" },
        );
    }
    check(&run("exec_kill").expect_signal(libc::SIGKILL), &[20_001, 20_021], "killed or cut off");
}

#[test]
fn death_by_a_signal() {
    for (how, signal) in
        [("abort", libc::SIGABRT), ("kill", libc::SIGKILL), ("segv", libc::SIGSEGV)]
    {
        check(&run(how).expect_signal(signal), &[20_001], "killed or cut off");
    }
}

/// The end is known where there was no room for its marker, too.
#[test]
fn an_end_without_room_for_its_marker() {
    for (how, ending) in [
        ("exit", "exited"),
        ("_exit", "exited with code 7"),
        ("exec", "replaced itself by exec"),
        ("kill", "killed or cut off"),
    ] {
        let sandbox = setup("no_room");
        let nothing = crate::artifacts::artifacts().program("batches");
        let host = sandbox.program("short").args(["10000", how]).arg(nothing);
        let run = host.env("MALLOOK_MAX", "80K").run();
        let info = run.traces[0].info();
        assert!(info.lost() > 10_000, "{how}: {info:?}");
        assert_eq!(info.get("ended"), ending, "{how}");
    }
}
