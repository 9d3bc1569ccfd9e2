//! A directory for each test, and programs run in it under the library.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use mallook_format::{BLOCK_SIZE, SLOTS, Site};
use tempfile::TempDir;

use crate::artifacts::artifacts;
use crate::trace::Trace;

/// A directory that vanishes with the test, or what is left of its runs. That of a test that fails
/// stays: what it found may not be found again.
#[derive(Clone)]
pub struct Sandbox(Rc<Directory>);

struct Directory(TempDir);

impl Drop for Directory {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.disable_cleanup(true);
            eprintln!("kept: {}", self.0.path().display());
        }
    }
}

/// A sandbox; its name begins with that of the test. `MALLOOK_KEEP` keeps it.
pub fn setup(name: &str) -> Sandbox {
    let parent = env!("CARGO_TARGET_TMPDIR");
    let keep = std::env::var_os("MALLOOK_KEEP").is_some();
    let mut builder = tempfile::Builder::new();
    let directory = builder.prefix(name).disable_cleanup(keep).tempdir_in(parent).unwrap();
    Sandbox(Rc::new(Directory(directory)))
}

/// Whether these tools are installed. If not, says which one is missing, or fails if everything is
/// required.
pub fn have(test: &str, tools: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = || std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = |tool: &str| places().any(|place| place.join(tool).is_file());
    match tools.iter().find(|tool| !found(tool)) {
        Some(missing) => skip(test, missing),
        None => true,
    }
}

/// The call stacks that every traced program records, where its test does not say it: the value of
/// `MALLOOK_TEST_STACK`. All that `docs/robustness.md` promises has to hold with them, too.
pub fn stacks_of_the_suite() -> Option<OsString> {
    std::env::var_os("MALLOOK_TEST_STACK")
}

/// The length of the file of a ring of this number of bytes. Where the suite runs with call stacks, there is
/// room for sites and modules behind it, most of which is a hole.
pub fn length_of_ring(bytes: u64) -> u64 {
    let blocks = u64::from(Site::COUNT) / SLOTS as u64 + 64;
    bytes + if stacks_of_the_suite().is_some() { blocks * BLOCK_SIZE as u64 } else { 0 }
}

/// Says that a test does not run, or fails if everything is required; `false`.
pub fn skip(test: &str, missing: &str) -> bool {
    let message = format!("SKIPPED: {test}: {missing} is missing");
    assert!(std::env::var_os("MALLOOK_REQUIRE_ALL").is_none(), "{message}");
    // The harness captures what the macros print: this must be seen.
    let _ = writeln!(std::io::stderr(), "{message}");
    false
}

/// Writes a program that is to be run. A child does: what we have open for writing, the children that other tests
/// start at that moment have open as well, until they run their own programs, and nobody can run it before.
pub fn write_program(path: &Path, content: &[u8]) {
    let mut shell = Command::new("sh");
    shell.args(["-c", "cat >\"$0\" && chmod 755 \"$0\""]).arg(path).stdin(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    child.stdin.take().unwrap().write_all(content).unwrap();
    assert!(child.wait().unwrap().success(), "{}", path.display());
}

/// Copies a program that is to be run, as [`write_program`] does.
pub fn copy_program(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("--preserve=mode").args([from, to]).status().unwrap();
    assert!(status.success(), "{}", to.display());
}

/// Waits for what will be there: in vain for no longer than two minutes.
pub fn wait_for<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(120), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Sandbox {
    /// The directory.
    pub fn path(&self) -> &Path {
        self.0.0.path()
    }

    /// A file of this content.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// One of the test programs, to be run in the sandbox.
    pub fn program(&self, name: &str) -> Host<'_> {
        self.command(artifacts().program(name))
    }

    /// Any command, to be run in the sandbox.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Host<'_> {
        let mut command = Command::new(program);
        command.current_dir(self.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            // What cargo and the outside world set must not change what a program allocates.
            let text = name.to_string_lossy();
            if ["MALLOOK_", "CARGO", "RUST", "LD_"].iter().any(|start| text.starts_with(start)) {
                command.env_remove(&name);
            }
        }
        command.env("LC_ALL", "C").env("HOME", self.path());
        Host { sandbox: self, command }
    }

    /// The traces whose names begin with this prefix, in the order of PID and time.
    pub fn traces(&self, prefix: &str) -> Vec<Trace> {
        let start = format!("{prefix}.");
        let mut traces: Vec<_> = (self.path().read_dir().unwrap())
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&start))
            .filter(|path| path.extension().is_none_or(|it| it != "control"))
            .map(Trace::new)
            .collect();
        traces.sort_by_key(Trace::identity);
        traces
    }

    /// The trace of a program that was just started, as soon as it is there: the newest one whose name begins
    /// with this prefix.
    pub fn first_trace(&self, prefix: &str, child: &mut Child) -> Trace {
        wait_for("a trace", || {
            // In this order: one that ends may have left its trace just before.
            let ended = child.try_wait().unwrap();
            let trace = self.traces(prefix).pop();
            assert!(trace.is_some() || ended.is_none(), "no trace is left: {ended:?}");
            trace
        })
    }
}

/// A program to be run.
pub struct Host<'a> {
    sandbox: &'a Sandbox,
    /// The command as it is without the library.
    pub command: Command,
}

impl<'a> Host<'a> {
    /// Adds an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// A ring of this size.
    pub fn ring(self, size: &str) -> Self {
        self.env("MALLOOK_MODE", "ring").env("MALLOOK_SIZE", size)
    }

