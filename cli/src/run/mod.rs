//! `mallook run`: prepares the environment, starts the program, sees it through.
//!
//! The law of the modules: each uses only modules of the rows above it and to its left in its row.
//!
//! ```text
//! options library  the options; the preloaded library, on disk
//! interpreter      the file that a program cannot be started without
//! inspect signals  why a program cannot be recorded; signals on their way to it
//! traces unseen    the files that it has left; the part that is missing from them
//! scratch window   traces that are removed at the end; the part of a run that is recorded
//! ```

pub mod inspect;
mod interpreter;
pub mod library;
mod options;
mod scratch;
mod signals;
mod traces;
mod unseen;
mod window;

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::{Context, bail, ensure};
use mallook_reader::{Follow, Shown, Trace};

use crate::control::file;
use crate::messages::Messages;
use crate::run::scratch::Scratch;
use crate::run::signals::Signals;
use crate::run::traces::Traces;
use crate::run::window::Window;
use crate::{input, summary};

pub use crate::run::options::Options;

/// Exit code when mallook itself failed, as with env(1) and nice(1).
pub const FAILED: u8 = 125;
/// Exit code when the program cannot be executed.
const CANNOT_EXECUTE: u8 = 126;
/// Exit code when the program was not found.
const NOT_FOUND: u8 = 127;

/// Runs the program and returns its exit code, or dies of the same signal.
pub fn run(options: &Options, messages: Messages) -> anyhow::Result<ExitCode> {
    let library = match &options.library {
        Some(path) => library::named(path).context("--library")?,
        None => library::install().context("cannot put the preloaded library on disk")?,
    };
    let mut prefix = options.prefix().context("--output")?;
    let scratch = options.no_keep.then(|| Scratch::beside(&prefix)).transpose()?;
    if let Some(scratch) = &scratch {
        prefix = scratch.prefix();
    }
    let traces = Traces::before(&prefix)
        .with_context(|| format!("cannot list the directory of {}", prefix.display()))?;

    traces.check_writable()?;
    if !options.quiet {
        options.without_effect().iter().for_each(|line| messages.say(format_args!("{line}")));
    }

    let (program, arguments) = options.program.split_first().context("no program given")?;
    let obstacle = inspect::obstacle(program, &library);
    match obstacle {
        Some(obstacle) if obstacle.is_fatal() => bail!("{}: {obstacle}", program.display()),
        Some(obstacle) if !options.quiet => {
            messages.say(format_args!("{}: {obstacle}", program.display()));
        }
        _ => {}
    }

    let mut command = Command::new(program);
    command.args(arguments).env("LD_PRELOAD", preload(&library)).env("MALLOOK_PREFIX", &prefix);
    command.envs(options.variables());
    let forgotten = forget_old_control(&prefix, messages);
    let window = Window::of(options);
    let others = window.map(|_| Follow::with_this_prefix(&prefix)).unwrap_or_default();
    if window.is_some_and(|window| window.starts_paused()) {
        command.env("MALLOOK_START", "paused");
    }
    let signals = Signals::block();
    signals.restore_in(&mut command);
    let status = match command.spawn() {
        Ok(child) => {
            let _watch = window.map(|window| window.watch(&prefix, others));
            signals.see_through(child).context("cannot wait for the program")?
        }
        Err(error) => {
            if let Some(paused) = forgotten {
                // There is no run that it was not written for.
                let _ = file::write(&prefix, paused);
            }
            let code = match error.raw_os_error() {
                // What fork(2) fails with.
                Some(libc::EAGAIN | libc::ENOMEM) => return Err(error).context("cannot fork"),
                Some(libc::ENOENT) => match inspect::search(program).as_deref() {
                    Some(path) if path.exists() => {
                        let missing = interpreter::missing(path);
                        return Ok(cannot_interpret(program, missing.as_deref(), &error, messages));
                    }
                    _ => NOT_FOUND,
                },
                _ => CANNOT_EXECUTE,
            };
            messages.say(format_args!("cannot run {}: {error}", Shown(Path::new(program))));
            return Ok(code.into());
        }
    };

    if !options.only.is_empty()
        && let Err(error) = traces.keep_only(&options.only)
    {
        messages.say(format_args!("--only: {error}"));
    }
    if !options.quiet {
        if !options.summary && scratch.is_none() && matches!(traces.are_there(), Ok(true)) {
            list(&traces, &prefix, messages);
        }
        let found = traces.open_new().into_iter().flatten();
        for sentence in unseen::sentences(found, program) {
            messages.say(format_args!("{sentence}"));
        }
    }
    let exceeded = summarize(&traces, options, messages).unwrap_or_else(|error| {
        messages.say(format_args!("{error:#}"));
        // A limit that cannot be judged is not kept.
        (!options.verdict.is_empty()).then_some(FAILED.into())
    });
    // A signal ends this process, too.
    drop(scratch);
    let code = pass_on(status);
    Ok(exceeded.filter(|_| status.success()).unwrap_or(code))
}

