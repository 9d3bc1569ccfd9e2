//! `mallook snapshot`: copies a trace that is being written.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use mallook_reader::{Grouped, Shown, Trace, snapshot};

use crate::messages::Messages;
use crate::output::open_file;
use crate::{input, target, units};

const HELP: &str = "\
Examples:
  mallook snapshot -o now.trace 4711                   of process 4711, which goes on
  mallook snapshot -o now.trace mallook.out.4711.1700000000.0
  mallook diff before.trace now.trace                  what changed between two of them

The process is neither stopped nor told: its file is read. The copy has every event up to one moment, \
which is printed, except that of a call which a thread had begun and not ended; of a ring, what was not \
overwritten before it was copied. Every command works on it.

Exit codes:
  0  the file was written
  1  the trace is damaged: what could be read of it was copied, see stderr
  2  wrong usage, no such process, no trace, or a file that could not be written";

/// Options of `mallook snapshot`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct Options {
    /// The process, by its ID, or the file that it writes
    #[arg(value_name = "PID|FILE")]
    pub source: PathBuf,

    /// The file to write, which appears when it is complete; no trace is ever overwritten
    #[arg(short, long, value_name = "PATH")]
    pub output: PathBuf,
}

/// Writes the file.
pub fn run(options: &Options, messages: Messages) -> Result<ExitCode> {
    let path = match target::pid(&options.source) {
        Some(pid) => target::trace_of(pid)?,
        None => options.source.clone(),
    };
    ensure!(
        !path.exists() || path.is_file(),
        "{}: it is no file; mallook snapshot takes the file that a process writes, or its ID",
        Shown(&path)
    );
    let traces = Trace::open_all(&path)?;
    let [trace] = &traces[..] else {
        bail!(
            "{}: {} traces in one file, which no process writes; copy it as any other file",
            Shown(&path),
            Grouped(traces.len() as u64)
        );
    };
    let mut target = open_file("--output", &options.output, std::slice::from_ref(&path))?;
    let refuse = || format!("cannot write {}", Shown(&options.output));
    let taken = target.fill(|file| snapshot(trace, file)).with_context(refuse)?;
    target.finish()?;
    let start_ns = trace.header().realtime_ns;
    let when = match taken.until_ns {
        Some(until_ns) => {
            let after = units::span(until_ns.saturating_sub(start_ns));
            format!("process {} as it was {after} after the start of its trace", trace.pid())
        }
        None => format!("process {}, which has ended", trace.pid()),
    };
    let events = Grouped(taken.moments);
    writeln!(io::stdout(), "{}: {when}, {events} moments", Shown(&options.output))?;
    let copy = [Trace::open(&options.output)?];
    input::report_missing(&copy, messages);
    Ok(input::report_damage(&traces, messages))
}
