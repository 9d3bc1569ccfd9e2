//! `mallook run --only`: of a tree of processes, the named program leaves traces, and no other one; the tree
//! does what it does without mallook.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::Output;

use mallook_reader::Trace as Reader;

use crate::artifacts::artifacts;
use crate::sandbox::{Sandbox, have, outcome, setup};
use crate::trace::Trace;

/// Processes, by the name of their program and their PID.
type Processes = Vec<(String, u32)>;

fn run(sandbox: &Sandbox, prefix: &str, options: &[&str], tree: &[&str]) -> Output {
    let launcher = sandbox.command(&artifacts().mallook).args(["run", "-q", "-o", prefix]);
    launcher.args(options).arg("--").args(tree).run_alone()
}

/// The processes that have left traces.
fn traced(traces: &[Trace]) -> Processes {
    let process = |trace: &Trace| {
        let trace = Reader::open(trace.path()).unwrap();
        let path = String::from_utf8(trace.header().executable().to_vec()).unwrap();
        (path.rsplit('/').next().unwrap().to_owned(), trace.pid())
    };
    let mut processes: Vec<_> = traces.iter().map(process).collect();
    processes.sort_unstable();
    processes
}

/// The processes that have said their program and PID in a line of a file, which is then removed.
fn said(sandbox: &Sandbox) -> Processes {
    let file = sandbox.path().join("said");
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(file).unwrap();
    let process = |line: &str| {
        let (name, pid) = line.split_once(' ').unwrap();
        (name.to_owned(), pid.parse().unwrap())
    };
    let mut processes: Vec<_> = text.lines().map(process).collect();
    processes.sort_unstable();
    processes
}

/// Runs a tree as it is, and with these values of `--only`, each beside the programs that it names.
fn check(sandbox: &Sandbox, tree: &[&str], only: &[(&[&str], &[&str])]) {
    let alone = sandbox.command(tree[0]).args(&tree[1..]).run_alone();
    said(sandbox);
    let expected = outcome(&alone);
    let output = run(sandbox, "all", &[], tree);
    assert_eq!(outcome(&output), expected);
    said(sandbox);
    let all = traced(&sandbox.traces("all"));
    for (number, (values, kept)) in only.iter().enumerate() {
        let is_kept = |(name, _): &(String, u32)| kept.contains(&name.as_str());
        assert!(all.iter().any(|it| !is_kept(it)), "nobody else leaves traces: {all:?}");
        let options: Vec<_> = values.iter().flat_map(|value| ["--only", value]).collect();
        let prefix = format!("only{number}");
        let output = run(sandbox, &prefix, &options, tree);
        assert_eq!(outcome(&output), expected, "{values:?}");
        let traces = sandbox.traces(&prefix);
        let processes = said(sandbox).into_iter().filter(is_kept).collect::<Vec<_>>();
        assert_eq!(traced(&traces), processes, "{values:?}");
        assert_eq!(traces.is_empty(), kept.is_empty(), "{values:?}");
        traces.iter().for_each(Trace::check);
    }
}

fn figures() -> String {
    artifacts().program("figures").to_str().unwrap().to_owned()
}

#[test]
fn of_a_wrapper_of_the_shell() {
    let sandbox = setup("only_shell");
    let figures = figures();
    // A shell that becomes the program has two traces of one PID.
    let script = r#"
        start() { sh -c 'echo figures $$ >>said; exec "$0" "$@"' "$@"; echo "ended with $?"; }
        echo begins
        start "$0" peak 7
        cat said >/dev/null; echo on stderr >&2
        start "$0" killed 2>/dev/null | sort
        exit 5
    "#;
    let tree = ["sh", "-c", script, &figures];
    check(
        &sandbox,
        &tree,
        &[(&["figures"], &["figures"]), (&[&figures], &["figures"]), (&["figure", "sh/"], &[])],
    );
}

#[test]
fn of_a_make_that_fails() {
    if !have("of_a_make_that_fails", &["make"]) {
        return;
    }
    let sandbox = setup("only_make");
    let recipe =
        |arguments: &str| format!("echo figures $$$$ >>said; exec {} {arguments}", figures());
    let makefile = format!(
        "all: first second\n\
         first:\n\t@echo first; {}\n\
         second: first\n\t@wc -l Makefile; echo make $$PPID >>said\n\t@$(MAKE) inner\n\
         inner:\n\t@echo make $$PPID >>said; {}\n",
        recipe("crossed"),
        recipe("peak 3"),
    );
    sandbox.file("Makefile", makefile);
    check(
        &sandbox,
        &["make"],
        &[
            (&["figures"], &["figures"]),
            (&["make"], &["make"]),
            (&["make", "figures"], &["make", "figures"]),
        ],
    );
}

#[test]
fn of_workers_of_python() {
    const PYTHON: &str = "/usr/bin/python3";
    if !have("of_workers_of_python", &["python3"]) {
        return;
    }
    let sandbox = setup("only_python");
    let script = r#"
import multiprocessing, os, subprocess, sys
NAME = os.path.basename(os.readlink("/proc/self/exe"))
def say(name, pid):
    with open("said", "a") as said: said.write(f"{name} {pid}\n")
def worker(number):
    say(NAME, os.getpid())
    child = subprocess.Popen([sys.argv[1], "peak", str(number)])
    say("figures", child.pid)
    sys.exit(child.wait())
say(NAME, os.getpid())
fork = multiprocessing.get_context("fork")
workers = [fork.Process(target=worker, args=(number,)) for number in range(3)]
for each in workers: each.start()
for each in workers: each.join()
print([each.exitcode for each in workers])
sys.exit(9)
"#;
    let file = sandbox.file("tree.py", script);
    let executable = fs::canonicalize(PYTHON).unwrap();
    let (executable, figures) = (executable.to_str().unwrap(), figures());
    let name = executable.rsplit('/').next().unwrap();
    check(
        &sandbox,
        &[PYTHON, file.to_str().unwrap(), &figures],
        &[(&[name], &[name]), (&[executable], &[name]), (&["figures"], &["figures"])],
    );
}

/// Traces of other runs stay, and so does that of a process which still runs, whatever program it is.
#[test]
fn what_is_not_of_the_run_stays() {
    let sandbox = setup("only_others");
    run(&sandbox, "mine", &[], &["ls"]);
    let before = traced(&sandbox.traces("mine"));
    assert_eq!(before.len(), 1);
    let fifo = |name: &str| {
        let path = sandbox.path().join(name);
        let name = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: the name is a string that ends with zero.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        // Whoever reads and writes waits for nobody.
        File::options().read(true).write(true).open(path).unwrap()
    };
    let (mut input, _answers) = (fifo("input"), fifo("answers"));
    input.write_all(b"x").unwrap();
    // It has allocated when it answers, and waits for more.
    let script = r#""$0" <input >answers 2>/dev/null & head -c1 answers; exit 4"#;
    let heaps = artifacts().program("heaps");
    let tree = ["sh", "-c", script, heaps.to_str().unwrap()];
    let output = run(&sandbox, "mine", &["--only", "figures"], &tree);
    assert_eq!((output.status.code(), &*output.stdout), (Some(4), &b"+"[..]), "{output:?}");
    let after = traced(&sandbox.traces("mine"));
    let new: Vec<_> = after.iter().filter(|it| !before.contains(it)).collect();
    assert!(before.iter().all(|it| after.contains(it)), "{after:?}");
    assert!(new.len() == 1 && new[0].0 == "heaps", "{new:?}");
}
