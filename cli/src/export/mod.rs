//! `mallook export`: writes traces in the formats of other programs.
//!
//! The law of the modules:
//!
//! ```text
//! format packed directory  the formats; output that is compressed; output that is a directory
//! ```

mod directory;
mod format;
mod packed;

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result, ensure};
use clap::Args;
use mallook_export::{Export, Omitted, Source};
use mallook_format::Stacks as Mode;
use mallook_reader::{MergedEvents, Shown, Stacks, Trace};

use crate::input::{self, Opened};
use crate::messages::Messages;
use crate::output::Output;
use crate::print::{self, OutputFormat, Rows, StackCost, StackOptions};
use crate::selection;
use crate::stacks::{self, Naming};

use directory::Directory;
use format::Format;
use packed::Packed;

const HELP: &str = "\
Examples:
  mallook export --to pprof -o heap.pb.gz mallook.out.*        go tool pprof -top heap.pb.gz
  mallook export --to heaptrack -o ls.zst mallook.out.4711.*   heaptrack_gui ls.zst
  mallook export --to parquet -o tables mallook.out.*          duckdb, pandas, polars
  mallook export --to folded --cost peak mallook.out.* | flamegraph.pl > peak.svg

Names of functions are in the file wherever it has a place for them; mallook run --stacks records \
who allocates. docs/export.md says what each format has no place for.

Exit codes:
  0  all was read
  1  a trace is damaged and was read in part, or a file is no trace, see stderr
  2  wrong usage, or no trace at all";

/// Options of `mallook export`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct Options {
    /// The traces.
    #[command(flatten)]
    pub traces: selection::Traces,

    /// The format
    #[arg(long = "to", short = 't', value_enum, value_name = "FORMAT")]
    pub to: Format,

    /// Where to, instead of the standard output: a file, compressed if it ends in .gz or .zst; a new
    /// directory for ctf and parquet
    #[arg(short = 'o', long = "output", value_name = "PATH")]
    pub path: Option<PathBuf>,

    /// With folded, what a stack has cost: allocations, bytes, peak, live, or temporary
    #[arg(long, value_enum, value_name = "COST", default_value_t = StackCost::Allocations, hide_possible_values = true)]
    pub cost: StackCost,

    /// The names of frames.
    #[command(flatten)]
    pub naming: Naming,
}

/// Writes the traces; the exit code says whether all could be read.
pub fn run(options: &Options, messages: Messages) -> Result<ExitCode> {
    let Opened { traces, unreadable } = options.traces.open(messages)?;
    options.check(&traces)?;
    match (options.to.is_directory(), &options.path) {
        (true, Some(path)) => to_directory(options, &traces, path, messages)?,
        _ => to_file(options, &traces, messages)?,
    }
    input::report_missing(&traces, messages);
    let code = input::report_damage(&traces, messages);
    Ok(if unreadable == 0 { code } else { ExitCode::from(input::UNSOUND) })
}

impl Options {
    /// Refuses what does not go together.
    fn check(&self, traces: &[Trace]) -> Result<()> {
        let to = self.to.name();
        ensure!(
            !self.to.is_directory() || self.path.is_some(),
            "--to {to} writes several files: give a directory by --output"
        );
        ensure!(
            !self.to.is_binary() || self.path.is_some() || !io::stdout().is_terminal(),
            "--to {to} is nothing for a terminal: give a file by --output"
        );
        ensure!(
            !self.to.has_one_process() || traces.len() == 1,
            "--to {to} has a place for one process, and these are {} traces: choose one by its file, \
             --pid or --exe",
            traces.len()
        );
        ensure!(
            self.cost == StackCost::default() || self.to == Format::Folded,
            "--cost goes with --to folded alone"
        );
        Ok(())
    }

    fn output(&self) -> Output {
        Output { path: self.path.clone() }
    }
}

fn to_directory(
    options: &Options,
    traces: &[Trace],
    path: &Path,
    messages: Messages,
) -> Result<()> {
    let directory = Directory::create(path).with_context(|| format!("--output {}", Shown(path)))?;
    let stacks = stacks_of(options, traces, messages)?;
    let source = Source { traces, stacks: &stacks };
    let mut export = options.to.directory_export(source, directory.path())?;
    feed(options, source, &mut *export, messages)?;
    drop(export);
    directory.finish(path).with_context(|| format!("--output {}", Shown(path)))
}

fn to_file(options: &Options, traces: &[Trace], messages: Messages) -> Result<()> {
    let files: Vec<_> = traces.iter().map(|trace| trace.path().to_owned()).collect();
    let mut target = options.output().open(&files)?;
    let path = options.path.as_deref().filter(|_| options.to != Format::Pprof);
    let mut packed = Packed::new(path, &mut target)?;
    let mut buffer = BufWriter::with_capacity(1 << 16, &mut packed);
    if options.to == Format::Folded {
        fold(options, traces, &mut buffer, messages)?;
    } else {
        let stacks = stacks_of(options, traces, messages)?;
        let source = Source { traces, stacks: &stacks };
        let mut export = options.to.file_export(source, &mut buffer)?;
        feed(options, source, &mut *export, messages)?;
    }
    buffer.flush().context("cannot write the output")?;
    drop(buffer);
    packed.finish().context("cannot write the output")?;
    target.finish()
}

fn fold(
    options: &Options,
    traces: &[Trace],
    output: &mut dyn Write,
    messages: Messages,
) -> Result<()> {
    let print = print::Options {
        format: OutputFormat::Folded,
        rows: Rows::Calls,
        output: options.output(),
        events: selection::Events::default(),
    };
    let with = StackOptions {
        stacks: false,
        table: None,
        cost: options.cost,
        naming: options.naming.clone(),
    };
    print::events(traces, &print, &with, output, messages)
}

/// The call stacks, with names, if the format has a place for them and any trace has some.
fn stacks_of<'a>(
    options: &Options,
    traces: &'a [Trace<'a>],
    messages: Messages,
) -> Result<Vec<Stacks<'a>>> {
    if !options.to.has_stacks() || traces.iter().all(|trace| trace.stacks() == Ok(Mode::Off)) {
        return Ok(Vec::new());
    }
    let stacks = stacks::of(traces, messages);
    if options.to.has_names() {
        options.naming.name(&stacks, messages)?;
    }
    Ok(stacks)
}

/// Hands all events on, and says what the file does not have.
fn feed(
    options: &Options,
    source: Source,
    export: &mut dyn Export,
    messages: Messages,
) -> Result<()> {
    let mut progress = print::progress_bar(&options.output(), source.traces);
    let (omitted, repairs) = thread::scope(|scope| -> io::Result<(Omitted, u64)> {
        let Source { traces, stacks } = source;
        let mut events = MergedEvents::prefetching_with_stacks(traces, stacks, scope);
        if traces.len() == 1 {
            while let Some(event) = events.advance() {
                progress.step();
                export.event(event)?;
            }
        } else {
            while let Some((event, ended)) = events.advance_with_ended() {
                progress.step();
                ended.iter().for_each(|&trace| export.ended(trace));
                export.event(event)?;
            }
        }
        Ok((export.finish()?, events.repairs()))
    })
    .context("cannot write the output")?;
    progress.finish();
    print::say_repairs(repairs, messages);
    if !omitted.is_empty() {
        messages.say(format_args!("--to {}: {omitted}", options.to.name()));
    }
    Ok(())
}
