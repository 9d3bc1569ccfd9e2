//! `mallook cut`: writes a time range of traces into a file.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use mallook_reader::{Cut, Range, Shown, Trace, merge};
use tempfile::NamedTempFile;

use crate::input::{self, Opened};
use crate::messages::Messages;
use crate::output::open_file;
use crate::selection;
use crate::units::{count, counted};
use crate::value::{self, Time};

const HELP: &str = "\
Examples:
  mallook cut --since 10s --until 12s -o peak.trace mallook.out.4711.1700000000.0
  mallook cut --since 30s -o tail.trace mallook.out

The file has every event of the range and, before these, the allocation of every block of memory that \
lives at its start, with its own time, function, size, thread and call stack. So every command works \
on it: what lives, what leaks and what peaks in the range is what did in the whole trace. Events that \
were lost stay counted. Several traces become one file, as mallook merge makes it, without the \
processes that had ended before the range.

Times are since the start of the first trace (\"1.5\", \"1.5s\", \"200ms\", \"10us\", \"7ns\"), \
or Unix time when they start with \"@\" (\"@1700000000.25\"). Events at both ends are in the file.

Exit codes:
  0  the file was written
  1  a trace is damaged and was read in part, or a file is no trace, see stderr
  2  wrong usage, no trace at all, no process in the range, or a file that could not be written";

/// Options of `mallook cut`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct Options {
    /// The traces.
    #[command(flatten)]
    pub traces: selection::Traces,

    /// The start of the range; without it, that of the traces
    #[arg(long, value_name = "TIME", value_parser = value::time)]
    pub since: Option<Time>,

    /// The end of the range; without it, that of the traces
    #[arg(long, value_name = "TIME", value_parser = value::time)]
    pub until: Option<Time>,

    /// The file to write, which appears when it is complete; no trace is ever overwritten
    #[arg(short, long, value_name = "PATH")]
    pub output: PathBuf,
}

/// Writes the file; the exit code says whether all could be read.
pub fn run(options: &Options, messages: Messages) -> Result<ExitCode> {
    let Opened { traces, unreadable } = options.traces.open(messages)?;
    let start = traces.iter().map(|trace| trace.header().realtime_ns).min().unwrap_or(0);
    let range = Range {
        since_ns: options.since.map(|time| time.unix_ns(start)),
        until_ns: options.until.map(|time| time.unix_ns(start)),
    };
    ensure!(
        range.since_ns.unwrap_or(0) <= range.until_ns.unwrap_or(u64::MAX),
        "--since is later than --until"
    );
    let files: Vec<_> = traces.iter().map(|trace| trace.path().to_owned()).collect();
    let mut target = open_file("--output", &options.output, &files)?;
    let refuse = || format!("cannot write {}", Shown(&options.output));
    let cuts = match &traces[..] {
        [trace] => vec![target.fill(|file| range.cut(trace, file)).with_context(refuse)?],
        _ => {
            let (parts, cuts, _files) =
                parts(&traces, range).context("cannot write a temporary file")?;
            target.fill(|file| merge(&parts, file)).with_context(refuse)?;
            cuts
        }
    };
    ensure!(
        cuts.iter().any(is_there),
        "no process has an event in the range, or memory at its start"
    );
    target.finish()?;
    let sum = |number: fn(&Cut) -> u64| cuts.iter().map(number).sum();
    writeln!(
        io::stdout(),
        "{}: {} of {}, {} of the range, {} at its start",
        Shown(&options.output),
        count(cuts.iter().filter(|cut| is_there(cut)).count() as u64),
        counted(traces.len() as u64, "trace"),
        counted(sum(|cut| cut.moments), "moment"),
        counted(sum(|cut| cut.live), "block"),
    )?;
    input::report_missing(&traces, messages);
    let code = input::report_damage(&traces, messages);
    Ok(if unreadable == 0 { code } else { ExitCode::from(input::UNSOUND) })
}

/// There is a process in the range.
fn is_there(cut: &Cut) -> bool {
    !cut.is_over && (cut.moments != 0 || cut.live != 0)
}

/// Files that vanish.
type Files = Vec<NamedTempFile<File>>;

/// The part of each trace that has one, and the files that they are in.
fn parts(traces: &[Trace], range: Range) -> Result<(Vec<Trace<'static>>, Vec<Cut>, Files)> {
    let (mut parts, mut cuts, mut files) = (Vec::new(), Vec::new(), Vec::new());
    for trace in traces {
        let mut file = NamedTempFile::new()?;
        let cut = range.cut(trace, file.as_file_mut())?;
        cuts.push(cut);
        if is_there(&cut) {
            parts.push(Trace::open(file.path())?);
            files.push(file);
        }
    }
    Ok((parts, cuts, files))
}
