//! `mallook summary`: what the memory of a program does, on one screen.
//!
//! The law of the modules: each uses only modules of the rows above it and to its left in its row.
//!
//! ```text
//! explain sentence  the terms; sentences with names
//! leaked places     memory that is never freed; where memory comes from
//! report            the summary as data
//! notes sections    sentences for what stands out; tables
//! screen            the summary on a screen
//! ```

mod explain;
mod leaked;
mod notes;
mod places;
mod report;
mod screen;
mod sections;
mod sentence;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use mallook_analysis::Wanted;
use mallook_reader::{Trace, escape_json};

use crate::gather::Gathered;
use crate::messages::Messages;
use crate::output::Output;
use crate::paint::Paint;
use crate::stacks::Naming;
use crate::verdict::{Metric, Verdict};
use crate::{fit, reading, selection, shell};

pub use places::{Cost, PlaceName};
pub use report::Report;
pub use screen::{head, text};

/// More files than this are not repeated in a command line.
const MOST_FILES: usize = 3;

const HELP: &str = "\
Examples:
  mallook mallook.out.4711.1700000000.0          the same as mallook summary ...
  mallook summary mallook.out                    all traces of a run: a row a process, and their sum
  mallook summary --json mallook.out | jq .peak_bytes
  mallook summary --fail-if 'peak>32M' --fail-if 'leaked>0' mallook.out
  mallook summary --explain temporary

Exit codes:
  0  all was read
  1  a trace is damaged and was read in part, or a file is no trace, see stderr
  2  wrong usage, or no trace at all
  3  a figure is above a limit of --fail-if";

/// Options of `mallook summary`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct Options {
    /// The traces.
    #[command(flatten)]
    pub traces: selection::Traces,

    /// Print the figures as JSON, as docs/summary.schema.json describes them
    #[arg(long)]
    pub json: bool,

    /// Say what a word of the summary means
    #[arg(long, value_name = "WORD", exclusive = true)]
    pub explain: Option<String>,

    /// Limits.
    #[command(flatten)]
    pub verdict: Verdict,

    /// Where names come from.
    #[command(flatten)]
    pub naming: Naming,

    /// Where to.
    #[command(flatten)]
    pub output: Output,
}

/// Prints the summary; the exit code says whether all could be read, and whether a limit is exceeded.
pub fn run(options: &Options, messages: Messages) -> Result<ExitCode> {
    if let Some(word) = &options.explain {
        let text = explain::explain(word).map_err(|error| anyhow!(error))?;
        io::stdout().write_all(text.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut verdict = None;
    let code = reading::read(&options.traces, &options.output, messages, |traces, output| {
        let files = in_commands(&options.traces.files);
        let with_bar =
            options.output.path.is_some() || !options.json || !io::stdout().is_terminal();
        let report = report(traces, &options.naming, &files, with_bar, messages)?;
        let text = match options.json {
            true => json(&report)?,
            false => {
                let on_terminal = options.output.path.is_none() && io::stdout().is_terminal();
                let paint = if on_terminal { Paint::on_stdout() } else { Paint::OFF };
                let width = if on_terminal { fit::columns(io::stdout()) } else { None };
                screen::text(&report, &files, width, paint)
            }
        };
        output.write_all(text.as_bytes()).context("cannot write the output")?;
        verdict = judge(&options.verdict, &report, messages);
        Ok(())
    })?;
    Ok(verdict.unwrap_or(code))
}

/// Prints the summary of the traces of a program that has ended on standard error; the exit code if a
/// limit is exceeded. `files`: how a command line names them.
pub fn of_run(
    traces: &[Trace],
    files: &str,
    verdict: &Verdict,
    with_screen: bool,
    messages: Messages,
) -> Result<Option<ExitCode>> {
    let report = report(traces, &Naming::default(), files, true, messages)?;
    if with_screen {
        let paint = Paint::on(&io::stderr());
        let text = screen::text(&report, files, fit::columns(io::stderr()), paint);
        // Standard error may be closed.
        let _ = io::stderr().write_all(text.as_bytes());
    }
    Ok(judge(verdict, &report, messages))
}

/// How a command line names files.
pub fn in_commands(files: &[PathBuf]) -> String {
    match files.len() {
        ..=MOST_FILES => files.iter().map(shell::quote).collect::<Vec<_>>().join(" "),
        _ => "FILE...".to_owned(),
    }
}

/// The summary with its notes.
fn report(
    traces: &[Trace],
    naming: &Naming,
    files: &str,
    with_bar: bool,
    messages: Messages,
) -> Result<Report> {
    // Without call stacks, places tell the sizes.
    let has_stacks = traces.iter().any(|trace| trace.stacks() != Ok(mallook_format::Stacks::Off));
    let wanted = Wanted {
        sizes: has_stacks,
        lifetimes: true,
        chains: true,
        sites: true,
        timeline: true,
        ..Wanted::default()
    };
    let gathered = Gathered::of(traces, wanted, naming, with_bar, messages)?;
    Ok(of(&gathered, files))
}

/// The summary of what was gathered, with its notes. `files`: how a command line names the traces.
pub fn of(gathered: &Gathered, files: &str) -> Report {
    let mut report = Report::of(gathered);
    report.notes = notes::of(&report, gathered.figures.chains.as_ref(), files);
    report
}

fn json(report: &Report) -> Result<String> {
    let text = serde_json::to_string(report)?;
    Ok(escape_json(&text).into_owned() + "\n")
}

fn judge(verdict: &Verdict, report: &Report, messages: Messages) -> Option<ExitCode> {
    let numbers = &report.numbers;
    let figure = |metric| match metric {
        Metric::Peak => numbers.peak_bytes,
        Metric::PeakBlocks => numbers.peak_blocks,
        Metric::Leaked => numbers.leaked_bytes,
        Metric::LiveAtEnd => numbers.live_at_end_bytes,
        Metric::Allocations => numbers.allocations,
        Metric::Allocated => numbers.allocated_bytes,
        Metric::Temporary => numbers.temporary,
        Metric::Grown => numbers.grown,
        Metric::Crossed => numbers.crossed,
        Metric::Failed => numbers.failed,
    };
    verdict.judge(figure, messages)
}
