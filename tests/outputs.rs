//! `--output` destroys nothing, and inputs are whatever people have: pipes, compressed files,
//! directories, prefixes, and bad ones among good ones.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::artifacts::{artifacts, tests};
use crate::sandbox::{Sandbox, copy_program, have, setup, skip};

fn golden() -> Vec<u8> {
    fs::read(tests().join("golden/v1.trace")).unwrap()
}

fn command(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = Command::new(&artifacts().mallook);
    command.current_dir(sandbox.path()).args(arguments).stdin(Stdio::null());
    command
}

fn mallook(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    command(sandbox, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The output of a dump of the golden trace.
fn whole() -> String {
    fs::read_to_string(tests().join("golden/v1.text")).unwrap()
}

#[test]
fn a_trace_is_never_the_output() {
    let sandbox = setup("eaten");
    let trace = golden();
    for name in ["a", "other"] {
        sandbox.file(name, &trace);
    }
    fs::hard_link(sandbox.path().join("a"), sandbox.path().join("hard")).unwrap();
    symlink("a", sandbox.path().join("soft")).unwrap();
    for command in ["dump", "info", "check", "follow"] {
        for (output, reason) in [
            ("a", "it is a trace that is read"),
            ("./a", "it is a trace that is read"),
            ("hard", "it is a trace that is read"),
            ("soft", "it is a trace that is read"),
            ("other", "it is a trace, which is not overwritten"),
            (".", "it is a directory"),
        ] {
            let refused = mallook(&sandbox, &[command, "-o", output, "a"]);
            let said = text(&refused.stderr);
            assert_eq!(refused.status.code(), Some(2), "{command} {output}: {said}");
            let line = format!("mallook: --output {output}: {reason}\n");
            assert_eq!(said, line, "{command}");
            assert!(fs::read(sandbox.path().join("a")).unwrap() == trace, "{command} {output}");
            assert!(fs::read(sandbox.path().join("other")).unwrap() == trace);
        }
    }
}

#[test]
fn the_old_output_stays_until_the_new_one_is_whole() {
    let sandbox = setup("kept");
    sandbox.file("a", golden());
    let old = sandbox.file("out", "good results");
    fs::set_permissions(&old, fs::Permissions::from_mode(0o640)).unwrap();
    for wrong in [&["dump", "-o", "out", "mistyped"][..], &["dump", "-o", "out", "out"]] {
        assert_eq!(mallook(&sandbox, wrong).status.code(), Some(2));
        assert_eq!(fs::read_to_string(&old).unwrap(), "good results", "{wrong:?}");
    }
    symlink("out", sandbox.path().join("link")).unwrap();
    let written = mallook(&sandbox, &["dump", "-o", "link", "a"]);
    assert!(written.status.success(), "{written:?}");
    assert_eq!(fs::read_to_string(&old).unwrap(), whole());
    assert_eq!(fs::metadata(&old).unwrap().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(sandbox.path().join("link")).unwrap().is_symlink());
    // What is no file is written to as it is.
    assert!(mallook(&sandbox, &["dump", "-o", "/dev/null", "a"]).status.success());
    assert!(fs::metadata("/dev/null").unwrap().mode() & libc::S_IFMT == libc::S_IFCHR);
    let names = fs::read_dir(sandbox.path()).unwrap().count();
    assert_eq!(names, 3, "something was left behind");
}

/// A command that is killed while it writes: here, by a limit on the size of files.
#[test]
fn a_killed_command_leaves_the_old_output() {
    let sandbox = setup("killed");
    sandbox.file("a", golden());
    let old = sandbox.file("out", "good results");
    let script = "ulimit -f 1; exec \"$0\" dump -o out a";
    let command = sandbox.command("sh").args(["-c", script]).arg(&artifacts().mallook);
    let killed = command.run_alone();
    assert!(!killed.status.success(), "{killed:?}");
    assert_eq!(fs::read_to_string(&old).unwrap(), "good results");
}

/// A directory that takes no new files: the old output is overwritten in place, and a new one cannot be
/// made.
#[test]
fn a_directory_that_takes_no_files() {
    // SAFETY: geteuid(2) has no precondition.
    let root = unsafe { libc::geteuid() } == 0;
    let test = "outputs::a_directory_that_takes_no_files";
    if !root && !skip(test, "root") || !have(test, &["setpriv"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    copy_program(&artifacts().mallook, &place("mallook"));
    fs::write(place("a"), golden()).unwrap();
    fs::write(place("out"), "good results, longer than what comes".repeat(1000)).unwrap();
    fs::set_permissions(place("out"), fs::Permissions::from_mode(0o666)).unwrap();
    let dump = |output: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        command.arg(place("mallook")).arg("dump").arg("-o").arg(place(output)).arg(place("a"));
        command.output().unwrap()
    };
    let written = dump("out");
    assert!(written.status.success(), "{written:?}");
    assert_eq!(fs::read_to_string(place("out")).unwrap(), whole());
    let refused = dump("new");
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(!place("new").exists());
}

/// Feeds the bytes to the standard input.
fn piped(sandbox: &Sandbox, arguments: &[&str], bytes: &[u8]) -> Output {
    let mut command = command(sandbox, arguments);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || _ = std::io::Write::write_all(&mut input, bytes));
        child.wait_with_output().unwrap()
    })
}

