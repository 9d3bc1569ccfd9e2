//! Programs that run under the tools: our own `churn`, and everyday ones.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mallook_benches::process::{self, Usage};
use mallook_benches::scale;

use crate::files;
use crate::measure::run_quietly;

/// A program with its arguments.
pub struct Program {
    /// A few words.
    pub name: &'static str,
    path: PathBuf,
    arguments: Vec<String>,
    directory: PathBuf,
    /// It serves on this socket; what is measured is a client's work.
    socket: Option<PathBuf>,
}

/// All programs that are installed, with their input in the directory.
pub fn all(scratch: &Path) -> Result<Vec<Program>> {
    let pairs = scale::amount("MALLOOK_BENCH_PAIRS", 5_000_000_u64, 20_000).to_string();
    let churn = PathBuf::from(env!("CARGO_BIN_EXE_churn"));
    let source = scratch.join("large.c");
    fs::write(&source, c_source(scale::pick(500, 20)))?;
    let repository = scratch.join("repository");
    let mut programs = Vec::new();
    let mut add = |name, path: Option<PathBuf>, arguments: &[&str]| match path {
        Some(path) => programs.push(Program {
            name,
            path,
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            directory: scratch.to_owned(),
            socket: None,
        }),
        None => println!("{name}: not installed, left out"),
    };
    add("churn, 1 thread", Some(churn.clone()), &["pairs", "1", &pairs]);
    add("churn, 2 threads", Some(churn.clone()), &["pairs", "2", &pairs]);
    add("churn, random order", Some(churn), &["random", "1", &pairs]);
    let include = gcc("-print-multiarch").unwrap_or_default();
    let input = source.to_string_lossy();
    let arguments = ["-quiet", "-O2", "-imultiarch", &include, &input, "-o", "large.s"];
    let compiler = gcc("-print-prog-name=cc1").map(PathBuf::from).filter(|path| path.is_file());
    add("gcc -O2 (its compiler, cc1)", compiler, &arguments);
    let python = Some(PathBuf::from("/usr/bin/python3")).filter(|path| path.exists());
    let rounds = scale::pick("10", "1");
    add("python3, json", python, &["-c", PYTHON, rounds]);
    let git = files::program("git");
    if let Some(git) = &git {
        create_repository(git, &repository, scale::pick(1000, 20))?;
    }
    add("git log -p", git, &["-C", &repository.to_string_lossy(), "log", "-p"]);
    let redis =
        files::program("redis-server").filter(|_| files::program("redis-benchmark").is_some());
    let socket = scratch.join("redis");
    let socket_name = socket.to_string_lossy().into_owned();
    let quiet = ["--save", "", "--appendonly", "no"];
    add("redis", redis, &[&["--port", "0", "--unixsocket", &socket_name], &quiet[..]].concat());
    for program in programs.iter_mut().filter(|program| program.name == "redis") {
        program.socket = Some(socket.clone());
    }
    Ok(programs)
}

/// The answer of `gcc` about itself. Its compiler is run alone, since not every tool follows the processes
/// that `gcc` starts.
fn gcc(question: &str) -> Option<String> {
    let output = Command::new("gcc").arg(question).output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

impl Program {
    /// The command that runs it.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).current_dir(&self.directory);
        command
    }

    /// Runs the command, which is this program under some tool.
    pub fn run(&self, command: &mut Command) -> Result<Usage> {
        match &self.socket {
            None => process::run(command),
            Some(socket) => serve(command, socket),
        }
    }
}

