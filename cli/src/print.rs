//! Prints events: other threads decode, this one pairs moments, formats and writes.

use std::io::{self, IsTerminal, Write};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use mallook_format::SLOTS;
use mallook_reader::export::{Exporter, Format, TextBuffer};
use mallook_reader::{Filter, MergedEvents, Trace};

use crate::messages::Messages;
use crate::output::Output;

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

/// Prints the events that the filter wants, in order of time.
pub fn events(
    traces: &[Trace],
    filter: &Filter,
    format: OutputFormat,
    progress: &ProgressBar,
    output: &mut dyn Write,
    messages: Messages,
) -> Result<()> {
    let everything = filter.wants_all();
    let mut exporter = Exporter::new(format.into(), traces);
    let mut text = TextBuffer::new();
    exporter.begin(&mut text);
    let repairs = thread::scope(|scope| -> io::Result<u64> {
        let mut events = MergedEvents::prefetching(traces, scope);
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
pub fn progress_bar(output: &Output, traces: &[Trace]) -> ProgressBar {
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
