//! `mallook timeline`: live memory, births and deaths over time.
//!
//! The law of the modules: each uses only modules of the rows above it and to its left in its row.
//!
//! ```text
//! data            lines over time
//! screen csv svg  as text, as a table, as a picture
//! ```

mod csv;
mod data;
mod screen;
mod svg;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use mallook_analysis::{Figures, Wanted};
use mallook_reader::{MergedEvents, Trace};

use crate::coverage::Coverage;
use crate::mark;
use crate::messages::Messages;
use crate::output::Output;
use crate::paint::Paint;
use crate::progress::Bar;
use crate::{paused, plot, reading, selection};

const HELP: &str = "\
Examples:
  mallook timeline mallook.out
  mallook timeline --format svg -o live.svg mallook.out
  mallook timeline --format csv mallook.out > live.csv

Time is cut into 2,000 intervals at the most. Each has the least and the most that lived in it, looked \
at after every event: a peak of one event is seen, however long the run.

Columns of csv:
  process                     \"all\", or the PID
  trace                       position of the trace, -1 for all
  start_ns, end_ns            the interval, in Unix nanoseconds
  least_bytes, most_bytes     live bytes
  least_blocks, most_blocks   live blocks
  births, born_bytes, deaths  in the interval; a reallocation is one birth and one death
  marks                       the named moments in the interval, in rows of all processes

Exit codes:
  0  all was read
  1  a trace is damaged and was read in part, or a file is no trace, see stderr
  2  wrong usage, or no trace at all";

/// How it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A chart in the terminal
    Text,
    /// Comma-separated values, a row an interval
    Csv,
    /// A picture
    Svg,
}

/// Options of `mallook timeline`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct Options {
    /// The traces.
    #[command(flatten)]
    pub traces: selection::Traces,

    /// How it looks
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub format: Format,

    /// Where to.
    #[command(flatten)]
    pub output: Output,
}

/// Prints the lines; the exit code says whether all could be read.
pub fn run(options: &Options, messages: Messages) -> Result<ExitCode> {
    reading::read(&options.traces, &options.output, messages, |traces, output| {
        let on_terminal = options.output.path.is_none() && io::stdout().is_terminal();
        let figures = figures(traces, !on_terminal);
        let lines = data::of(traces, &figures);
        let start_ns = lines.first().map_or(0, |all| all.start_ns);
        let said = data::Said {
            marks: mark::of(traces, start_ns),
            paused: paused::of(traces, &figures.pauses, start_ns),
            span_ns: figures.end_ns.saturating_sub(start_ns),
        };
        let text = match options.format {
            Format::Text => {
                let paint = if on_terminal { Paint::on_stdout() } else { Paint::OFF };
                screen::text(&lines, &said, &Coverage::of(traces), plot::width(on_terminal), paint)
            }
            Format::Csv => csv::text(&lines, &said.marks),
            Format::Svg => svg::text(&lines, &said),
        };
        output.write_all(text.as_bytes()).context("cannot write the output")
    })
}

fn figures(traces: &[Trace], with_bar: bool) -> Figures {
    let wanted = Wanted { timeline: true, timelines: traces.len() > 1, ..Wanted::default() };
    let mut bar = Bar::new(traces, with_bar);
    let figures = thread::scope(|scope| {
        let mut events = MergedEvents::prefetching(traces, scope);
        Figures::until(traces, &mut events, wanted, |_| {
            bar.step();
            true
        })
    });
    bar.finish();
    figures
}
