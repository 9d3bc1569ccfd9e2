//! `mallook leaks`: what is alive at the end, or at another moment, and who has made it.
//!
//! The law of the modules: each uses only modules of the rows above it and to its left in its row.
//!
//! ```text
//! report screen  the leaks as data; on a screen
//! ```

mod report;
mod screen;

use std::fs;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use mallook_analysis::{Stop, Survival, Survivors, When};
use mallook_format::Stacks as Mode;
use mallook_reader::{MergedEvents, Shown, Stacks, Trace, escape};

use crate::coverage::Coverage;
use crate::escape::pretty_json;
use crate::messages::Messages;
use crate::moment::{self, At};
use crate::output::Output;
use crate::paint::Paint;
use crate::progress::Bar;
use crate::stacks::Naming;
use crate::suppress::{Rule, Test, parse};
use crate::value::{self, Time};
use crate::verdict::{Judged, Metric, Verdict};
use crate::{plot, reading, selection};

use report::Report;

const HELP: &str = "\
Examples:
  mallook run --stacks -- ./server; mallook leaks mallook.out
  mallook leaks --older-than 10s mallook.out        without what the last seconds have made
  mallook leaks --between 60s 120s mallook.out      made in this minute, and alive at its end
  mallook leaks --at peak mallook.out               who has the memory when most is used
  mallook leaks --suppressions ours.supp --fail-if 'leaked>0' mallook.out

Memory that a program still has when it ends is no leak by itself: what it keeps on purpose can be \
suppressed. A file of suppressions has lines leak:PATTERN, as LeakSanitizer's; PATTERN is looked for in \
function, source file and module of every frame, inlined ones too; * stands for anything, ^ and $ for \
the start and the end. Memory that libc, the loader and libstdc++ keep is suppressed already \
(--no-built-in shows it).

Exit codes:
  0  all was read
  1  a trace is damaged and was read in part, or a file is no trace, see stderr
  2  wrong usage, or no trace at all
  3  a figure is above a limit of --fail-if";

/// Options of `mallook leaks`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct Options {
    /// The traces.
    #[command(flatten)]
    pub traces: selection::Traces,

    /// What is alive then: "end", "peak", or a time
    #[arg(long, value_name = "TIME", value_parser = moment::at, default_value = "end")]
    pub at: At,

    /// Only what was made between these times and is alive at the second one
    #[arg(long, num_args = 2, value_names = ["TIME", "TIME"], value_parser = value::time, conflicts_with = "at")]
    pub between: Option<Vec<Time>>,

    /// Only what is at least so old then
    #[arg(long, value_name = "TIME", value_parser = value::time)]
    pub older_than: Option<Time>,

    /// Leave out what this file names (may be repeated)
    #[arg(long, value_name = "PATH")]
    pub suppressions: Vec<PathBuf>,

    /// Do not leave out what libc, the loader and libstdc++ keep
    #[arg(long)]
    pub no_built_in: bool,

    /// The number of leaks that are printed
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    pub top: usize,

    /// Print everything as JSON, as docs/leaks.schema.json describes it
    #[arg(long)]
    pub json: bool,

    /// Limits.
    #[command(flatten)]
    pub verdict: Verdict<Leaked>,

    /// Where names come from.
    #[command(flatten)]
    pub naming: Naming,

    /// Where to.
    #[command(flatten)]
    pub output: Output,
}

/// The figures that limits are for.
#[derive(Clone, Debug, Default)]
pub struct Leaked;

impl Judged for Leaked {
    const FIGURES: &[Metric] = &[Metric::Leaked, Metric::LiveAtEnd];
    const HELP: &str = "Exit with code 3 if a figure is above a limit, as in 'leaked>0', \
                        'live_at_end>1M' (may be repeated); mallook summary has more figures";
    const VERB: &str = "is";
}

