//! `mallook merge`: puts several traces into one file.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use mallook_reader::{Shown, merge};

use crate::input::{self, Opened};
use crate::messages::Messages;
use crate::output::open_file;
use crate::{selection, units};

const HELP: &str = "\
Examples:
  mallook merge -o make.trace mallook.out           the 188 traces of a make, as one file
  mallook merge --exe cc1 -o cc1.trace mallook.out

A process has addresses of its own, and so has each program that it becomes by exec: their traces are \
not mixed, but stand in the file one behind the other, unchanged. Every command takes the file for \
all of them, and orders their events by time. Space that the traces had reserved is left out.

Exit codes:
  0  the file was written
  1  a trace is damaged and was copied as it is, or a file is no trace, see stderr
  2  wrong usage, no trace at all, or a file that could not be written";

/// Options of `mallook merge`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct Options {
    /// The traces.
    #[command(flatten)]
    pub traces: selection::Traces,

    /// The file to write, which appears when it is complete; no trace is ever overwritten
    #[arg(short, long, value_name = "PATH")]
    pub output: PathBuf,
}

/// Writes the file; the exit code says whether all could be read.
pub fn run(options: &Options, messages: Messages) -> Result<ExitCode> {
    let Opened { traces, unreadable } = options.traces.open(messages)?;
    let files: Vec<_> = traces.iter().map(|trace| trace.path().to_owned()).collect();
    let mut target = open_file("--output", &options.output, &files)?;
    let refuse = || format!("cannot write {}", Shown(&options.output));
    target.fill(|file| merge(&traces, file)).with_context(refuse)?;
    target.finish()?;
    let size = options.output.metadata().map_or(0, |file| file.len());
    writeln!(
        io::stdout(),
        "{}: {}, {}",
        Shown(&options.output),
        units::counted(traces.len() as u64, "trace"),
        units::size(size)
    )?;
    let code = input::report_damage(&traces, messages);
    Ok(if unreadable == 0 { code } else { ExitCode::from(input::UNSOUND) })
}
