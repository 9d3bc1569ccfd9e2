//! `mallook dump`: prints events.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use crate::messages::Messages;
use crate::output::Output;
use crate::print::OutputFormat;
use crate::{input, print, selection};

/// Options of `mallook dump`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The traces.
    #[command(flatten)]
    pub traces: selection::Traces,

    /// How events look
    #[arg(short, long, value_enum, default_value_t = OutputFormat::Text)]
    pub format: OutputFormat,

    /// Where to.
    #[command(flatten)]
    pub output: Output,

    /// Which events.
    #[command(flatten)]
    pub events: selection::Events,
}

/// Prints the events; the exit code says whether all could be read.
pub fn run(options: &Options, messages: Messages) -> Result<ExitCode> {
    let mut output = options.output.open(&options.traces.files)?;
    let traces = options.traces.open()?;
    let progress = print::progress_bar(&options.output, &traces);
    let filter = options.events.filter(&traces);
    print::events(&traces, &filter, options.format, &progress, &mut *output, messages)?;
    output.flush().context("cannot write the output")?;
    Ok(input::report_damage(&traces, messages))
}
