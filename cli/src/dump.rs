//! `mallook dump`: prints events.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use crate::messages::Messages;
use crate::output::Output;
use crate::print::OutputFormat;
use crate::{input, print, selection};

const HELP: &str = "\
Examples:
  mallook dump mallook.out.4711.1700000000.0
  mallook dump --format csv --output events.csv mallook.out.*
  mallook dump --op malloc,calloc --min-size 1M --since 2s mallook.out.*
  mallook dump --exe cc1 --address 0x5615809f52a0 mallook.out.*

Times are since the start of the first trace (\"1.5\", \"1.5s\", \"200ms\", \"10us\", \"7ns\"),
or Unix time when they start with \"@\" (\"@1700000000.25\").
Traces that --pid and --exe leave out count as if they had not been named.

Exit codes:
  0  all was read
  1  a trace is damaged and was read in part, see stderr
  2  wrong usage, or a file that is no trace";

/// Options of `mallook dump`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
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
