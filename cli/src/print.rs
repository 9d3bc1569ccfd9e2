//! Prints events: other threads decode, this one pairs moments, formats and writes.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::thread;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use mallook_reader::export::{Exporter, Format, StackExporter, TextBuffer, folded};
use mallook_reader::{Cost, Costs, Event, MergedEvents, Stacks, Trace};

use crate::messages::Messages;
use crate::output::{Output, Target, open_file};
use crate::progress::Bar;
use crate::selection;
use crate::stacks::{self, Naming};

/// Output is written in pieces of this size.
const PIECE: usize = 1 << 16;

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
    /// A line a call stack, with its cost: for flame graphs
    Folded,
}

impl OutputFormat {
    /// The format of events; `None` if these are summed up.
    pub fn of_events(self) -> Option<Format> {
        match self {
            OutputFormat::Text => Some(Format::Text),
            OutputFormat::Csv => Some(Format::Csv),
            OutputFormat::Jsonl => Some(Format::Jsonl),
            OutputFormat::Sizes => Some(Format::Sizes),
            OutputFormat::Folded => None,
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

/// The call stacks of events.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct StackOptions {
    /// Print the call stack of each event that has one: below it, in it (jsonl), or by its number (csv)
    #[arg(long)]
    pub stacks: bool,

    /// With csv: write the frames of all stacks that events have into this file
    #[arg(long = "stacks-table", value_name = "PATH", requires = "stacks")]
    pub table: Option<PathBuf>,

    /// With folded: what a stack has cost
    #[arg(long, value_enum, value_name = "COST", default_value_t = StackCost::Allocations)]
    pub cost: StackCost,

    /// The names of their frames.
    #[command(flatten)]
    pub naming: Naming,
}

/// What a call stack has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum StackCost {
    /// Number of allocations
    #[default]
    Allocations,
    /// Bytes that they asked for
    Bytes,
    /// Bytes of them that lived when the most bytes did
    Peak,
    /// Bytes of them that live at the end
    Live,
    /// Number of allocations that the next call of the thread has released
    Temporary,
}

impl From<StackCost> for Cost {
    fn from(cost: StackCost) -> Cost {
        match cost {
            StackCost::Allocations => Cost::Allocations,
            StackCost::Bytes => Cost::Bytes,
            StackCost::Peak => Cost::Peak,
            StackCost::Live => Cost::Live,
            StackCost::Temporary => Cost::Temporary,
        }
    }
}

impl StackOptions {
    /// Refuses what does not go together.
    fn check(&self, format: OutputFormat) -> Result<()> {
        let is = |it| format == it;
        ensure!(
            !self.stacks || !is(OutputFormat::Sizes),
            "--stacks: the format sizes has no place for them"
        );
        ensure!(
            self.table.is_none() || is(OutputFormat::Csv),
            "--stacks-table goes with --format csv alone"
        );
        ensure!(
            self.cost == StackCost::default() || is(OutputFormat::Folded),
            "--cost goes with --format folded alone"
        );
        Ok(())
    }
}

impl Options {
    /// The exporter of these traces, and its format. Events that are summed up have none.
    pub fn exporter(&self, traces: &[Trace]) -> Result<(Exporter, Format)> {
        let format =
            self.format.of_events().context("--format folded: events have no such rows")?;
        let exporter = match self.rows {
            Rows::Calls => Exporter::new(format, traces),
            Rows::All => Exporter::with_markers(format, traces),
        };
        Ok((exporter, format))
    }
}

/// Prints the wanted events, in order of time.
pub fn events(
    traces: &[Trace],
    options: &Options,
    with: &StackOptions,
    output: &mut dyn Write,
    messages: Messages,
) -> Result<()> {
    with.check(options.format)?;
    if options.format != OutputFormat::Folded && !with.stacks {
        return plain(traces, options, output, messages);
    }
    let files: Vec<_> = traces.iter().map(|trace| trace.path().to_owned()).collect();
    let table = with.table.as_ref().map(|path| open_file("--stacks-table", path, &files));
    let table = table.transpose()?;
    let stacks = stacks::of(traces, messages);
    with.naming.name(&stacks, messages)?;
    match options.format {
        OutputFormat::Folded => fold(traces, &stacks, options, with.cost, output, messages),
        _ => with_stacks(traces, &stacks, options, table, output, messages),
    }
}

/// Prints events without their stacks. The loop is that of [`each`], written out: a fifteenth of all
/// instructions would go into the closure.
fn plain(
    traces: &[Trace],
    options: &Options,
    output: &mut dyn Write,
    messages: Messages,
) -> Result<()> {
    let mut progress = progress_bar(&options.output, traces);
    let filter = options.events.filter(traces);
    let everything = filter.wants_all();
    let (mut exporter, _) = options.exporter(traces)?;
    let mut text = TextBuffer::new();
    exporter.begin(&mut text);
    let repairs = thread::scope(|scope| -> io::Result<u64> {
        let mut events = MergedEvents::prefetching(traces, scope);
        while let Some(event) = events.advance() {
            progress.step();
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
    progress.finish();
    say_repairs(repairs, messages);
    Ok(())
}

/// Says how many events were put into another order than that of their times.
pub fn say_repairs(repairs: u64, messages: Messages) {
    if repairs != 0 {
        messages.say(format_args!("{repairs} events: order between threads repaired by causality"));
    }
}

fn with_stacks(
    traces: &[Trace],
    stacks: &[Stacks],
    options: &Options,
    mut table: Option<Target>,
    output: &mut dyn Write,
    messages: Messages,
) -> Result<()> {
    let (exporter, format) = options.exporter(traces)?;
    let mut exporter = StackExporter::new(exporter, format, stacks);
    if table.is_some() {
        exporter = exporter.with_table();
    }
    let mut text = TextBuffer::new();
    exporter.begin(&mut text);
    each(traces, stacks, options, messages, |event| {
        if event.is_none() || text.len() >= PIECE {
            output.write_all(text.text())?;
            text.clear();
        }
        if event.is_none() || exporter.table().len() >= PIECE {
            if let Some(table) = &mut table {
                table.write_all(exporter.table().text())?;
            }
            exporter.table().clear();
        }
        if let Some((event, true)) = event {
            exporter.event(event, &mut text);
        }
        Ok(())
    })?;
    table.map_or(Ok(()), Target::finish)
}

fn fold(
    traces: &[Trace],
    stacks: &[Stacks],
    options: &Options,
    cost: StackCost,
    output: &mut dyn Write,
    messages: Messages,
) -> Result<()> {
    let mut costs = Costs::new(cost.into());
    each(traces, stacks, options, messages, |event| {
        if let Some((event, is_wanted)) = event {
            costs.add(event, is_wanted);
        }
        Ok(())
    })?;
    output.write_all(folded(&costs, stacks).as_bytes()).context("cannot write the output")
}

/// Hands on each event, and whether it is wanted, and `None` after the last one.
fn each(
    traces: &[Trace],
    stacks: &[Stacks],
    options: &Options,
    messages: Messages,
    mut print: impl FnMut(Option<(&Event, bool)>) -> io::Result<()>,
) -> Result<()> {
    let mut progress = progress_bar(&options.output, traces);
    let filter = options.events.filter(traces);
    let everything = filter.wants_all();
    let repairs = thread::scope(|scope| -> io::Result<u64> {
        let mut events = MergedEvents::prefetching_with_stacks(traces, stacks, scope);
        while let Some(event) = events.advance() {
            progress.step();
            if !everything && filter.is_past(event.time_ns) {
                break;
            }
            print(Some((event, everything || filter.wants(event))))?;
        }
        print(None)?;
        Ok(events.repairs())
    })
    .context("cannot write the output")?;
    progress.finish();
    say_repairs(repairs, messages);
    Ok(())
}

/// A bar on stderr, if a person is looking at it and at nothing else.
pub fn progress_bar(output: &Output, traces: &[Trace]) -> Bar {
    Bar::new(traces, output.path.is_some() || !io::stdout().is_terminal())
}
