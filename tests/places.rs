//! Where `mallook run` puts things: traces by their prefix, the library where it can be loaded; and
//! what it says before the program starts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use crate::artifacts::artifacts;
use crate::sandbox::{Sandbox, have, setup, skip, write_program};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn run(sandbox: &Sandbox, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let host = sandbox.command(&artifacts().mallook).arg("run").args(arguments);
    variables.iter().fold(host, |host, (name, value)| host.env(name, value)).run_alone()
}

/// The names in a directory, but for the cache of an ordinary user.
fn names(sandbox: &Sandbox, directory: &str) -> Vec<String> {
    let entries = fs::read_dir(sandbox.path().join(directory)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != ".cache").collect()
}

#[test]
fn a_prefix_that_is_a_directory() {
    for (output, variable) in [
        (Some("in/"), None),
        (Some("in"), None),
        (Some("in/."), None),
        (Some("in/../in"), None),
        (None, Some("in/")),
        (None, Some("in")),
    ] {
        let sandbox = setup("prefix");
        fs::create_dir(sandbox.path().join("in")).unwrap();
        let variables: Vec<_> =
            variable.map(|prefix| ("MALLOOK_PREFIX", prefix)).into_iter().collect();
        let options: Vec<_> = output.map(|path| ["-o", path]).into_iter().flatten().collect();
        let arguments = [&options[..], &["--", "ls"]].concat();
        let ran = run(&sandbox, &variables, &arguments);
        assert!(ran.status.success(), "{ran:?}");
        assert_eq!(names(&sandbox, "."), ["in"], "{output:?} {variable:?}");
        let traces = names(&sandbox, "in");
        let [trace] = &traces[..] else { panic!("{traces:?}") };
        assert!(trace.starts_with("mallook.out."), "{trace}");
        assert!(text(&ran.stderr).contains(&format!("in/{trace}")), "{ran:?}");
    }
    let sandbox = setup("dot");
    assert!(run(&sandbox, &[], &["-q", "-o", ".", "ls"]).status.success());
    assert_eq!(sandbox.traces("mallook.out").len(), 1);
}

#[test]
fn a_prefix_that_cannot_be_written_is_said_before_the_program_starts() {
    let sandbox = setup("unwritable");
    let long = format!("here/{}", "n".repeat(240));
    for (prefix, said) in [
        ("nowhere/x", "nowhere"),
        ("/proc/self/x", "cannot write traces into /proc/"),
        (&long, "too long"),
    ] {
        fs::create_dir_all(sandbox.path().join("here")).unwrap();
        let ran = run(&sandbox, &[], &["-o", prefix, "echo", "started"]);
        assert_eq!((ran.status.code(), &*ran.stdout), (Some(125), &b""[..]), "{ran:?}");
        assert!(text(&ran.stderr).contains(said), "{ran:?}");
    }
}

#[test]
fn what_has_no_effect_is_said() {
    let sandbox = setup("noeffect");
    for (variables, options, line) in [
        (
            &[("MALLOOK_MODES", "ring")][..],
            &[][..],
            "MALLOOK_MODES: no such variable; did you mean MALLOOK_MODE?",
        ),
        (&[("MALLOOK_SIZE", "1M")], &[], "MALLOOK_SIZE has no effect without --mode ring"),
        (&[], &["--size", "1M"], "--size has no effect without --mode ring"),
        (&[], &["--mode", "ring", "--max", "1M"], "--max has no effect with --mode ring"),
        (&[("MALLOOK_MODE", "ring"), ("MALLOOK_SIZE", "1M")], &[], ""),
        (&[("MALLOOK_SIZE", "1M")], &["--mode", "ring"], ""),
        (&[("MALLOOK_BIN", "x")], &[], ""),
    ] {
        let arguments = [options, &["--", "ls"]].concat();
        let ran = run(&sandbox, variables, &arguments);
        let said = text(&ran.stderr);
        let first = said.lines().next().unwrap_or_default();
        match line {
            "" => assert!(first.contains("trace written"), "{variables:?} {options:?}: {said}"),
            _ => assert_eq!(first, format!("mallook: {line}")),
        }
        let quiet = run(&sandbox, variables, &[&["-q"], &arguments[..]].concat());
        assert_eq!(text(&quiet.stderr), "");
    }
}

