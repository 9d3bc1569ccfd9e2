//! `mallook dump`: prints events.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::messages::Messages;
use crate::{print, reading, selection};

const HELP: &str = "\
Examples:
  mallook dump mallook.out.4711.1700000000.0
  mallook dump --format csv --output events.csv mallook.out.*
  mallook dump --op malloc,calloc --min-size 1M --since 2s mallook.out.*
  mallook dump --format csv --events all DIRECTORY > life.csv
  zstdcat old.zst | mallook dump -
  mallook dump --exe cc1 --address 0x5615809f52a0 mallook.out.*
  mallook dump --stacks mallook.out.4711.1700000000.0
  mallook dump --stacks --format csv --stacks-table stacks.csv -o events.csv mallook.out.*
  mallook dump --format folded --cost peak mallook.out.* | flamegraph.pl > peak.svg

Times are since the start of the first trace (\"1.5\", \"1.5s\", \"200ms\", \"10us\", \"7ns\"), \
or Unix time when they start with \"@\" (\"@1700000000.25\"). \
Traces that --pid and --exe leave out count as if they had not been named.

Exit codes:
  0  all was read
  1  a trace is damaged and was read in part, or a file is no trace, see stderr
  2  wrong usage, or no trace at all";

/// Options of `mallook dump`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct Options {
    /// The traces.
    #[command(flatten)]
    pub traces: selection::Traces,

    /// How and where to.
    #[command(flatten)]
    pub print: print::Options,

    /// Their call stacks.
    #[command(flatten)]
    pub stacks: print::StackOptions,
}

/// Prints the events; the exit code says whether all could be read.
pub fn run(options: &Options, messages: Messages) -> Result<ExitCode> {
    reading::read(&options.traces, &options.print.output, messages, |traces, output| {
        print::events(traces, &options.print, &options.stacks, output, messages)
    })
}
