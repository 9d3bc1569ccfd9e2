//! `mallook report`: one page for a browser that holds all it needs.
//!
//! The law of the modules: each uses only modules of the rows above it and to its left in its row.
//!
//! ```text
//! texts        names and call stacks, each once
//! ranks        which places come first
//! rows         cells and lifetimes, as the page has them
//! data         all that the page knows
//! html         the page
//! pair served  the page of two runs; the answers of a server
//! ```

mod data;
mod html;
mod pair;
mod ranks;
mod rows;
mod served;
mod texts;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use mallook_analysis::Wanted;
use mallook_reader::Trace;

use crate::diff::{self, Moment, Per};
use crate::gather::Gathered;
use crate::input::{self, Opened};
use crate::messages::Messages;
use crate::output::Output;
use crate::paint::Paint;
use crate::stacks::Naming;
use crate::{reading, selection, summary};

use data::{Data, WANTED};

pub use served::{Query, Session};

const HELP: &str = "\
Examples:
  mallook report -o report.html mallook.out.4711.1700000000.0
  mallook report -o report.html mallook.out          all traces of a run
  mallook report --cells 500 -o small.html mallook.out
  mallook report --against old.out -o diff.html new.out       what has changed since then
  mallook report --against server.out@10s -o diff.html server.out@20s

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

    /// Temporary is what its thread frees with at most N other births of it in between
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threshold: u64,

    /// Tell at most N places apart; the page has at most 2 MB of data in any case
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub cells: usize,

    /// Show what has changed since this run, as mallook diff RUN FILE does; each of both may be one up to
    /// a moment, RUN@TIME
    #[arg(long, value_name = "RUN", value_parser = diff::run_at)]
    pub against: Option<Moment>,

    /// With --against, divide figures by the number of allocations, or by seconds
    #[arg(long, value_enum, default_value_t = Per::None, requires = "against")]
    pub per: Per,

    /// Where names come from.
    #[command(flatten)]
    pub naming: Naming,

    /// Where to.
    #[command(flatten)]
    pub output: Output,
}

/// Writes the page; the exit code says whether all could be read.
pub fn run(options: &Options, messages: Messages) -> Result<ExitCode> {
    if let Some(before) = &options.against {
        return run_pair(options, before, messages);
    }
    reading::read(&options.traces, &options.output, messages, |traces, output| {
        let files = selection::shown(&options.traces.files);
        let page = page(traces, options, &files, messages)?;
        output.write_all(page.as_bytes()).context("cannot write the output")
    })
}

fn page(traces: &[Trace], options: &Options, files: &str, messages: Messages) -> Result<String> {
    let wanted = Wanted { threshold: options.threshold, ..WANTED };
    let mut gathered = Gathered::of(traces, wanted, &options.naming, true, messages)?;
    if gathered.is_beyond() {
        let mut places = ranks::of(&gathered);
        places.truncate(options.cells);
        gathered.read_cells(places);
    }
    let report = summary::of(&gathered, files);
    let text = summary::text(&report, files, Some(html::COLUMNS), Paint::OFF);
    let data = Data::of(&mut gathered, report, files);
    let content = html::fitted(data.most(), options.cells, |most| data.content(0, most))?;
    Ok(html::Page { title: data.title(), text: &text, is_served: false }.html(&content))
}

/// The same of two runs.
fn run_pair(options: &Options, before: &Moment, messages: Messages) -> Result<ExitCode> {
    let after = pair::run_of(&options.traces)?;
    let open = |files| selection::Traces { files, ..options.traces.clone() }.open(messages);
    let is_one = options.traces.files.len() == 1;
    let later = if is_one { vec![after.path.clone()] } else { options.traces.files.clone() };
    let runs: [Opened; 2] = [open(vec![before.path.clone()])?, open(later)?];
    let unreadable: u64 = runs.iter().map(|run| run.unreadable).sum();
    let files = runs.iter().flat_map(|run| &run.traces).map(|trace| trace.path().to_owned());
    let mut output = options.output.open(&files.collect::<Vec<_>>())?;
    let names = [before.to_string(), selection::shown(&options.traces.files)];
    let traces = [&runs[0].traces[..], &runs[1].traces[..]];
    let names = [names[0].as_str(), names[1].as_str()];
    let how = pair::How {
        threshold: options.threshold,
        cells: options.cells,
        per: options.per,
        naming: &options.naming,
    };
    let page = pair::page(traces, [before, &after], names, &how, messages)?;
    output.write_all(page.as_bytes()).context("cannot write the output")?;
    output.finish()?;
    let mut code = ExitCode::SUCCESS;
    for run in traces {
        input::report_missing(run, messages);
        let found = input::report_damage(run, messages);
        code = if code == ExitCode::SUCCESS { found } else { code };
    }
    Ok(if unreadable == 0 { code } else { ExitCode::from(input::UNSOUND) })
}