#[test]
fn a_missing_interpreter_is_named() {
    let sandbox = setup("interpreter");
    for (line, interpreter) in
        [("#!/no/such/sh -e\n", "/no/such/sh"), ("#!/bin/sh\r\n", "/bin/sh\\r")]
    {
        write_program(&sandbox.path().join("script"), line.as_bytes());
        let ran = run(&sandbox, &[], &["./script"]);
        assert_eq!(ran.status.code(), Some(126), "{ran:?}");
        let line =
            format!("mallook: cannot run ./script: its interpreter {interpreter} is missing\n");
        assert_eq!(text(&ran.stderr), line);
    }
}

/// Nothing is guessed where the cause is known.
#[test]
fn no_trace_and_no_guess() {
    let sandbox = setup("noguess");
    let source = sandbox.file("s.c", "int main(void) { return 0; }");
    let gcc = sandbox.command("gcc").args(["-static", "-o", "static"]).arg(source).run_alone();
    if !gcc.status.success() {
        skip("places::no_trace_and_no_guess", "a static libc");
        return;
    }
    let said = text(&run(&sandbox, &[], &["./static"]).stderr);
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[0].contains("./static: statically linked"), "{said}");
    assert_eq!(lines[1..], ["mallook: no trace was written"], "{said}");
}

/// Root starts, another user goes on, as gosu, su-exec and setpriv have it.
#[test]
fn a_program_that_gives_up_root_is_recorded() {
    // SAFETY: geteuid(2) has no precondition.
    let root = unsafe { libc::geteuid() } == 0;
    let test = "places::a_program_that_gives_up_root_is_recorded";
    if !root && !skip(test, "root") || !have(test, &["setpriv"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let prefix = directory.path().join("t");
    let sandbox = setup("drop");
    let drop = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "ls", "/"];
    let arguments = [&["-o", prefix.to_str().unwrap(), "--", "setpriv"][..], &drop].concat();
    let ran = run(&sandbox, &[], &arguments);
    let said = text(&ran.stderr);
    assert!(ran.status.success() && !said.contains("ld.so"), "{said}");
    assert!(said.contains("2 traces written") && said.contains("\n  ls "), "{said}");

    // Where the other user cannot write, it is said.
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let said = text(&run(&sandbox, &[], &arguments).stderr);
    assert!(said.contains("1 trace written"), "{said}");
    assert!(
        said.starts_with("mallook: nothing is recorded: the trace cannot be created"),
        "{said}"
    );
}

/// Without the launcher, too, what ends in a slash is a directory.
#[test]
fn a_prefix_that_is_a_directory_for_the_library() {
    let sandbox = setup("slash");
    fs::create_dir(sandbox.path().join("in")).unwrap();
    for prefix in ["in/", "in/."] {
        sandbox.command("ls").env("MALLOOK_PREFIX", prefix).run();
    }
    let traces = names(&sandbox, "in");
    assert!(
        traces.len() == 2 && traces.iter().all(|name| name.starts_with("mallook.out.")),
        "{traces:?}"
    );
}

/// A cache directory from which nothing can be executed is passed over.
#[test]
fn places_that_are_not_executable_are_passed_over() {
    let test = "places::places_that_are_not_executable_are_passed_over";
    // In a mount namespace of its own, whose caches are all of that kind.
    let sandbox = setup("noexec");
    let script = r#"
        mkdir -p cache tmp
        for place in cache tmp /var/cache /usr/local/lib /var/tmp; do
            mount -t tmpfs -o noexec none $place || exit 77
        done
        export XDG_CACHE_HOME=$PWD/cache TMPDIR=$PWD/tmp
        "$0" run -o t -- ls / > /dev/null || exit 1
        mount -t tmpfs -o noexec none /dev/shm || exit 77
        "$0" run -o u -- echo started
        exit $?
    "#;
    if !have(test, &["unshare", "bash"]) {
        return;
    }
    let host = sandbox.command("unshare").args(["-m", "bash", "-c", script]);
    let ran = host.arg(&artifacts().mallook).run_alone();
    if matches!(ran.status.code(), Some(77 | 1)) && !text(&ran.stderr).contains("mallook") {
        skip(test, "the right to mount");
        return;
    }
    assert_eq!(sandbox.traces("t").len(), 1, "{ran:?}");
    // Nowhere at all: the reason of each place.
    assert_eq!((ran.status.code(), &*ran.stdout), (Some(125), &b""[..]), "{ran:?}");
    let said = text(&ran.stderr);
    for place in ["/var/cache/mallook", "/dev/shm/mallook-0"] {
        assert!(said.contains(&format!("cannot load from {place}: ")), "{said}");
    }
}
