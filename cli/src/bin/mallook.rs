//! `mallook`: starts a program under the allocation tracer.

mod cli;
mod inspect;
mod library;
mod run;
mod signals;
mod traces;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use crate::cli::{Cli, Command};

/// Exit code when the launcher itself failed, as with env(1) and nice(1).
const FAILED: u8 = 125;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            say(format_args!("{error:#}"));
            FAILED.into()
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Run(options) => run::run(&options),
        Command::Library => {
            let path = library::install()?;
            print(format!("{}\n", path.display()).as_bytes())
        }
        Command::Generate { what } => print(&what.text()?),
    }
}

/// Writes to standard output; it is no failure that nobody reads it.
fn print(text: &[u8]) -> anyhow::Result<ExitCode> {
    match io::stdout().write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Writes a line to standard error. Unlike `eprintln!`, it does not panic when that is closed.
fn say(message: std::fmt::Arguments) {
    let _ = writeln!(io::stderr(), "mallook: {message}");
}
