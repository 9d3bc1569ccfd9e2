//! Requests of the environment, failed ones included: the host is never harmed, a mistake is one line.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::artifacts::artifacts;
use crate::sandbox::{Host, Sandbox, length_of_ring, setup};
use crate::trace::{Row, Trace};

/// A program that allocates and ends with 9.
fn host(sandbox: &Sandbox) -> Host<'_> {
    sandbox.program("ends")
}

#[test]
fn unset() {
    let sandbox = setup("unset");
    let mut host = host(&sandbox).preloaded();
    host.command.env_remove("MALLOOK_PREFIX");
    let output = host.run_alone();
    assert_eq!((output.status.code(), output.stderr), (Some(9), Vec::new()));
    let traces = sandbox.traces("mallook.out");
    assert_eq!(traces.len(), 1);
    assert_eq!(traces[0].identities(), [20_001, 20_011, 20_015]);
    assert_eq!(sandbox.path().read_dir().unwrap().count(), 1);
}

/// Every variable with values that make no sense: one line that names it, and the default.
#[test]
fn bad_values() {
    let cases = [
        ("MALLOOK_MODE", "rign"),
        ("MALLOOK_MODE", "RING "),
        ("MALLOOK_SIZE", "64X"),
        ("MALLOOK_SIZE", "1K"),
        ("MALLOOK_SIZE", "-1"),
        ("MALLOOK_MAX", "lots"),
        ("MALLOOK_MAX", "99999999999999999999999"),
        ("MALLOOK_CLOCK", "sundial"),
        ("MALLOOK_CLOCK", "two\nlines"),
    ];
    for (name, value) in cases {
        let sandbox = setup("bad");
        let run = host(&sandbox).env(name, value).run();
        assert_eq!(run.output.status.code(), Some(9), "{name}={value:?}");
        let stderr = String::from_utf8(run.output.stderr.clone()).unwrap();
        assert_eq!(stderr.lines().count(), 1, "{name}={value:?}: {stderr}");
        assert!(stderr.starts_with("mallook: ") && stderr.contains(name), "{stderr}");
        assert_eq!(run.trace().identities(), [20_001, 20_011, 20_015], "{name}={value:?}");
        assert_eq!(run.trace().info().get("mode"), "full", "{name}={value:?}");
    }
}

#[test]
fn several_bad_values_are_one_line() {
    let sandbox = setup("several");
    let host = host(&sandbox).env("MALLOOK_MODE", "a").env("MALLOOK_SIZE", "b");
    let run = host.env("MALLOOK_CLOCK", "c").run();
    let stderr = String::from_utf8(run.output.stderr.clone()).unwrap();
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    for name in ["MALLOOK_MODE", "MALLOOK_SIZE", "MALLOOK_CLOCK"] {
        assert!(stderr.contains(name), "{stderr}");
    }
    assert_eq!(run.output.status.code(), Some(9));
}

/// Empty values count as unset; good ones are used and say nothing.
#[test]
fn empty_and_good_values() {
    let sandbox = setup("good");
    let names = ["MALLOOK_MODE", "MALLOOK_SIZE", "MALLOOK_MAX", "MALLOOK_CLOCK"];
    let run = names.iter().fold(host(&sandbox), |host, name| host.env(name, "")).run().expect(9);
    assert_eq!(run.trace().info().get("mode"), "full");

    let sandbox = setup("good");
    let run = host(&sandbox).ring("96K").env("MALLOOK_CLOCK", "monotonic").run().expect(9);
    assert!(run.trace().info().get("mode").starts_with("ring"));
    assert!(run.trace().info().get("clock").contains("monotonic"));
    assert_eq!(run.trace().path().metadata().unwrap().len(), length_of_ring(96 << 10));
}

/// The bound of a full trace holds, what did not fit is counted, and the host goes on. The bound may
/// fall between the two halves of a reallocation: one is there, and the other is counted.
#[test]
fn max_bounds_the_file() {
    let sandbox = setup("max");
    let moments = |trace: &Trace| trace.rows().iter().map(Row::moments).sum::<u64>();
    let threads = |prefix: &str| {
        let host = sandbox.program("threads").args(["2", "20000"]);
        host.env("MALLOOK_PREFIX", prefix)
    };
    assert_eq!(threads("all").run().output.status.code(), Some(0));
    let all = moments(&sandbox.traces("all")[0]);
    for kibibytes in (900..1_025).step_by(8) {
        let prefix = format!("max{kibibytes}");
        let run = threads(&prefix).env("MALLOOK_MAX", format!("{kibibytes}K")).run();
        assert_eq!(run.output.status.code(), Some(0));
        let stderr = String::from_utf8_lossy(&run.output.stderr);
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        let trace = &sandbox.traces(&prefix)[0];
        assert!(trace.path().metadata().unwrap().len() <= kibibytes << 10);
        let (present, lost) = (moments(trace), trace.info().lost());
        assert_eq!(present + lost, all, "{kibibytes} KiB");
        assert!(present > 48_000 && lost > 0, "{present} present, {lost} lost");
    }
}

#[test]
fn a_prefix_in_a_missing_directory() {
    let sandbox = setup("missing");
    let run = host(&sandbox).env("MALLOOK_PREFIX", "/nonexistent/directory/trace").run();
    assert_eq!(run.output.status.code(), Some(9));
    let stderr = String::from_utf8(run.output.stderr.clone()).unwrap();
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("mallook: "), "{stderr}");
    assert!(stderr.contains("/nonexistent/directory/trace"), "{stderr}");
}

