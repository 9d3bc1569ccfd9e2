//! `mallook run`: prepares the environment, starts the program, sees it through.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::{Context, bail};

use crate::cli::Run;
use crate::signals::{self, Signals};
use crate::traces::{self, Traces};
use crate::{inspect, library, say};

/// Exit code when the program cannot be executed.
const CANNOT_EXECUTE: u8 = 126;
/// Exit code when the program was not found.
const NOT_FOUND: u8 = 127;

/// Runs the program and returns its exit code, or dies of the same signal.
pub fn run(options: &Run) -> anyhow::Result<ExitCode> {
    let library = match &options.library {
        Some(path) => library::named(path).context("--library")?,
        None => library::install().context("cannot put the preloaded library on disk")?,
    };
    let prefix = options.prefix().context("--output")?;
    let traces = Traces::before(&prefix)
        .with_context(|| format!("cannot list the directory of {}", prefix.display()))?;

    let (program, arguments) = options.program.split_first().context("no program given")?;
    match inspect::obstacle(program, &library) {
        Some(obstacle) if obstacle.is_fatal() => bail!("{}: {obstacle}", program.display()),
        Some(obstacle) if !options.quiet => {
            say(format_args!("{}: {obstacle}", program.display()));
        }
        _ => {}
    }

    let mut command = Command::new(program);
    command.args(arguments).env("LD_PRELOAD", preload(&library)).env("MALLOOK_PREFIX", &prefix);
    command.envs(options.variables());
    let signals = Signals::block();
    signals.restore_in(&mut command);
    let status = match command.spawn() {
        Ok(child) => signals.see_through(child).context("cannot wait for the program")?,
        Err(error) => {
            let code = match error.raw_os_error() {
                // What fork(2) fails with.
                Some(libc::EAGAIN | libc::ENOMEM) => return Err(error).context("cannot fork"),
                Some(libc::ENOENT) => NOT_FOUND,
                _ => CANNOT_EXECUTE,
            };
            say(format_args!("cannot run {}: {error}", program.display()));
            return Ok(code.into());
        }
    };

    if !options.quiet {
        list(&traces, &prefix);
    }
    Ok(pass_on(status))
}

/// Our library goes first: it forwards to the allocators behind it.
fn preload(library: &Path) -> OsString {
    let mut value = library.as_os_str().to_owned();
    if let Some(others) = env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
        value.push(":");
        value.push(others);
    }
    value
}

fn list(traces: &Traces, prefix: &Path) {
    match traces.new_ones() {
        Ok(found) => say(format_args!("{}", traces::report(&found))),
        Err(error) => say(format_args!("cannot list the traces {}.*: {error}", prefix.display())),
    }
}

fn pass_on(status: ExitStatus) -> ExitCode {
    let code = match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => {
            signals::die_of(signal);
            128 + signal
        }
        (None, None) => unreachable!("a process that has ended did so by itself or by a signal"),
    };
    // Exit codes and 128 + 64 fit.
    ExitCode::from(code as u8)
}