fn packed(sandbox: &Sandbox, tool: &str, name: &str) -> PathBuf {
    let packed = sandbox.command(tool).args(["-q", "-c", name]).run_alone();
    assert!(packed.status.success(), "{packed:?}");
    packed.stdout.is_empty().then(|| panic!("{tool}: nothing"));
    sandbox.file(&format!("packed.{tool}"), packed.stdout)
}

#[test]
fn pipes_and_compressed_traces() {
    if !have("outputs::pipes_and_compressed_traces", &["gzip", "zstd", "xz", "bash", "mkfifo"]) {
        return;
    }
    let sandbox = setup("pipes");
    sandbox.file("a", golden());
    let good = |output: Output, what: &str| {
        assert_eq!(text(&output.stderr), "", "{what}");
        assert_eq!(output.status.code(), Some(0), "{what}");
        assert!(text(&output.stdout) == whole(), "{what}");
    };
    good(piped(&sandbox, &["dump", "-"], &golden()), "-");
    good(piped(&sandbox, &["dump", "/dev/stdin"], &golden()), "/dev/stdin");
    for tool in ["gzip", "zstd", "xz"] {
        let path = packed(&sandbox, tool, "a");
        good(mallook(&sandbox, &["dump", path.to_str().unwrap()]), tool);
        let bytes = fs::read(&path).unwrap();
        good(piped(&sandbox, &["dump", "-"], &bytes), tool);
        // Cut off, it is an error and no panic.
        for length in [7, bytes.len() / 2, bytes.len() - 1] {
            let cut = piped(&sandbox, &["dump", "-"], &bytes[..length]);
            assert!(matches!(cut.status.code(), Some(1 | 2)), "{tool} {length}: {cut:?}");
            assert!(text(&cut.stderr).contains("mallook: "), "{tool} {length}: {cut:?}");
        }
    }
    // Two frames in a row are one file.
    let trace = golden();
    let (one, two) = trace.split_at(20_000);
    sandbox.file("one", one);
    sandbox.file("two", two);
    let script = "zstd -q -c one > both; zstd -q -c two >> both; exec \"$0\" dump both";
    let shell = |script: &str| {
        sandbox.command("bash").args(["-c", script]).arg(&artifacts().mallook).run_alone()
    };
    good(shell(script), "frames");
    good(shell("exec \"$0\" dump <(cat a)"), "<()");
    good(shell("exec \"$0\" dump <(sleep 3; cat a)"), "a slow writer");
    good(shell("mkfifo f; cat a > f & exec \"$0\" dump f"), "fifo");
    good(shell("mkfifo g; (sleep 0.1; exec cat a > g) & exec \"$0\" dump g"), "a late writer");
    let start = Instant::now();
    let nobody = shell("mkfifo h; exec \"$0\" dump h a");
    assert!(start.elapsed() < Duration::from_secs(60));
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
    assert_eq!(text(&nobody.stderr), "mallook: cannot read h: nobody writes to it\n");
    assert!(text(&nobody.stdout) == whole());
}

#[test]
fn good_ones_among_bad_ones() {
    let sandbox = setup("glob");
    for name in ["t.1.1.0", "t.2.1.0"] {
        sandbox.file(name, golden());
    }
    for (name, content) in [("empty", ""), ("stray", "hello"), ("t.3.1.0", "")] {
        sandbox.file(name, content);
    }
    fs::create_dir(sandbox.path().join("none")).unwrap();
    let both = mallook(&sandbox, &["dump", "t.1.1.0", "t.2.1.0"]);
    assert_eq!(both.status.code(), Some(0), "{both:?}");
    for command in ["dump", "info", "check"] {
        let expected = mallook(&sandbox, &[command, "t.1.1.0", "t.2.1.0"]);
        let bad = ["empty", "none", "missing", "stray"];
        let all = [&[command, "t.1.1.0"][..], &bad, &["t.2.1.0"]].concat();
        let output = mallook(&sandbox, &all);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout == expected.stdout, "{command}: {output:?}");
        let said = text(&output.stderr);
        assert_eq!(said.lines().count(), bad.len(), "{said}");
        for (name, line) in bad.iter().zip(said.lines()) {
            assert!(line.starts_with("mallook: ") && line.contains(name), "{line}");
        }
        // By the directory, by the prefix.
        for argument in [".", "t", sandbox.path().to_str().unwrap()] {
            let output = mallook(&sandbox, &[command, argument]);
            assert_eq!(output.status.code(), Some(1), "{argument}: {output:?}");
            assert_eq!(text(&output.stderr).lines().count(), 1, "{argument}: {output:?}");
            assert!(output.stdout.len() >= expected.stdout.len(), "{argument}");
        }
        let nothing = mallook(&sandbox, &[command, "empty", "stray"]);
        assert_eq!((nothing.status.code(), &*nothing.stdout), (Some(2), &b""[..]), "{nothing:?}");
    }
    // What cannot be read is named up to a bound.
    let many: Vec<_> = (0..200).map(|number| format!("no{number}")).collect();
    let arguments = [vec!["info", "t.1.1.0"], many.iter().map(String::as_str).collect()].concat();
    let said = text(&mallook(&sandbox, &arguments).stderr);
    assert_eq!(said.lines().count(), 21, "{said}");
    assert!(said.ends_with("180 further files cannot be read\n"), "{said}");
}
