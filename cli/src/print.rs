//! Prints events: other threads decode, this one pairs moments, formats and writes.

use std::io::{self, IsTerminal, Write};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use mallook_format::SLOTS;
use mallook_reader::export::{Exporter, Format, TextBuffer, frames};
use mallook_reader::{MergedEvents, Stacks, Trace};

use crate::messages::Messages;
use crate::output::Output;
use crate::selection;

/// Output is written in pieces of this size, and after this many events the bar moves.
const PIECE: usize = 1 << 16;
const STEP: u64 = 1 << 12;

/// How events look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// One aligned line an event
    Text,
    /// Comma-separated values, one row a call
    Csv,
    /// JSON Lines, one object a call
    Jsonl,
    /// The lines of the C libmallook
    Sizes,
}

impl From<OutputFormat> for Format {
    fn from(format: OutputFormat) -> Format {
        match format {
            OutputFormat::Text => Format::Text,
            OutputFormat::Csv => Format::Csv,
            OutputFormat::Jsonl => Format::Jsonl,
            OutputFormat::Sizes => Format::Sizes,
        }
    }
}

/// The rows of csv and jsonl.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Rows {
    /// A row a call
    Calls,
    /// Rows also for start, fork, exec and end of processes and for what was lost, and a column
    /// "detail"
    All,
}

/// Which events to print, how, and where to.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Options {
    /// How events look
    #[arg(short, long, value_enum, default_value_t = OutputFormat::Text)]
    pub format: OutputFormat,

    /// The rows of csv and jsonl
    #[arg(long = "events", value_enum, value_name = "ROWS", default_value_t = Rows::Calls)]
    pub rows: Rows,

    /// Where to.
    #[command(flatten)]
    pub output: Output,

    /// Which events.
    #[command(flatten)]
    pub events: selection::Events,
}

impl Options {
    /// The exporter of these traces.
    pub fn exporter(&self, traces: &[Trace]) -> Exporter {
        match self.rows {
            Rows::Calls => Exporter::new(self.format.into(), traces),
            Rows::All => Exporter::with_markers(self.format.into(), traces),
        }
    }
}

/// Prints the wanted events, in order of time.
pub fn events(
    traces: &[Trace],
    options: &Options,
    with_stacks: bool,
    output: &mut dyn Write,
    messages: Messages,
) -> Result<()> {
    let progress = progress_bar(&options.output, traces);
    let filter = options.events.filter(traces);
    let everything = filter.wants_all();
    let mut exporter = options.exporter(traces);
    let mut text = TextBuffer::new();
    exporter.begin(&mut text);
    let stacks: Vec<_> = match with_stacks {
        true => traces.iter().map(Stacks::of).collect(),
        false => Vec::new(),
    };
    let repairs = thread::scope(|scope| -> io::Result<u64> {
        let mut events = MergedEvents::prefetching_with_stacks(traces, &stacks, scope);
        let mut seen = 0;
        while let Some(event) = events.advance() {
            seen += 1;
            if seen == STEP {
                progress.inc(std::mem::take(&mut seen));
            }
            if !everything {
                if filter.is_past(event.time_ns) {
                    break;
                }
                if !filter.wants(event) {
                    continue;
                }
            }
            exporter.event(event, &mut text);
            if let Some(stack) = event.stack
                && let Some(stacks) = stacks.get(event.trace as usize)
            {
                frames(stacks, stack, &mut text);
            }
            if text.len() >= PIECE {
                output.write_all(text.text())?;
                text.clear();
            }
        }
        output.write_all(text.text())?;
        Ok(events.repairs())
    })
    .context("cannot write the output")?;
    progress.finish_and_clear();
    if repairs != 0 {
        messages.say(format_args!("{repairs} events: order between threads repaired by causality"));
    }
    Ok(())
}

/// A bar on stderr, if a person is looking at it and at nothing else. It appears after a second.
fn progress_bar(output: &Output, traces: &[Trace]) -> ProgressBar {
    let visible =
        io::stderr().is_terminal() && (output.path.is_some() || !io::stdout().is_terminal());
    if !visible {
        return ProgressBar::hidden();
    }
    let blocks: u64 = traces.iter().map(Trace::places).sum();
    let bar = ProgressBar::new(blocks * SLOTS as u64).with_style(
        ProgressStyle::with_template("{bar:40} {percent}% of {human_len} events, {eta} to go")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}