    /// Puts the library before it, with traces called `trace`, and with call stacks if the suite
    /// runs with them. What was set before stays.
    pub fn preloaded(self) -> Self {
        let host = self.or_env("LD_PRELOAD", &artifacts().library);
        let host = host.or_env("MALLOOK_PREFIX", "trace");
        match stacks_of_the_suite() {
            Some(how) => host.or_env("MALLOOK_STACK", how),
            None => host,
        }
    }

    fn or_env(self, name: &str, value: impl AsRef<OsStr>) -> Self {
        let is_set = self.command.get_envs().any(|(n, v)| n == name && v.is_some());
        if is_set { self } else { self.env(name, value) }
    }

    /// Runs it without the library.
    pub fn run_alone(mut self) -> Output {
        self.command.output().unwrap_or_else(|error| panic!("{:?}: {error}", self.command))
    }

    /// Runs it under the library to its end, whatever that is.
    pub fn run(self) -> Run {
        let sandbox = self.sandbox;
        let output = self.preloaded().run_alone();
        Run::of(output, sandbox, "trace")
    }
}

/// The result of a run under the library.
pub struct Run {
    /// Output and exit status.
    pub output: Output,
    /// The traces, in the order of PID and time.
    pub traces: Vec<Trace>,
    /// Where they lie.
    _sandbox: Sandbox,
}

impl Run {
    /// The result of a run whose traces have this prefix.
    pub fn of(output: Output, sandbox: &Sandbox, prefix: &str) -> Run {
        Run { output, traces: sandbox.traces(prefix), _sandbox: sandbox.clone() }
    }

    /// Fails unless the program ended with this code and wrote nothing to stderr.
    pub fn expect(self, code: i32) -> Run {
        assert_eq!(self.output.status.code(), Some(code), "{:?}", self.output);
        assert_eq!(String::from_utf8_lossy(&self.output.stderr), "");
        self
    }

    /// Fails unless the program was killed by this signal.
    pub fn expect_signal(self, signal: i32) -> Run {
        assert_eq!(self.output.status.signal(), Some(signal), "{:?}", self.output);
        self
    }

    /// The only trace.
    pub fn trace(&self) -> &Trace {
        assert_eq!(self.traces.len(), 1, "{:?}", self.traces);
        &self.traces[0]
    }

    /// The trace of a process; there must be exactly one.
    pub fn trace_of(&self, pid: u32) -> &Trace {
        let mut traces = self.traces.iter().filter(|trace| trace.identity().0 == pid);
        let trace = traces.next().unwrap_or_else(|| panic!("no trace of {pid}: {:?}", self.traces));
        assert!(traces.next().is_none(), "two traces of {pid}");
        trace
    }

    /// The traces of these processes, one each. Other tests use up PIDs, so that a number may come
    /// round, and several of these processes have it.
    pub fn traces_of(&self, pids: &[u32]) -> Vec<&Trace> {
        let pid = |trace: &&Trace| trace.identity().0;
        let traces: Vec<_> =
            self.traces.iter().filter(|trace| pids.contains(&pid(trace))).collect();
        let mut expected = pids.to_vec();
        expected.sort_unstable();
        assert_eq!(traces.iter().map(pid).collect::<Vec<_>>(), expected);
        traces
    }

    /// The lines `NAME VALUE` of the output, by name.
    pub fn said(&self) -> BTreeMap<String, Vec<String>> {
        said(&self.output)
    }

    /// The PIDs that were said under this name.
    pub fn pids(&self, name: &str) -> Vec<u32> {
        let said = self.said();
        said.get(name).into_iter().flatten().map(|pid| pid.parse().unwrap()).collect()
    }
}

/// The lines `NAME VALUE` of an output, by name.
pub fn said(output: &Output) -> BTreeMap<String, Vec<String>> {
    let mut said = BTreeMap::<_, Vec<_>>::new();
    for line in String::from_utf8(output.stdout.clone()).unwrap().lines() {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        said.entry(name.to_owned()).or_default().push(value.to_owned());
    }
    said
}

/// The outcome in which two runs of a program have to agree.
pub fn outcome(output: &Output) -> (ExitStatus, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status, text(&output.stdout), text(&output.stderr))
}

/// The environment variable's value, or the default.
pub fn number(name: &str, default: usize) -> usize {
    let parse = |value: OsString| value.to_str().and_then(|value| value.parse().ok());
    std::env::var_os(name).map_or(default, |value| parse(value).expect("a number"))
}

/// Random numbers for moments and mutations; the seed is `MALLOOK_SEED`, or said on stdout.
pub struct Random(u64);

impl Random {
    /// A generator.
    pub fn new() -> Random {
        let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let seed = number("MALLOOK_SEED", clock.subsec_nanos() as usize);
        println!("MALLOOK_SEED={seed}");
        Random::with_seed(seed as u64)
    }

    /// A generator that always says the same.
    pub fn with_seed(seed: u64) -> Random {
        Random(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// The next number (xorshift64*).
    pub fn word(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below the bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.word() % bound
    }
}

#[test]
fn a_program_that_leaves_no_trace_is_not_waited_for() {
    let sandbox = setup("no_trace");
    let mut child = sandbox.command("true").command.spawn().unwrap();
    let waited = std::panic::AssertUnwindSafe(|| sandbox.first_trace("trace", &mut child));
    let error = std::panic::catch_unwind(waited).expect_err("there is no trace");
    let said = error.downcast_ref::<String>().unwrap();
    assert!(said.starts_with("no trace is left: Some(ExitStatus"), "{said}");
}
