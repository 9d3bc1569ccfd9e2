//! `mallook diff`: two runs, or two moments of one, and what has changed.
//!
//! The law of the modules: each uses only modules of the rows above it and to its left in its row.
//!
//! ```text
//! spec figures    the sides of a comparison; the figures of one run
//! report screen   the changes, as data; on a screen
//! ```

mod figures;
mod report;
mod screen;
mod spec;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use mallook_reader::Trace;

use crate::coverage::Coverage;
use crate::escape::pretty_json;
use crate::gather::{self, Gathered};
use crate::input::{self, Opened};
use crate::messages::Messages;
use crate::output::Output;
use crate::paint::Paint;
use crate::stacks::Naming;
use crate::verdict::{Judged, Metric, Verdict};
use crate::{moment, plot};

use figures::{By, Cost, Figures};
use report::Report;
use spec::Runs;

pub use report::Per;
pub use spec::{Moment, moment as run_at};

/// Places that are printed, of those that grew and of those that shrank.
const TOP: usize = 10;

const HELP: &str = "\
Examples:
  mallook diff old.out new.out
  mallook diff server.out@10s server.out@20s        what has come in these ten seconds
  mallook diff a1.out,a2.out,a3.out b1.out,b2.out,b3.out
  mallook diff --per call --cost bytes old.out new.out
  mallook diff --fail-if 'peak>1M' old.out new.out

A run is a trace, a directory or a prefix; with @TIME, what was so at that time (@@UNIX for a Unix time). \
Repetitions stand behind commas: a change is noise if the ranges of both sides overlap, or if the means \
differ by no more than the wider of the ranges. Places are compared by the names of functions, so that \
programs that were built again can be compared.

--fail-if judges what was added from A to B; what is noise counts as nothing.

Exit codes:
  0  all was read
  1  a trace is damaged and was read in part, or a file is no trace, see stderr
  2  wrong usage, or no trace at all
  3  a figure has grown by more than a limit of --fail-if";

/// Options of `mallook diff`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct Options {
    /// The first run, or its repetitions
    #[arg(value_name = "A", value_parser = spec::runs)]
    pub before: Runs,

    /// The run that it is compared with
    #[arg(value_name = "B", value_parser = spec::runs)]
    pub after: Runs,

    /// What memory is told apart by: call stacks if both have them, else sizes
    #[arg(long, value_enum)]
    pub by: Option<By>,

    /// The figure of a place that is compared: live bytes of moments, else those at the peak
    #[arg(long, value_enum)]
    pub cost: Option<Cost>,

    /// Divide figures by the number of allocations, or by seconds
    #[arg(long, value_enum, default_value_t = Per::None)]
    pub per: Per,

    /// The number of places that are printed, of those that grew and of those that shrank
    #[arg(long, value_name = "NUMBER", default_value_t = TOP)]
    pub top: usize,

    /// Print everything as JSON, as docs/diff.schema.json describes it
    #[arg(long)]
    pub json: bool,

    /// Limits.
    #[command(flatten)]
    pub verdict: Verdict<Growth>,

    /// Where names come from.
    #[command(flatten)]
    pub naming: Naming,

    /// Where to.
    #[command(flatten)]
    pub output: Output,
}

/// The figures that limits are for.
#[derive(Clone, Debug, Default)]
pub struct Growth;

impl Judged for Growth {
    const FIGURES: &[Metric] = &[
        Metric::Peak,
        Metric::Leaked,
        Metric::LiveAtEnd,
        Metric::Allocations,
        Metric::Allocated,
        Metric::Temporary,
    ];
    const HELP: &str = "Exit with code 3 if a figure has grown by more than a limit, as in 'peak>1M', \
                        'allocations>1e3' (may be repeated)";
    const VERB: &str = "grew by";
}