/// A prefix that is far too long is a failure to create the file, and nothing else.
#[test]
fn a_prefix_longer_than_any_path() {
    let sandbox = setup("long");
    for length in [300, 4_095, 4_200, 100_000] {
        let run = host(&sandbox).env("MALLOOK_PREFIX", "p".repeat(length)).run();
        assert_eq!(run.output.status.code(), Some(9), "{length}");
        assert_eq!(String::from_utf8_lossy(&run.output.stderr).lines().count(), 1, "{length}");
        assert_eq!(sandbox.path().read_dir().unwrap().count(), 0, "{length}");
    }
}

/// A relative prefix means the directory that the program started in, for its children too.
#[test]
fn a_program_that_changes_its_directory() {
    let sandbox = setup("moves");
    let other = sandbox.path().join("other");
    fs::create_dir(&other).unwrap();
    let run = sandbox.program("moves").arg(&other).run().expect(5);
    let identities: Vec<_> = run.traces.iter().map(super::trace::Trace::identities).collect();
    assert_eq!(identities.len(), 2);
    assert!(identities.contains(&vec![20_001, 20_005]) && identities.contains(&vec![20_003]));
    assert_eq!(other.read_dir().unwrap().count(), 0);
}

#[test]
fn files_are_private() {
    let sandbox = setup("private");
    let run = host(&sandbox).run().expect(9);
    let metadata = run.trace().path().metadata().unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
    assert_eq!(metadata.nlink(), 1);
}

/// Every name that the trace could want is taken, by files and by links that lead elsewhere: none
/// of them is touched, and the next counter is used.
#[test]
fn nothing_is_ever_clobbered() {
    let sandbox = setup("clobber");
    // The shell becomes the program, and so knows its PID beforehand.
    let script = r#"
        first=$(date +%s); epoch=$((first - 1))
        while [ $epoch -lt $((first + 60)) ]; do
            echo precious > trace.$$.$epoch.0
            ln -s victim trace.$$.$epoch.1
            epoch=$((epoch + 1))
        done
        LD_PRELOAD="$LIBRARY" exec "$PROGRAM""#;
    let host = sandbox.command("/bin/sh").args(["-c", script]).env("MALLOOK_PREFIX", "trace");
    let host = host.env("LIBRARY", &artifacts().library);
    let output = host.env("PROGRAM", artifacts().program("ends")).run_alone();
    assert_eq!((output.status.code(), output.stderr), (Some(9), Vec::new()));
    assert!(!sandbox.path().join("victim").exists());
    let mut ours = Vec::new();
    for trace in sandbox.traces("trace") {
        match trace.identity().2 {
            0 => assert_eq!(fs::read_to_string(trace.path()).unwrap(), "precious\n"),
            1 => assert!(trace.path().is_symlink()),
            _ => ours.push(trace),
        }
    }
    let [trace] = &ours[..] else { panic!("{ours:?}") };
    assert_eq!(trace.identity().2, 2);
    assert_eq!(trace.identities(), [20_001, 20_011, 20_015]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!((now - 60..=now).contains(&trace.identity().1));
}

/// The directory itself may be reached through a link; only the last step may not be one.
#[test]
fn a_prefix_through_a_linked_directory() {
    let sandbox = setup("linked");
    fs::create_dir(sandbox.path().join("real")).unwrap();
    symlink("real", sandbox.path().join("link")).unwrap();
    let run = host(&sandbox).env("MALLOOK_PREFIX", "link/trace").run();
    assert_eq!((run.output.status.code(), run.output.stderr), (Some(9), Vec::new()));
    assert_eq!(sandbox.path().join("real").read_dir().unwrap().count(), 1);
}

/// A counter that the kernel has found wrong is not used, whatever the processor says of it; what is
/// asked for all the same is said to be impossible.
#[test]
fn a_counter_that_the_kernel_does_not_trust() {
    let test = "environment::a_counter_that_the_kernel_does_not_trust";
    if !crate::disk::can_mount(test) {
        return;
    }
    let as_ever = host(&setup("clock")).run().expect(9).trace().info().get("clock").to_owned();
    for (clocks, wanted, expected) in [
        ("tsc kvm-clock \n", "", &*as_ever),
        ("kvm-clock tsc-early acpi_pm \n", "", "monotonic"),
        ("hpet \n", "tsc", "monotonic"),
        ("hpet \n", "coarse", "monotonic"),
        ("hpet \n", "monotonic", "monotonic"),
    ] {
        let sandbox = setup("clock");
        sandbox.file("clocks", clocks);
        let script = r#"
            system=/sys/devices/system/clocksource/clocksource0/available_clocksource
            mount --bind clocks $system || exit 77
            LD_PRELOAD="$LIBRARY" exec "$PROGRAM""#;
        let host = sandbox.command("unshare").args(["-m", "/bin/sh", "-c", script]);
        let host = host.env("LIBRARY", &artifacts().library).env("MALLOOK_PREFIX", "trace");
        let host = host.env("PROGRAM", artifacts().program("ends")).env("MALLOOK_CLOCK", wanted);
        let output = host.run_alone();
        if output.status.code() == Some(77) {
            crate::sandbox::skip(test, "a clock source in /sys");
            return;
        }
        assert_eq!(output.status.code(), Some(9), "{output:?}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        let refused = !wanted.is_empty() && wanted != "monotonic";
        assert_eq!(stderr.lines().count(), usize::from(refused), "{stderr}");
        assert_eq!(stderr.contains("cannot be trusted here"), refused, "{stderr}");
        let traces = sandbox.traces("trace");
        assert_eq!(traces[0].info().get("clock"), expected, "{clocks:?} {wanted}");
    }
}
