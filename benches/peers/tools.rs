//! Tools that record allocations, and how a program is run under each.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use mallook_benches::artifacts::artifacts;
use mallook_benches::inside;
use mallook_format::Mode;
use mallook_reader::{Summary, Trace};

use crate::files;
use crate::lttng::Lttng;

/// The recording that a tool left behind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recorded {
    /// `None` if the tool only keeps sums.
    pub events: Option<u64>,
    /// Bytes written.
    pub bytes: u64,
}

/// Something that a program can be run under.
pub trait Tool {
    /// A word.
    fn name(&self) -> &'static str;

    /// Package and version.
    fn version(&self) -> String;

    /// One run says enough: it takes very long.
    fn is_slow(&self) -> bool {
        false
    }

    /// The command that runs the program, with traces in the directory; `None` if this program
    /// cannot be run so.
    fn wrap(&self, program: Command, directory: &Path) -> Option<Command>;

    /// The steps before the run.
    fn begin(&mut self, _directory: &Path) -> Result<()> {
        Ok(())
    }

    /// The steps after it; the processor time that others spent on the tool's behalf, in seconds.
    fn end(&mut self) -> Result<f64> {
        Ok(0.0)
    }

    /// The number of events in the directory.
    fn events(&self, _directory: &Path) -> Result<Option<u64>> {
        Ok(None)
    }
}

/// Every tool that is installed, and the names of the others.
pub fn find() -> (Vec<Box<dyn Tool>>, Vec<&'static str>) {
    let mut tools: Vec<Box<dyn Tool>> =
        vec![Box::new(Bare), Box::new(Mallook(Mode::Full)), Box::new(Mallook(Mode::Ring))];
    let mut missing = Vec::new();
    let mut add = |name, tool: Option<Box<dyn Tool>>| match tool {
        Some(tool) => tools.push(tool),
        None => missing.push(name),
    };
    add("lttng", Lttng::find().map(|tool| Box::new(tool) as _));
    add("heaptrack", files::program("heaptrack").map(|path| Box::new(Heaptrack(path)) as _));
    let mtrace = files::library("libc_malloc_debug.so.0");
    add("mtrace", mtrace.map(|path| Box::new(Mtrace(path)) as _));
    let gperftools = files::library("libtcmalloc.so.4");
    add("gperftools", gperftools.map(|path| Box::new(Gperftools(path)) as _));
    add("dhat", files::program("valgrind").map(|path| Box::new(Dhat(path)) as _));
    (tools, missing)
}

/// No tool.
struct Bare;

impl Tool for Bare {
    fn name(&self) -> &'static str {
        "bare"
    }
    fn version(&self) -> String {
        let text = |path| std::fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = text("/proc/cpuinfo");
        let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split_once(": ")).map_or("", |(_, model)| model);
        format!("{model}, Linux {}", text("/proc/sys/kernel/osrelease").trim())
    }
    fn wrap(&self, program: Command, _: &Path) -> Option<Command> {
        Some(program)
    }
}

struct Mallook(Mode);

impl Tool for Mallook {
    fn name(&self) -> &'static str {
        match self.0 {
            Mode::Full => "mallook",
            Mode::Ring => "mallook ring",
        }
    }
    fn version(&self) -> String {
        artifacts().library.display().to_string()
    }
    fn wrap(&self, mut program: Command, directory: &Path) -> Option<Command> {
        program.envs(inside::environment(self.0));
        program.env("MALLOOK_PREFIX", directory.join("trace"));
        Some(program)
    }
    fn events(&self, directory: &Path) -> Result<Option<u64>> {
        let mut sum = 0;
        for file in files::below(directory)? {
            let summary = Summary::of(&Trace::open(&file)?);
            sum += summary.present + summary.overwritten;
        }
        Ok(Some(sum))
    }
}

struct Heaptrack(PathBuf);

impl Tool for Heaptrack {
    fn name(&self) -> &'static str {
        "heaptrack"
    }
    fn version(&self) -> String {
        files::package_version(&self.0)
    }
    fn wrap(&self, program: Command, directory: &Path) -> Option<Command> {
        // Raw: what it takes to understand the trace is no part of the comparison.
        let mut command = Command::new(&self.0);
        command.arg("--raw").arg("--output").arg(directory.join("trace"));
        Some(run_by(command, &program))
    }
    fn events(&self, directory: &Path) -> Result<Option<u64>> {
        let files = files::below(directory)?;
        let counts = files.iter().map(|file| files::count_lines(file, |b| b"+-".contains(&b)));
        counts.sum::<Result<u64>>().map(Some)
    }
}

/// glibc's own log. It has to be asked for in the program.
struct Mtrace(PathBuf);

impl Tool for Mtrace {
    fn name(&self) -> &'static str {
        "mtrace"
    }
    fn version(&self) -> String {
        files::package_version(&self.0)
    }
    fn wrap(&self, mut program: Command, directory: &Path) -> Option<Command> {
        if !Path::new(program.get_program()).ends_with("churn") {
            return None;
        }
        program.arg("mtrace").env("LD_PRELOAD", &self.0);
        program.env("MALLOC_TRACE", directory.join("trace"));
        Some(program)
    }
    fn events(&self, directory: &Path) -> Result<Option<u64>> {
        files::count_lines(&directory.join("trace"), |byte| byte == b'@').map(Some)
    }
}

/// The heap profiler of gperftools, which brings its own allocator and keeps sums.
struct Gperftools(PathBuf);

impl Tool for Gperftools {
    fn name(&self) -> &'static str {
        "gperftools"
    }
    fn version(&self) -> String {
        files::package_version(&self.0)
    }
    fn is_slow(&self) -> bool {
        true
    }
    fn wrap(&self, mut program: Command, directory: &Path) -> Option<Command> {
        program.env("LD_PRELOAD", &self.0).env("HEAPPROFILE", directory.join("profile"));
        Some(program)
    }
}

/// valgrind's dhat, which keeps sums.
struct Dhat(PathBuf);

impl Tool for Dhat {
    fn name(&self) -> &'static str {
        "dhat"
    }
    fn version(&self) -> String {
        files::package_version(&self.0)
    }
    fn is_slow(&self) -> bool {
        true
    }
    fn wrap(&self, program: Command, directory: &Path) -> Option<Command> {
        let mut command = Command::new(&self.0);
        command.args(["--quiet", "--tool=dhat", "--trace-children=yes"]);
        command.arg(format!("--dhat-out-file={}", directory.join("dhat.%p").display()));
        Some(run_by(command, &program))
    }
}

/// The command with the program and its arguments as further arguments, in its environment.
fn run_by(mut command: Command, program: &Command) -> Command {
    command.arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(directory) = program.get_current_dir() {
        command.current_dir(directory);
    }
    command
}