/// Prints what has changed; the exit code says whether all could be read, and whether a limit is
/// exceeded.
pub fn run(options: &Options, messages: Messages) -> Result<ExitCode> {
    let mut unreadable = 0;
    let mut open = |runs: &Runs| {
        let open = |moment: &spec::Moment| {
            let Opened { traces, unreadable: more } =
                input::open(std::slice::from_ref(&moment.path), messages)?;
            unreadable += more;
            Ok(traces)
        };
        runs.moments.iter().map(open).collect::<Result<Vec<_>>>()
    };
    let (before, after) = (open(&options.before)?, open(&options.after)?);
    let all: Vec<&Trace> = before.iter().chain(&after).flatten().collect();
    let files: Vec<_> = all.iter().map(|trace| trace.path().to_owned()).collect();
    let mut output = options.output.open(&files)?;
    let have_stacks = before.iter().chain(&after).all(|traces| gather::has_stacks(traces));
    let by = match options.by {
        Some(By::Stack | By::Function) if !have_stacks => {
            bail!("--by: call stacks are missing; mallook run --stacks records them")
        }
        Some(by) => by,
        None if have_stacks => By::Stack,
        None => By::Size,
    };
    let is_moment = [&options.before, &options.after]
        .iter()
        .any(|it| it.moments.iter().any(|it| it.at.is_some()));
    let cost = options.cost.unwrap_or(if is_moment { Cost::Live } else { Cost::Peak });
    let read = |runs: &Runs, traces: &[Vec<Trace<'static>>]| {
        let read = |(moment, traces): (&spec::Moment, &Vec<Trace<'static>>)| {
            figures::read(traces, moment.at, by, cost, &options.naming, messages)
        };
        runs.moments.iter().zip(traces).map(read).collect::<Result<Vec<Figures>>>()
    };
    let (a, b) = (read(&options.before, &before)?, read(&options.after, &after)?);
    let names = (options.before.text.as_str(), options.after.text.as_str());
    let mut report = report::of(names, &a, &b, (by, cost, options.per));
    let coverage =
        |runs: &[Vec<Trace>]| Coverage::joined(runs.iter().map(|traces| Coverage::of(traces)));
    report.coverage = (coverage(&before), coverage(&after));
    let text = match options.json {
        true => pretty_json(&report)?,
        false => {
            let on_terminal = options.output.path.is_none() && io::stdout().is_terminal();
            let paint = if on_terminal { Paint::on_stdout() } else { Paint::OFF };
            screen::text(&report, options.top, plot::width(on_terminal), paint)
        }
    };
    output.write_all(text.as_bytes()).context("cannot write the output")?;
    output.finish()?;
    let traces: Vec<Trace> = before.into_iter().chain(after).flatten().collect();
    input::report_missing(&traces, messages);
    let code = input::report_damage(&traces, messages);
    let verdict = options.verdict.judge(|metric| growth(&report, metric), messages);
    let sound = if unreadable == 0 { code } else { ExitCode::from(input::UNSOUND) };
    Ok(verdict.unwrap_or(sound))
}

/// The changes from one run to another, at the end or at the peak, as text of this width; `names` are those
/// of the runs.
pub fn text(
    names: (&str, &str),
    runs: (&Gathered, &Gathered),
    is_moment: bool,
    per: Per,
    width: usize,
) -> String {
    let by = if runs.0.stacks.is_empty() { By::Size } else { By::Stack };
    let cost = if is_moment { Cost::Live } else { Cost::Peak };
    let figures = |run: &Gathered| {
        let start_ns = moment::start_ns(run.traces);
        [figures::of(&run.figures, &run.stacks, start_ns, by, cost)]
    };
    let report = report::of(names, &figures(runs.0), &figures(runs.1), (by, cost, per));
    screen::text(&report, TOP, width, Paint::OFF)
}

/// By how much a figure has grown, if not by chance.
fn growth(report: &Report, metric: Metric) -> u64 {
    let name = match metric {
        Metric::Allocations => "allocations",
        Metric::Allocated => "allocated",
        Metric::Peak => "peak",
        Metric::Leaked => "leaked",
        Metric::LiveAtEnd => "live",
        _ => "temporary",
    };
    let grown = report.totals.iter().find(|row| row.name == name && !row.comparison.is_noise);
    grown.map_or(0, |row| row.change.max(0.0) as u64)
}
