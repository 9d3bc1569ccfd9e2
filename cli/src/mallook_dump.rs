//! `mallook-dump`: prints traces. Its modes are flags, which `mallook` has as commands.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};
use clap_complete::Shell;

use crate::generate::{completions, manual};
use crate::messages::Messages;
use crate::output::{self, Output};
use crate::print::{self, OutputFormat, Rows};
use crate::{check, dump, follow, info, input, selection, value};

const MESSAGES: Messages = Messages::of("mallook-dump");

const HELP: &str = "\
Examples:
  mallook-dump mallook.out.4711.1700000000.0
  mallook-dump --info mallook.out.*
  mallook-dump --format csv --output events.csv mallook.out.*
  mallook-dump --op malloc --op calloc --min-size 1M --since 2s mallook.out.*
  mallook-dump --follow mallook.out.4711.1700000000.0

Times are since the start of the first trace (\"1.5\", \"1.5s\", \"200ms\", \"10us\", \"7ns\"), \
or Unix time when they start with \"@\" (\"@1700000000.25\").

Exit codes: 0 all was read; 1 a trace is damaged and was read in part, or a file is no trace, see \
stderr, or --check found something; 2 usage, or no trace at all.";

/// Prints what mallook has recorded: one line an event, in order of time.
#[derive(Debug, Parser)]
#[command(name = "mallook-dump", version, after_help = HELP)]
struct Arguments {
    /// Traces, which are merged by time: files, "-" for the standard input, pipes, directories,
    /// prefixes; compressed ones (gzip, zstd, xz), too
    #[arg(required_unless_present = "generate", value_name = "FILE")]
    files: Vec<PathBuf>,

    /// How events look
    #[arg(short, long, value_enum, default_value_t = OutputFormat::Text)]
    format: OutputFormat,

    /// The rows of csv and jsonl
    #[arg(long = "events", value_enum, value_name = "ROWS", default_value_t = Rows::Calls)]
    rows: Rows,

    /// Where to.
    #[command(flatten)]
    output: Output,

    /// Print what the traces are, instead of events
    #[arg(long, conflicts_with_all = ["stacks", "table", "cost", "format", "rows", "follow", "since", "until", "functions", "tids", "min_size", "max_size", "addresses"])]
    info: bool,

    /// Replay the traces and print what is impossible in them: memory that is given out while it
    /// lives, or released twice
    #[arg(long, conflicts_with_all = ["stacks", "table", "cost", "info", "rows", "follow", "since", "until", "functions", "tids", "min_size", "max_size", "addresses"])]
    check: bool,

    /// Print the events of a running process as they come, until it ends
    #[arg(long)]
    follow: bool,

    /// Their call stacks.
    #[command(flatten)]
    stacks: print::StackOptions,

    /// Which events.
    #[command(flatten)]
    events: selection::Events,

    /// Print the manual page, or completions for a shell
    #[arg(long, value_enum, exclusive = true, value_name = "WHAT")]
    generate: Option<Generated>,
}

/// A text that is made from this command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Generated {
    /// The manual page
    Man,
    /// Completions for bash
    Bash,
    /// Completions for zsh
    Zsh,
    /// Completions for fish
    Fish,
}

/// The grammar.
pub fn command() -> clap::Command {
    let sizes = |argument: clap::Arg| argument.value_parser(value::size_of_old);
    Arguments::command().mut_arg("min_size", sizes).mut_arg("max_size", sizes)
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = parse(std::env::args_os()).unwrap_or_else(|error| error.exit());
    match run(arguments) {
        Ok(code) => code,
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            MESSAGES.say(format_args!("{error:#}"));
            ExitCode::from(input::UNUSABLE)
        }
    }
}

fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    let matches = command().try_get_matches_from(arguments)?;
    Arguments::from_arg_matches(&matches)
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    let Arguments { files, format, rows, output, info, check, follow, stacks, events, generate } =
        arguments;
    let traces = selection::Traces::all(files);
    match () {
        () if generate.is_some() => {
            let text = generate.map(Generated::text).transpose()?.unwrap_or_default();
            let mut output = output.open(&[])?;
            output.write_all(&text).context("cannot write the output")?;
            output.finish()?;
            Ok(ExitCode::SUCCESS)
        }
        () if follow => {
            let print = print::Options { format, rows, output, events };
            ensure!(stacks.table.is_none(), "--stacks-table: events that are followed have none");
            let (files, naming) = (traces.files, stacks.naming);
            let options = follow::Options { files, print, stacks: stacks.stacks, naming };
            follow::run(&options, MESSAGES)
        }
        () if info => info::each(&info::Options { traces, json: false, output }, MESSAGES),
        () if check => check::run(&check::Options { traces, output }, MESSAGES),
        () => {
            let print = print::Options { format, rows, output, events };
            dump::run(&dump::Options { traces, print, stacks }, MESSAGES)
        }
    }
}

impl Generated {
    /// The text.
    fn text(self) -> std::io::Result<Vec<u8>> {
        Ok(match self {
            Generated::Man => return manual::page(command()),
            Generated::Bash => completions::text(Shell::Bash, &command()),
            Generated::Zsh => completions::text(Shell::Zsh, &command()),
            Generated::Fish => completions::text(Shell::Fish, &command()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn sizes_are_those_of_old() {
        for (text, bytes) in [("64K", 65536), ("1e3", 1000), ("1.5G", 3 << 29), (" 1 kb", 1024)] {
            let arguments = ["mallook-dump", "--min-size", text, "file"].map(OsString::from);
            let events = parse(arguments.into_iter()).unwrap().events;
            assert_eq!(events.min_size, Some(bytes), "{text}");
        }
    }
}
