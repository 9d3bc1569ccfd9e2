//! `mallook check`: replays traces and prints what is impossible in them.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use mallook_reader::export::{Exporter, Format, TextBuffer};
use mallook_reader::{Check, Shown, Summary, Trace, Violation};

use crate::messages::Messages;
use crate::output::Output;
use crate::units::{count, counted};
use crate::{input, reading, selection};

/// Impossible events of a trace that are printed.
const MOST_VIOLATIONS: u64 = 20;

const HELP: &str = "\
Example:
  mallook check mallook.out.*

Impossible is memory that is given out while it lives, or released twice. A trace that lacks \
events, or has the coarse clock, proves nothing.

Exit codes:
  0  all was read, and nothing is impossible
  1  something is impossible, a trace is damaged and was read in part, or a file is no trace,
     see stderr
  2  wrong usage, or no trace at all";

/// Options of `mallook check`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct Options {
    /// The traces.
    #[command(flatten)]
    pub traces: selection::Traces,

    /// Where to.
    #[command(flatten)]
    pub output: Output,
}

/// Replays the traces; the exit code says whether they were read and are possible.
pub fn run(options: &Options, messages: Messages) -> Result<ExitCode> {
    let mut sound = true;
    let code = reading::read(&options.traces, &options.output, messages, |traces, output| {
        for trace in traces {
            sound &= replay(trace, output).context("cannot write the output")?;
        }
        Ok(())
    })?;
    Ok(if sound { code } else { ExitCode::from(input::UNSOUND) })
}

/// Whether nothing impossible was found.
fn replay(trace: &Trace, output: &mut dyn Write) -> std::io::Result<bool> {
    let mut exporter = Exporter::new(Format::Text, std::slice::from_ref(trace));
    let summary = Summary::of(trace);
    let lost = summary.all_lost();
    let mut lines = TextBuffer::new();
    let mut printed = 0;
    let check = Check::of(trace, |violation, event| {
        printed += 1;
        if printed <= MOST_VIOLATIONS {
            let text: &[u8] = match violation {
                Violation::BornAlive => b"  given out while alive: ",
                Violation::DoubleDeath => b"  released while dead: ",
            };
            lines.put(text);
            exporter.event(event, &mut lines);
        }
    });
    let found = check.violations;
    let complete = summary.overwritten == 0 && lost == 0;
    let verdict = match (found, complete) {
        (0, _) => "nothing impossible",
        (_, false) => "not conclusive, since events are missing",
        _ if trace.is_coarse() => "not conclusive, since the clock was coarse",
        _ => "IMPOSSIBLE",
    };
    writeln!(
        output,
        "{}{}: {verdict}: {} in {}; {} alive at the end, {} of memory from elsewhere; {} present, \
         {} overwritten, {} lost",
        Shown(trace.path()),
        if trace.cut().is_some() { " (a cut)" } else { "" },
        counted(found, "impossible event"),
        counted(check.calls, "call"),
        counted(check.alive(), "block"),
        counted(check.unknown_frees, "release"),
        counted(summary.present, "moment"),
        count(summary.overwritten),
        count(lost),
    )?;
    if check.unseen_deaths() != 0 {
        let unseen = counted(check.unseen_deaths(), "block");
        writeln!(output, "  {unseen} died in pauses of the recording: their addresses came again")?;
    }
    output.write_all(lines.text())?;
    Ok(found == 0 || !complete || trace.is_coarse())
}
