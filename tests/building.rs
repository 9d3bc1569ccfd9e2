//! The needs of the robustness cases beyond [`crate::sandbox`]: libraries and programs with options of
//! their own, preloading beside others, and the checker on every trace of a run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::artifacts::{artifacts, tests};
use crate::sandbox::{Run, Sandbox};
use crate::trace::{Row, dump};

impl Sandbox {
    /// Compiles a source of `programs/special`, or `programs`, with these options.
    pub fn build(&self, source: &str, name: &str, options: &[&str]) -> PathBuf {
        let output = self.path().join(name);
        let compiler = if source.ends_with(".cc") { "g++" } else { "gcc" };
        let mut command = Command::new(compiler);
        command.args(["-O0", "-g", "-pthread", "-fno-builtin", "-Wall", "-Wextra", "-Werror"]);
        command.arg("-o").arg(&output).arg(tests().join("programs").join(source)).args(options);
        let result = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stderr = String::from_utf8_lossy(&result.stderr);
        assert!(result.status.success(), "{command:?}: {stderr}");
        output
    }

    /// Compiles a library of `programs/special`.
    pub fn library(&self, name: &str) -> PathBuf {
        let (source, output) = (format!("special/{name}.c"), format!("{name}.so"));
        self.build(&source, &output, &["-shared", "-fPIC"])
    }
}

/// The value of `LD_PRELOAD` with our library between these.
pub fn preload(before: &[&Path], after: &[&Path]) -> OsString {
    let all = [before, &[artifacts().library.as_path()], after].concat();
    all.into_iter().map(Path::as_os_str).collect::<Vec<_>>().join(":".as_ref())
}

impl Run {
    /// Fails unless every trace is whole, nothing was lost, and nothing in it is impossible.
    pub fn sound(self) -> Run {
        assert!(!self.traces.is_empty(), "no traces");
        // As many as fit on a command line.
        for traces in self.traces.chunks(1_000) {
            let all: Vec<_> = traces.iter().collect();
            let output = dump(&["--check"], &all);
            let text = String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            // What a ring has overwritten may leave only one end of a life.
            let possible = |line: &&str| {
                line.contains(": nothing impossible: 0 ")
                    || line.contains(": not conclusive") && !line.contains(" 0 overwritten")
            };
            assert_eq!(text.lines().filter(possible).count(), all.len(), "{text}");
            let whole = text.lines().filter(|line| line.ends_with(", 0 lost"));
            assert_eq!(whole.count(), all.len(), "{text}");
        }
        self
    }
}

/// How many blocks with such sizes were born, and how many of them have died.
pub fn lives(rows: &[Row], ours: impl Fn(u64) -> bool) -> (usize, usize) {
    let mut alive = std::collections::HashSet::new();
    let (mut births, mut deaths) = (0, 0);
    for row in rows {
        if row.is_free() {
            deaths += usize::from(alive.remove(&row.address));
        } else if row.size.is_some_and(&ours) {
            births += 1;
            alive.insert(row.address);
        }
    }
    (births, deaths)
}
