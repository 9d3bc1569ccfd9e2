//! `mallook`: records the allocations of programs, and reads the traces.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

use crate::messages::Messages;
use crate::run::library;
use crate::{
    check, ctl, cut, diff, dump, export, follow, fragmentation, generate, hint, info, input, leaks,
    mallook_dump, merge, output, report, run, serve, snapshot, stats, summary, symbolize, timeline,
    top,
};

const MESSAGES: Messages = Messages::of("mallook");

const HELP: &str = "\
Examples:
  mallook run -- make -j8            record every process, into mallook.out.PID.EPOCH.COUNTER
  mallook run --summary -- ./program what its memory does, when it ends
  mallook mallook.out                the same of traces that are there
  mallook info mallook.out.*         a table, a row a process
  mallook dump mallook.out.*         every call, in order of time

Exit codes:
  run      the program's own, or 125, 126, 127: see mallook run --help
  others   0 all was read; 1 damaged or impossible; 2 wrong usage, or no trace; 3 a limit of
           --fail-if is exceeded";

/// Records every allocation of a program and of its children, and reads the traces.
#[derive(Debug, Parser)]
#[command(name = "mallook", version, after_help = HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a program, record its allocations and those of its children
    #[command(override_usage = "mallook run [OPTIONS] [--] <PROG> [ARGS]...")]
    Run(run::Options),
    /// Say what the memory of a program does, on one screen
    Summary(summary::Options),
    /// Say all figures of the memory of a program
    Stats(stats::Options),
    /// Write a page for a browser: memory over time, who allocates, and what stands out
    Report(report::Options),
    /// Show the page of report in a browser, and read the traces for what it asks
    Serve(serve::Options),
    /// Say what traces are: a summary of one, a table of many
    Info(info::Options),
    /// Print events, in order of time
    Dump(dump::Options),
    /// Print the events of a running process as they come, until it ends
    Follow(follow::Options),
    /// Show what the memory of running processes does, as it happens
    Top(top::Options),
    /// Copy what a running process has written so far, without stopping it
    Snapshot(snapshot::Options),
    /// Pause the recording of running processes, go on, mark moments, and say how they are
    Ctl(ctl::Options),
    /// Replay traces and print what is impossible in them
    Check(check::Options),
    /// Write traces in the formats of pprof, heaptrack, massif, Parquet and others
    Export(export::Options),
    /// Say what is alive at the end, and who has made it
    Leaks(leaks::Options),
    /// Show live memory, births and deaths over time
    Timeline(timeline::Options),
    /// Compare two runs, or two moments of one
    Diff(diff::Options),
    /// Compare live bytes with the pages that hold them, and say who keeps pages
    Fragmentation(fragmentation::Options),
    /// Write a time range of traces into a file, with the memory that lives at its start
    Cut(cut::Options),
    /// Put several traces into one file
    Merge(merge::Options),
    /// Write the names of functions into a file beside each trace
    Symbolize(symbolize::Options),
    /// Print the path of the preloaded library, for use without mallook run
    #[command(after_help = library::HELP)]
    Library,
    /// Write manual pages, or completions for shells
    Generate(generate::Options),
}

impl Command {
    /// The exit code when it fails as a whole.
    fn failed(&self) -> u8 {
        match self {
            Command::Run(_) | Command::Library | Command::Generate(_) => run::FAILED,
            _ => input::UNUSABLE,
        }
    }

