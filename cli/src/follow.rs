//! `mallook follow`: prints the events of a running process as they come.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use mallook_reader::Trace;
use mallook_reader::export::TextBuffer;

use crate::messages::Messages;
use crate::{input, print};

const HELP: &str = "\
Example:
  mallook follow --min-size 1M mallook.out.4711.1700000000.0

Times are since the start of the first trace (\"1.5\", \"1.5s\", \"200ms\", \"10us\", \"7ns\"),
or Unix time when they start with \"@\" (\"@1700000000.25\").

Exit codes:
  0  the process has ended, and all was read
  1  the trace is damaged and was read in part, see stderr
  2  wrong usage, or a file that is no trace";

/// Options of `mallook follow`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct Options {
    /// The trace that the process writes
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// How and where to.
    #[command(flatten)]
    pub print: print::Options,
}

/// Prints events until the process ends, or nobody reads them any more.
pub fn run(options: &Options, messages: Messages) -> Result<ExitCode> {
    let (path, print) = (&options.file, &options.print);
    let trace = [Trace::open(path)?];
    let mut output = print.output.open_live(std::slice::from_ref(path))?;
    let filter = print.events.filter(&trace);
    let mut exporter = print.exporter(&trace);
    let mut piece = TextBuffer::new();
    exporter.begin(&mut piece);
    let mut written = Ok(());
    mallook_reader::follow(path, |event| {
        if filter.wants(event) {
            exporter.event(event, &mut piece);
        }
        written = output.write_all(piece.text()).and_then(|()| output.flush());
        piece.clear();
        written.is_ok() && !filter.is_past(event.time_ns)
    })?;
    written.context("cannot write the output")?;
    let end = [Trace::open(path)?];
    Ok(input::report_damage(&end, messages))
}