/// Runs a redis server while a client works with it. The wall time is the client's.
fn serve(command: &mut Command, socket: &Path) -> Result<Usage> {
    let _ = fs::remove_file(socket);
    let start = Instant::now();
    let server = command.spawn().with_context(|| format!("{command:?}"))?;
    while UnixStream::connect(socket).is_err() {
        if start.elapsed() > Duration::from_secs(60) {
            // SAFETY: our own child, which nobody has waited for.
            unsafe { libc::kill(server.id() as libc::pid_t, libc::SIGKILL) };
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let requests = scale::pick("50000", "2000");
    let mut client = Command::new("redis-benchmark");
    client.args(["-q", "-n", requests, "-r", "100000", "-t", "set,get,lpush,hset,zadd"]);
    client.arg("-s").arg(socket).stderr(Stdio::null());
    let begin = Instant::now();
    let worked = run_quietly(&mut client);
    let wall = begin.elapsed();
    let mut shutdown = Command::new("redis-cli");
    let ended = run_quietly(shutdown.arg("-s").arg(socket).args(["shutdown", "nosave"]));
    if ended.is_err() {
        // SAFETY: our own child, which nobody has waited for.
        unsafe { libc::kill(server.id() as libc::pid_t, libc::SIGKILL) };
    }
    let (status, usage) = process::wait(&server, start)?;
    worked.and(ended)?;
    ensure!(status == 0, "{command:?}: failed with wait status {status:#x}");
    Ok(Usage { wall, ..usage })
}

/// Builds a tree of objects, writes it as text and reads it back.
const PYTHON: &str = "
import json, sys
for n in range(int(sys.argv[1])):
    rows = [{'id': i, 'name': 'row %d' % i, 'tags': [str(i * k) * k for k in range(8)],
             'text': 'x' * (i % 2000), 'score': i / 7} for i in range(5000)]
    assert len(json.loads(json.dumps(rows, indent=1))) == len(rows)
";

/// A C file with this number of functions, no two of them the same.
fn c_source(functions: u32) -> String {
    let mut text = String::from(
        "#include <string.h>\n#include <stdio.h>\nstruct s { int a, b[16]; double d; };\n",
    );
    for n in 0..functions {
        let (a, b) = (n % 13 + 2, n % 7 + 1);
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "static int t{n}[{a}];\n\
             int f{n}(struct s *s, const char *text, int k) {{\n\
             \tint sum = {n};\n\
             \tfor (int i = 0; i < k; i++) {{\n\
             \t\tswitch ((i + text[i % {a}]) % {a}) {{\n\
             \t\tcase 0: s->b[i & 15] += k * {b}; break;\n\
             \t\tcase 1: sum ^= s->b[(i * {b}) & 15] << (k & 7); break;\n\
             \t\tcase 2: s->d = s->d * {b} + sum / (i + 1.0); break;\n\
             \t\tdefault: t{n}[i % {a}] = sum + (int)strlen(text + (i & 3));\n\
             \t\t}}\n\
             \t\tif (sum > {b}{a}000) sum -= t{n}[(sum & 0xff) % {a}];\n\
             \t}}\n\
             \tprintf(\"%d %f {n}\\n\", sum, s->d);\n\
             \treturn {call};\n\
             }}",
            call =
                if n == 0 { "sum".to_owned() } else { format!("sum + f{}(s, text, k / 2)", n - 1) },
        );
    }
    text
}

/// A repository with this number of commits, each of which changes a few lines in four files.
fn create_repository(git: &Path, directory: &Path, commits: u32) -> Result<()> {
    run_quietly(
        Command::new(git)
            .args(["init", "--quiet", "--bare", "--initial-branch=main"])
            .arg(directory),
    )?;
    let mut import = Command::new(git);
    import.arg("-C").arg(directory).args(["fast-import", "--quiet"]).stdin(Stdio::piped());
    let mut child = import.spawn()?;
    let mut stream = std::io::BufWriter::new(child.stdin.take().context("a pipe")?);
    for commit in 1..=commits {
        writeln!(
            stream,
            "commit refs/heads/main\ncommitter bench <bench@localhost> {commit} +0000"
        )?;
        writeln!(stream, "data 6\ncommit")?;
        for file in 0..4 {
            let text: String = (0..300)
                .map(|line| {
                    format!("line {line} of {file}: {}\n", (commit + file * 37 + line) / 50)
                })
                .collect();
            writeln!(stream, "M 100644 inline dir{}/file{file}\ndata {}", commit % 5, text.len())?;
            writeln!(stream, "{text}")?;
        }
    }
    drop(stream);
    ensure!(child.wait()?.success(), "git fast-import failed");
    Ok(())
}
