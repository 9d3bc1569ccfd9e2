//! `mallook stats`: all figures of the memory of a program.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::messages::Messages;
use crate::selection;

/// Options of `mallook stats`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The traces.
    #[command(flatten)]
    pub traces: selection::Traces,
}

/// Prints the figures.
pub fn run(_: &Options, _: Messages) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
