//! `mallook stats`: all figures of the memory of a program.
//!
//! The law of the modules: each uses only modules of the rows above it and to its left in its row.
//!
//! ```text
//! data trees  all figures as data; call sites as trees
//! text        all figures as text
//! ```

mod data;
mod text;
mod trees;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use mallook_analysis::Wanted;
use mallook_reader::{Trace, escape_json};

use crate::gather::{self, Gathered};
use crate::messages::Messages;
use crate::output::Output;
use crate::paint::Paint;
use crate::stacks::Naming;
use crate::{fit, reading, selection, summary};

use data::Stats;
use text::Shape;
use trees::{Branches, By};

/// The width of text that goes to no terminal.
const WIDTH: usize = 120;

const HELP: &str = "\
Examples:
  mallook stats mallook.out.4711.1700000000.0
  mallook stats --threshold 10 mallook.out              freed within ten births of the thread
  mallook stats --by temporary --least 0.5 mallook.out  trees of call stacks, by churn
  mallook stats --json mallook.out | jq '.functions[]'

mallook summary --explain WORD says what the words mean.

Exit codes:
  0  all was read
  1  a trace is damaged and was read in part, or a file is no trace, see stderr
  2  wrong usage, or no trace at all";

/// Options of `mallook stats`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct Options {
    /// The traces.
    #[command(flatten)]
    pub traces: selection::Traces,

    /// Temporary is what its thread frees with at most N other births of it in between
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threshold: u64,

    /// What places and trees of call stacks are ordered by
    #[arg(long, value_enum, value_name = "COST", default_value_t = By::default())]
    pub by: By,

    /// Leave out branches of trees with a smaller share than this, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    pub least: f64,

    /// Functions of a branch at the most
    #[arg(long, value_name = "N", default_value_t = 12)]
    pub depth: usize,

    /// Rows of a table at the most
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub rows: usize,

    /// Print the figures as JSON, as docs/stats.schema.json describes them: the fields of mallook summary
    /// --json, and more
    #[arg(long)]
    pub json: bool,

    /// Where names come from.
    #[command(flatten)]
    pub naming: Naming,

    /// Where to.
    #[command(flatten)]
    pub output: Output,
}

/// Prints the figures; the exit code says whether all could be read.
pub fn run(options: &Options, messages: Messages) -> Result<ExitCode> {
    reading::read(&options.traces, &options.output, messages, |traces, output| {
        let text = text_of(traces, options, messages)?;
        output.write_all(text.as_bytes()).context("cannot write the output")
    })
}

fn text_of(traces: &[Trace], options: &Options, messages: Messages) -> Result<String> {
    // Without call stacks, places tell the sizes and the threads.
    let has_stacks = gather::has_stacks(traces);
    let wanted = Wanted {
        threshold: options.threshold,
        sizes: has_stacks,
        exact_sizes: true,
        lifetimes: true,
        chains: true,
        threads: has_stacks,
        maxima: !has_stacks,
        crossings: true,
        functions: true,
        sites: true,
        timeline: true,
        ..Wanted::default()
    };
    let gathered = Gathered::of(traces, wanted, &options.naming, true, messages)?;
    let mut report = summary::Report::by(&gathered, |cost| options.by.of(cost));
    if options.json {
        // They are about places by what these have at the peak, whatever the order is here.
        report.notes = summary::of(&gathered, &summary::in_commands(&options.traces.files)).notes;
        let text = serde_json::to_string(&Stats::of(&gathered, report))?;
        return Ok(escape_json(&text).into_owned() + "\n");
    }
    let on_terminal = options.output.path.is_none() && io::stdout().is_terminal();
    let width = if on_terminal { fit::columns(io::stdout()) } else { None };
    let shape = Shape {
        by: options.by,
        rows: options.rows,
        width: width.unwrap_or(WIDTH),
        paint: if on_terminal { Paint::on_stdout() } else { Paint::OFF },
    };
    let mut text = summary::head(&report, shape.width, shape.paint);
    let stats = Stats::of(&gathered, report);
    text.push_str(&text::tables(&stats, &shape));
    if stats.report.has_stacks {
        let branches = Branches {
            by: options.by,
            has_own: false,
            least: options.least,
            depth: options.depth,
            width: shape.width,
        };
        let (outward, inward) = trees::of(&gathered);
        text.push_str(&text::tree("Who allocates, and its callers", &outward, &branches, &shape));
        let branches = Branches { has_own: true, ..branches };
        text.push_str(&text::tree(
            "From the outermost function inward",
            &inward,
            &branches,
            &shape,
        ));
    }
    Ok(text)
}
