//! `mallook follow`: prints the events of a running process as they come.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use mallook_reader::export::TextBuffer;
use mallook_reader::{Follow, News, Shown, Trace};

use crate::messages::Messages;
use crate::{input, print, unpack};

/// Output is written in pieces of this size, while there is more.
const PIECE: usize = 1 << 16;

const HELP: &str = "\
Examples:
  mallook follow --min-size 1M mallook.out.4711.1700000000.0
  mallook follow mallook.out                     every trace with this prefix, also those to come

A process that calls exec goes on in another trace, which is followed, too.

Times are since the start of the first trace (\"1.5\", \"1.5s\", \"200ms\", \"10us\", \"7ns\"),
or Unix time when they start with \"@\" (\"@1700000000.25\").

Exit codes:
  0  all processes have ended, and all was read
  1  the trace is damaged and was read in part, see stderr
  2  wrong usage, or a file that is no trace";

/// Options of `mallook follow`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct Options {
    /// The traces that the processes write, or their prefix
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// How and where to.
    #[command(flatten)]
    pub print: print::Options,
}

/// Prints events until the processes end, or nobody reads them any more.
pub fn run(options: &Options, messages: Messages) -> Result<ExitCode> {
    let print = &options.print;
    let (prefixes, files) = partition(&options.files);
    files.iter().try_for_each(|path| unpack::refuse_to_follow(path))?;
    let mut follow = Follow::new(&files)?;
    let traces = files.iter().map(|path| Trace::open(path)).collect::<Result<Vec<_>, _>>()?;
    for prefix in &prefixes {
        follow = follow.with_prefix(prefix);
    }
    let mut output = print.output.open_live(&files)?;
    let filter = print.events.filter(&traces);
    let (mut exporter, _) = print.exporter(&traces)?;
    let mut piece = TextBuffer::new();
    exporter.begin(&mut piece);
    let mut written = Ok(());
    let traces = follow.run(|news| {
        let event = match news {
            News::Event(event) => event,
            News::Pause => {
                written = output.write_all(piece.text()).and_then(|()| output.flush());
                piece.clear();
                return written.is_ok();
            }
            News::Joined(trace) => {
                messages.say(format_args!("{}: followed, too", Shown(trace.path())));
                return true;
            }
            News::Unknown(trace) => {
                messages.say(format_args!(
                    "{}: whether process {} still runs cannot be told; followed until nothing comes \
                     for ten seconds",
                    Shown(trace.path()),
                    trace.pid()
                ));
                return true;
            }
        };
        if filter.wants(event) {
            exporter.event(event, &mut piece);
        }
        if piece.len() >= PIECE {
            written = output.write_all(piece.text());
            piece.clear();
        }
        written.is_ok() && !filter.is_past(event.time_ns)
    })?;
    let written =
        written.and_then(|()| output.write_all(piece.text())).and_then(|()| output.flush());
    written.context("cannot write the output")?;
    input::report_missing(&traces, messages);
    Ok(input::report_damage(&traces, messages))
}

/// Prefixes, with the traces that they have so far, and files.
fn partition(paths: &[PathBuf]) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut prefixes, mut files) = (Vec::new(), Vec::new());
    for path in paths {
        let found = if path.exists() { Vec::new() } else { Follow::with_this_prefix(path) };
        match found.is_empty() {
            true => files.push(path.clone()),
            false => {
                prefixes.push(path.clone());
                files.extend(found);
            }
        }
    }
    (prefixes, files)
}
