//! `mallook report`: one page for a browser that holds all it needs.
//!
//! The law of the modules: each uses only modules of the rows above it and to its left in its row.
//!
//! ```text
//! texts        names and call stacks, each once
//! rows         cells and lifetimes, as the page has them
//! data         all that the page knows
//! html         the page
//! ```

mod data;
mod html;
mod rows;
mod texts;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use mallook_analysis::Wanted;
use mallook_reader::Trace;

use crate::gather::Gathered;
use crate::messages::Messages;
use crate::output::Output;
use crate::paint::Paint;
use crate::stacks::Naming;
use crate::{reading, selection, shell, summary};

use data::Data;

/// More files than this are not repeated in a command line.
const MOST_FILES: usize = 3;

const HELP: &str = "\
Examples:
  mallook report -o report.html mallook.out.4711.1700000000.0
  mallook report -o report.html mallook.out          all traces of a run
  mallook report --cells 500 -o small.html mallook.out

The page needs no network and no other file; any browser of the year 2023 or later shows it.

Exit codes:
  0  all was read
  1  a trace is damaged and was read in part, or a file is no trace, see stderr
  2  wrong usage, or no trace at all";

/// Options of `mallook report`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct Options {
    /// The traces.
    #[command(flatten)]
    pub traces: selection::Traces,

    /// Temporary is what its thread frees with at most so many other births of it in between
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threshold: u64,

    /// Tell apart so many places at the most; the page has at most 2 MB of data in any case
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub cells: usize,

    /// Where names come from.
    #[command(flatten)]
    pub naming: Naming,

    /// Where to.
    #[command(flatten)]
    pub output: Output,
}

/// Writes the page; the exit code says whether all could be read.
pub fn run(options: &Options, messages: Messages) -> Result<ExitCode> {
    reading::read(&options.traces, &options.output, messages, |traces, output| {
        let files: Vec<_> = options.traces.files.iter().map(shell::quote).collect();
        let files = if files.len() > MOST_FILES { "FILE...".to_owned() } else { files.join(" ") };
        let page = page(traces, options, &files, messages)?;
        output.write_all(page.as_bytes()).context("cannot write the output")
    })
}

fn page(traces: &[Trace], options: &Options, files: &str, messages: Messages) -> Result<String> {
    let wanted = Wanted {
        threshold: options.threshold,
        sizes: true,
        lifetimes: true,
        chains: true,
        sites: true,
        timeline: true,
        cells: true,
        ..Wanted::default()
    };
    let mut gathered = Gathered::of(traces, wanted, &options.naming, true, messages)?;
    if gathered.figures.cells.as_ref().is_some_and(|cells| cells.beyond() != 0) {
        let places = rows::largest_places(&gathered, options.cells);
        gathered.read_cells(places);
    }
    let mut report = summary::of(&gathered, files);
    let text = summary::text(&report, files, Some(html::COLUMNS), Paint::OFF);
    report.places.clear();
    let data = Data::of(&mut gathered, report, files);
    html::page(&data, options.cells, &text)
}