    fn run(&self) -> Result<ExitCode> {
        match self {
            Command::Run(options) => run::run(options, MESSAGES),
            Command::Summary(options) => summary::run(options, MESSAGES),
            Command::Stats(options) => stats::run(options, MESSAGES),
            Command::Report(options) => report::run(options, MESSAGES),
            Command::Serve(options) => serve::run(options, MESSAGES),
            Command::Info(options) => info::run(options, MESSAGES),
            Command::Dump(options) => dump::run(options, MESSAGES),
            Command::Follow(options) => follow::run(options, MESSAGES),
            Command::Top(options) => top::run(options, MESSAGES),
            Command::Snapshot(options) => snapshot::run(options, MESSAGES),
            Command::Ctl(options) => ctl::run(options, MESSAGES),
            Command::Check(options) => check::run(options, MESSAGES),
            Command::Export(options) => export::run(options, MESSAGES),
            Command::Leaks(options) => leaks::run(options, MESSAGES),
            Command::Timeline(options) => timeline::run(options, MESSAGES),
            Command::Fragmentation(options) => fragmentation::run(options, MESSAGES),
            Command::Diff(options) => diff::run(options, MESSAGES),
            Command::Cut(options) => cut::run(options, MESSAGES),
            Command::Merge(options) => merge::run(options, MESSAGES),
            Command::Symbolize(options) => symbolize::run(options, MESSAGES),
            Command::Library => {
                writeln!(io::stdout(), "{}", library::install()?.display())?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Generate(options) => {
                let programs = [Cli::command(), mallook_dump::command()];
                generate::run(options, programs, &mut io::stdout().lock())?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let command = match Cli::try_parse_from(arguments()) {
        Ok(cli) => cli.command,
        Err(error) => return refuse(&error),
    };
    match command.run() {
        Ok(code) => code,
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            MESSAGES.say(format_args!("{error:#}"));
            ExitCode::from(command.failed())
        }
    }
}

/// The arguments; traces without a command are to be summed up.
fn arguments() -> Vec<OsString> {
    let mut all: Vec<OsString> = std::env::args_os().collect();
    if all.get(1).is_some_and(|first| is_of_summary(first, &all[1..])) {
        all.insert(1, "summary".into());
    }
    all
}

/// Words that start with a trace, or with options of a summary of traces that are there.
fn is_of_summary(first: &OsStr, words: &[OsString]) -> bool {
    if Cli::command().find_subcommand(first).is_some() {
        return false;
    }
    let start = ["mallook", "summary"].map(OsString::from);
    let options = || match Cli::try_parse_from(start.iter().chain(words)).ok()?.command {
        Command::Summary(options) => Some(options),
        _ => None,
    };
    let names = |file: &PathBuf| input::names_traces(file.as_os_str());
    input::names_traces(first)
        || first.as_encoded_bytes().starts_with(b"-")
            && options().is_some_and(|it| it.explain.is_some() || it.traces.files.iter().any(names))
}

/// Answers a command line that is not understood, or prints the help that was asked for.
fn refuse(error: &clap::Error) -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let hint = error.use_stderr().then(|| hint::of(&arguments, &Cli::command(), error)).flatten();
    let Some(hint::Hint { found, line }) = hint else { error.exit() };
    MESSAGES.say(format_args!("{found}; did you mean: {line}"));
    ExitCode::from(input::UNUSABLE)
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    #[test]
    fn definition_is_sound() {
        Cli::command().debug_assert();
    }

    /// The grammar breaks lines at the width of the terminal: text that has breaks of its own gets both.
    #[test]
    fn no_line_of_help_is_broken_twice() {
        for grammar in [Cli::command(), mallook_dump::command()] {
            let all = grammar.get_subcommands().cloned().chain([grammar.clone()]);
            for (mut command, width) in all.flat_map(|it| [(it.clone(), 72), (it, 100)]) {
                command = command.term_width(width);
                let help = command.render_long_help().to_string();
                let lines: Vec<_> = help.lines().collect();
                for pair in lines.windows(2) {
                    let is_prose = |line: &str| !line.is_empty() && !line.starts_with(' ');
                    let is_short = pair[0].chars().count() + 25 < width && !pair[0].ends_with(':');
                    let is_orphan = is_short && is_prose(pair[0]) && is_prose(pair[1]);
                    assert!(!is_orphan, "{}, {width}: {pair:?}", command.get_name());
                }
            }
        }
    }

    #[test]
    fn options_end_at_the_program() {
        let cli = Cli::parse_from(["mallook", "run", "--mode", "ring", "ls", "-q", "--mode"]);
        let Command::Run(run) = cli.command else { panic!("not a run") };
        assert_eq!(run.program, ["ls", "-q", "--mode"]);
        assert!(!run.quiet);
        assert_eq!(run.variables().collect::<Vec<_>>(), [("MALLOOK_MODE", "ring".to_owned())]);
    }

    /// The line that would work, for arguments that do not.
    fn hint_for(arguments: &[&str]) -> Option<String> {
        let words = ["mallook"].iter().chain(arguments);
        let error = Cli::try_parse_from(words).unwrap_err();
        assert_ne!(error.kind(), ErrorKind::DisplayHelp);
        let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
        hint::of(&arguments, &Cli::command(), &error).map(|hint| hint.line)
    }

    #[test]
    fn nothing_is_kept_of_a_run_that_says_nothing() {
        let parse = |options: &[&str]| {
            Cli::try_parse_from(["mallook", "run"].iter().chain(options).chain(&["ls"])).is_ok()
        };
        assert!(!parse(&["--no-keep"]));
        for good in [
            &["--no-keep", "--summary"][..],
            &["--no-keep", "--fail-if", "peak>1"],
            &["--summary", "--fail-if", "peak>1", "--no-keep"],
            &["--no-keep", "--keep"],
            &["--summary"],
        ] {
            assert!(parse(good), "{good:?}");
        }
    }

    #[test]
    fn a_program_without_a_command() {
        for (arguments, line) in [
            (&["ls", "-l", "a b"][..], Some("mallook run -- ls -l 'a b'")),
            (&["./nothing"], Some("mallook run -- ./nothing")),
            (&["--", "ls", "-l"], Some("mallook run -- ls -l")),
            (&["--mode", "ring", "ls"], Some("mallook run --mode ring ls")),
            (&["--info", "x"], Some("mallook info x")),
            (&["dmup", "x"], None),
            (&["--nonsense"], None),
            (&["dump"], None),
            (&["run", "--size", "lots", "ls"], None),
            (&[], None),
        ] {
            assert_eq!(hint_for(arguments).as_deref(), line, "{arguments:?}");
        }
    }
}