/// Prints what is alive; the exit code says whether all could be read, and whether a limit is exceeded.
pub fn run(options: &Options, messages: Messages) -> Result<ExitCode> {
    let rules = rules(options)?;
    let mut verdict = None;
    let code = reading::read(&options.traces, &options.output, messages, |traces, output| {
        let report = gather(traces, options, rules, messages)?;
        let text = match options.json {
            true => pretty_json(&report)?,
            false => {
                let on_terminal = options.output.path.is_none() && io::stdout().is_terminal();
                let paint = if on_terminal { Paint::on_stdout() } else { Paint::OFF };
                let files = selection::shown(&options.traces.files);
                screen::text(&report, &files, options.top, plot::width(on_terminal), paint)
            }
        };
        output.write_all(text.as_bytes()).context("cannot write the output")?;
        let figure = |metric| match metric {
            Metric::Leaked => report.leaked_bytes,
            _ => report.leaked_bytes.saturating_add(report.suppressed_bytes),
        };
        verdict = options.verdict.judge(figure, messages);
        Ok(())
    })?;
    Ok(verdict.unwrap_or(code))
}

fn rules(options: &Options) -> Result<Vec<Rule>> {
    let mut rules = Vec::new();
    for path in &options.suppressions {
        let text = fs::read(path).with_context(|| format!("cannot read {}", Shown(path)))?;
        let patterns = parse(&String::from_utf8_lossy(&text)).map_err(|(line, found)| {
            let found = escape(&found);
            anyhow!("{}, line {line}: found {found:?}, expected leak:PATTERN", Shown(path))
        })?;
        rules.extend(patterns.into_iter().map(|it| Rule::new(Test::Frame(it), false)));
    }
    if !options.no_built_in {
        rules.extend(Rule::built_in());
    }
    Ok(rules)
}

fn gather(
    traces: &[Trace],
    options: &Options,
    rules: Vec<Rule>,
    messages: Messages,
) -> Result<Report> {
    let start_ns = moment::start_ns(traces);
    let unix_ns = |time: &Time| time.unix_ns(start_ns);
    let between = options.between.as_deref().map(|times| (unix_ns(&times[0]), unix_ns(&times[1])));
    ensure!(
        between.is_none_or(|(since, until)| since <= until),
        "--between: the first time is later than the second one"
    );
    let when = between.map_or_else(|| options.at.when(traces), |(_, until)| When::Time(until));
    let wanted = Survival {
        since_ns: between.map_or(0, |(since, _)| since),
        age_ns: match options.older_than {
            Some(Time::SinceStart(ns)) => ns,
            Some(Time::Unix(_)) => return Err(anyhow!("--older-than takes a span of time")),
            None => 0,
        },
    };
    let has_stacks = |trace: &Trace| trace.stacks() != Ok(Mode::Off);
    let all: Vec<_> = match traces.iter().any(has_stacks) {
        true => traces.iter().map(Stacks::of).collect(),
        false => Vec::new(),
    };
    let stop = Stop::at(when);
    let mut survivors = Survivors::of(&stop, wanted);
    let mut bar = Bar::new(traces, true);
    let replay = thread::scope(|scope| {
        let mut events = MergedEvents::prefetching_with_stacks(traces, &all, scope);
        stop.run(traces.len(), &mut events, &mut survivors, || bar.step())
    });
    bar.finish();
    if matches!(when, When::Time(_)) && !stop.has_later() {
        moment::say_after_the_end(traces, messages);
    }
    if !all.is_empty() {
        options.naming.name(&all, messages)?;
    } else if !options.suppressions.is_empty() {
        let reason = "they look at call stacks, which mallook run --stacks records";
        messages.say(format_args!("the suppressions of --suppressions do nothing: {reason}"));
    }
    let mut report = report::of(traces, &all, &replay, &survivors.groups(), rules);
    report.coverage = Coverage::of(traces);
    report.at = match &options.between {
        Some(times) => {
            format!("{}, made since {}", At::Time(times[1]), time_text(times[0]))
        }
        None => options.at.to_string(),
    };
    Ok(report)
}

fn time_text(time: Time) -> String {
    let text = At::Time(time).to_string();
    text.trim_start_matches("after ").trim_start_matches("at ").to_owned()
}
