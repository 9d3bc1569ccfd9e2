//! Disks that are full, small or odd, and kernels that refuse: what finds no space is counted.

use std::fs;
use std::process::{Command, Output};

use crate::artifacts::artifacts;
use crate::sandbox::{Sandbox, have, said, setup, skip};
use crate::trace::Trace;

/// Whether this test may mount file systems, in a mount namespace that ends with its processes.
pub fn can_mount(test: &str) -> bool {
    have(test, &["unshare", "mount"]) && {
        let output = Command::new("unshare").args(["-m", "true"]).output().unwrap();
        output.status.success() || skip(test, "the right to make a mount namespace")
    }
}

/// Runs a program under the library in a mount namespace of its own, after this preparation; its
/// traces are `mnt/trace.*`, and are copied out. Says what is left in `mnt`, as `left NAME`.
pub fn run_apart(
    sandbox: &Sandbox,
    prepare: &str,
    program: &str,
    arguments: &[&str],
    mode: &str,
) -> Output {
    let script = format!(
        r#"mkdir -p mnt && {prepare} || exit 77
        LD_PRELOAD="$LIBRARY" MALLOOK_PREFIX="$PWD/mnt/trace" MALLOOK_MODE={mode} "$PROGRAM" "$@"
        code=$?
        for file in mnt/*; do
            [ -e "$file" ] && cp "$file" . && echo "left $file"
        done
        exit $code"#
    );
    let host = sandbox.command("unshare").args(["-m", "--propagation", "private"]);
    let host = host.args(["/bin/sh", "-c", &script, "sh"]).args(arguments);
    let host = host.env("LIBRARY", &artifacts().library);
    host.env("PROGRAM", artifacts().program(program)).run_alone()
}

/// The number of moments of a run with nothing in its way.
pub fn moments_of(program: &str, arguments: &[&str]) -> u64 {
    let sandbox = setup("reference");
    let run = sandbox.program(program).args(arguments).run();
    let info = run.trace().info();
    assert_eq!((info.lost(), info.overwritten()), (0, 0));
    info.present()
}

/// The one line that events are lost; nothing else may be on stderr.
pub fn one_line(output: &Output, context: &str) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(stderr.lines().count(), 1, "{context}: {stderr}");
    let starts = ["mallook: events are lost for now: ", "mallook: nothing is recorded: "];
    assert!(starts.iter().any(|start| stderr.starts_with(start)), "{context}: {stderr}");
    stderr
}

/// Readable to its end, and what is not there was counted.
pub fn check_partial(trace: &Trace, all: u64, context: &str) {
    trace.check_what_is_there();
    let info = trace.info();
    assert!(info.lost() > 0 && info.present() > 0, "{context}: {info:?}");
    assert_eq!(info.present() + info.lost(), all, "{context}: {info:?}");
    assert!(!info.0.contains_key("recording stopped"), "{context}: {info:?}");
}

const TMPFS: &str = "mount -t tmpfs -o size=4m none mnt";

#[test]
fn c1_full_tmpfs_ends_recording_and_not_the_host() {
    if !can_mount("c1") {
        return;
    }
    // Also a disk that is nearly full from the start.
    let nearly = format!("{TMPFS} && head -c 4000000 /dev/zero > mnt/filler");
    for (prepare, program, arguments, code) in [
        (TMPFS, "churn", &["1000000"][..], 7),
        (TMPFS, "threads", &["4", "60000"], 0),
        (&nearly, "churn", &["100000"], 7),
    ] {
        let sandbox = setup("full");
        let alone = sandbox.program(program).args(arguments).run_alone();
        assert_eq!(alone.status.code(), Some(code));
        let output = run_apart(&sandbox, prepare, program, arguments, "full");
        assert_eq!(output.status.code(), Some(code), "{program}: {output:?}");
        one_line(&output, program);
        assert_eq!(said(&alone).get("performed"), said(&output).get("performed"));
        let traces = sandbox.traces("trace");
        let [trace] = &traces[..] else { panic!("{traces:?}") };
        check_partial(trace, moments_of(program, arguments), program);
    }
}

/// A ring takes its space in the first lap: on a disk that is too small for it, it is as large as
/// there was space for, and the header says so.
#[test]
fn c1_a_ring_that_does_not_fit() {
    if !can_mount("c1") {
        return;
    }
    // Also where there is not even a page left for its header, for a while.
    for (filler, calls) in [(0, "1000000"), (3_900_000, "100000")] {
        let prepare = format!("{TMPFS} && head -c {filler} /dev/zero > mnt/filler");
        let sandbox = setup("full");
        let output = run_apart(&sandbox, &prepare, "churn", &[calls], "ring");
        assert_eq!(output.status.code(), Some(7), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{filler}");
        let traces = sandbox.traces("trace");
        let [trace] = &traces[..] else { panic!("{traces:?}") };
        let info = trace.info();
        assert_eq!(info.lost(), 0, "{info:?}");
        let all = moments_of("churn", &[calls]);
        assert_eq!(info.present() + info.overwritten(), all, "{info:?}");
        assert!(info.overwritten() > 0, "{info:?}");
        let ring = u64::from_le_bytes(fs::read(trace.path()).unwrap()[32..40].try_into().unwrap());
        let space = (4 << 20) - filler;
        assert!((1..=space / 16384).contains(&ring), "{ring} blocks in {space} bytes");
        assert!(info.present() / 1016 + 4 > ring.saturating_sub(4), "{info:?}, {ring} blocks");
    }
}

/// Without any space at the start nothing is recorded, but for the time when there is some.
#[test]
fn c1_a_disk_that_is_full_for_a_while() {
    if !can_mount("c1") {
        return;
    }
    for (mode, how) in [("full", "start"), ("full", "later"), ("full", "cut"), ("ring", "start")] {
        let sandbox = setup("while");
        let output = run_apart(&sandbox, TMPFS, "pause", &[how], mode);
        assert_eq!(output.status.code(), Some(7), "{mode}, {how}: {output:?}");
        one_line(&output, how);
        let traces = sandbox.traces("trace");
        let [trace] = &traces[..] else { panic!("{mode}, {how}: {traces:?}") };
        let info = trace.info();
        let rows = trace.rows();
        let sized = |size| rows.iter().filter(|row| row.size == Some(size)).count() as u64;
        assert!(info.lost() > 0, "{info:?}");
        let performed = said(&output)["performed"][0].parse::<u64>().unwrap();
        assert_eq!(info.lost() + info.present() + info.overwritten(), performed, "{info:?}");
        // The last try before there was space may have failed.
        assert!(sized(20_007) > 60_000 && sized(20_009) == 1, "{mode}, {how}: {info:?}");
        assert_eq!(
            sized(20_001),
            [("later", 1), ("cut", 20_000)].iter().find(|it| it.0 == how).map_or(0, |it| it.1)
        );
        // A claimed number is kept for the next try: at most one block a thread is missing.
        let [used, claimed] = ["used", "claimed"].map(|word| info.blocks(word));
        assert!(claimed - used <= 1, "{info:?}");
    }
}

/// A page that the kernel has written back can be written again, though the disk is full by then:
/// also where a file system would put it elsewhere.
#[test]
fn c1_a_full_disk_after_the_pages_were_written_back() {
    let test = "c1_a_full_disk_after_the_pages_were_written_back";
    for (tool, make) in [("mkfs.btrfs", "mkfs.btrfs -q"), ("mkfs.xfs", "mkfs.xfs -q")] {
        if !can_mount(test) || !have(test, &[tool, "losetup"]) {
            continue;
        }
        let sandbox = setup("back");
        let prepare = format!("truncate -s 320M disk && {make} disk && mount -o loop disk mnt");
        let output = run_apart(&sandbox, &prepare, "pause", &["back"], "full");
        if output.status.code() == Some(77) {
            skip(test, "a loop device");
            continue;
        }
        assert_eq!(output.status.code(), Some(7), "{tool}: {output:?}");
        let traces = sandbox.traces("trace");
        let [trace] = &traces[..] else { panic!("{tool}: {traces:?}") };
        let info = trace.info();
        let performed = said(&output)["performed"][0].parse::<u64>().unwrap();
        assert_eq!(info.present() + info.lost(), performed, "{tool}: {info:?}");
        assert!(info.present() > 200, "{tool}: {info:?}");
    }
}

/// A copy of a ring that shares its blocks, and then a full disk: what is overwritten needs space
/// anew, which is asked for before.
#[test]
fn c1_a_full_disk_after_a_copy_that_shares_blocks() {
    let test = "c1_a_full_disk_after_a_copy_that_shares_blocks";
    if !can_mount(test) || !have(test, &["mkfs.xfs", "losetup"]) {
        return;
    }
    let sandbox = setup("shared");
    let prepare = "truncate -s 320M disk && mkfs.xfs -q disk && mount -o loop disk mnt";
    let output = run_apart(&sandbox, prepare, "pause", &["copied"], "ring MALLOOK_SIZE=1M");
    let said = said(&output);
    if output.status.code() == Some(77) || said.get("copied").is_some_and(|it| it[0] == "0") {
        skip(test, "a loop device, or a file system that can share blocks");
        return;
    }
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let traces = sandbox.traces("trace");
    let [trace] = &traces[..] else { panic!("{traces:?}") };
    let info = trace.info();
    let performed = said["performed"][0].parse::<u64>().unwrap();
    assert_eq!(info.present() + info.overwritten() + info.lost(), performed, "{info:?}");
}

/// No `fallocate` is needed.
#[test]
fn c2_a_file_system_without_fallocate() {
    if !can_mount("c2") {
        return;
    }
    for mode in ["full", "ring"] {
        let sandbox = setup("ramfs");
        let prepare = "mount -t ramfs none mnt";
        let output = run_apart(&sandbox, prepare, "churn", &["100000"], mode);
        assert_eq!((output.status.code(), &*output.stderr), (Some(7), &b""[..]), "{output:?}");
        let traces = sandbox.traces("trace");
        let [trace] = &traces[..] else { panic!("{traces:?}") };
        trace.check();
        let info = trace.info();
        assert_eq!((info.lost(), info.present()), (0, moments_of("churn", &["100000"])), "{mode}");
    }
}

/// The errors of kernels before Linux 5.14 and of those that are emulated: no MADV_POPULATE_WRITE,
/// no duplicate by mremap; and of a security module: no linkat.
#[test]
fn c2_a_kernel_that_refuses() {
    let [einval, enosys, eperm] = [libc::EINVAL, libc::ENOSYS, libc::EPERM];
    let all = moments_of("churn", &["300000"]);
    for (errno, calls) in [
        (einval, &["populate"][..]),
        (enosys, &["mremap"]),
        (eperm, &["mremap", "populate"]),
        (eperm, &["linkat"]),
        (enosys, &["tmpfile", "linkat"]),
    ] {
        for ring in [false, true] {
            let sandbox = setup("refuses");
            let host = sandbox.program("deny").arg(errno.to_string()).args(calls).arg("--");
            let host = host.arg(artifacts().program("churn")).arg("300000");
            let host = host.env("DENIED_PRELOAD", &artifacts().library);
            let host = host.env("MALLOOK_PREFIX", "trace");
            let output = if ring { host.ring("64M").run_alone() } else { host.run_alone() };
            assert_eq!((output.status.code(), &*output.stderr), (Some(7), &b""[..]), "{output:?}");
            let traces = sandbox.traces("trace");
            let [trace] = &traces[..] else { panic!("{calls:?}: {traces:?}") };
            trace.check();
            let info = trace.info();
            assert_eq!((info.lost(), info.present()), (0, all), "{calls:?}");
            assert_eq!(sandbox.path().read_dir().unwrap().count(), 1, "nothing else is left");
        }
    }
    // Neither the one nor the other way to get space.
    let sandbox = setup("refuses");
    let host = sandbox.program("deny").arg(libc::EOPNOTSUPP.to_string());
    let host = host.args(["populate", "fallocate", "--"]).arg(artifacts().program("churn"));
    let host = host.arg("300000").env("DENIED_PRELOAD", &artifacts().library);
    let output = host.env("MALLOOK_PREFIX", "trace").run_alone();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let line = one_line(&output, "no space");
    assert!(line.contains("cannot be allocated (not supported there"), "{line}");
    assert_eq!(sandbox.path().read_dir().unwrap().count(), 0, "nothing is left behind");
}