/// Removes the file that tells programs whether they pause, if it is left from processes that have ended:
/// this run is not what it was written for. Returns what it said. What cannot be removed, or is
/// somebody's, is named and stays.
fn forget_old_control(prefix: &Path, messages: Messages) -> Option<bool> {
    let runs = |path: &PathBuf| Trace::open(path).is_ok_and(|trace| trace.is_running());
    let forget = || {
        let said = file::said(prefix)?;
        match said {
            Some(_) if Follow::with_this_prefix(prefix).iter().any(runs) => {
                let path = file::path(prefix);
                messages.say(format_args!("{} tells whether programs pause", Shown(&path)));
                Ok(None)
            }
            Some(_) => file::remove(prefix).map(|()| said),
            None => Ok(None),
        }
    };
    forget().unwrap_or_else(|error: anyhow::Error| {
        messages.say(format_args!("{error:#}"));
        None
    })
}

/// Sums up the memory of the program, if that is asked for; the exit code if a limit is exceeded. That
/// there is no trace is an error for whoever is to hear of traces.
fn summarize(
    traces: &Traces,
    options: &Options,
    messages: Messages,
) -> anyhow::Result<Option<ExitCode>> {
    let judges = !options.verdict.is_empty();
    let wants_figures = options.summary || judges;
    if !wants_figures && options.quiet {
        return Ok(None);
    }
    if !traces.are_there().context("cannot list the traces")? {
        let unjudged = if judges { "; no limit of --fail-if can be judged" } else { "" };
        match &options.only[..] {
            [] => bail!("no trace was written{unjudged}"),
            only => bail!("--only: no trace of {} is left{unjudged}", only.join(" or ")),
        }
    }
    if !wants_figures {
        return Ok(None);
    }
    let opened: Vec<_> = traces.open_all()?.collect();
    ensure!(!opened.is_empty(), "no summary: what was written cannot be read");
    let files = if options.no_keep { String::new() } else { traces.in_commands()? };
    let exceeded = summary::of_run(&opened, &files, &options.verdict, options.summary, messages)
        .context("no summary")?;
    input::report_damage(&opened, messages);
    Ok(exceeded)
}

/// The program is there, and what the kernel would start for it is not.
fn cannot_interpret(
    program: &OsStr,
    missing: Option<&Path>,
    error: &io::Error,
    messages: Messages,
) -> ExitCode {
    let shown = Shown(Path::new(program));
    match missing {
        Some(missing) => {
            messages.say(format_args!(
                "cannot run {shown}: its interpreter {} is missing",
                Shown(missing)
            ));
        }
        None => messages.say(format_args!("cannot run {shown}: {error}")),
    }
    CANNOT_EXECUTE.into()
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

fn list(traces: &Traces, prefix: &Path, messages: Messages) {
    match traces.listing() {
        Ok(listing) => messages.say(format_args!("{listing}")),
        Err(error) => {
            messages.say(format_args!("cannot list the traces {}.*: {error}", prefix.display()));
        }
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
