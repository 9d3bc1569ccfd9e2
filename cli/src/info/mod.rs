//! `mallook info`: says what traces are.
//!
//! The law of the modules: each uses only modules of the rows above it and to its left in its row.
//!
//! ```text
//! table  a row a process
//! ```

mod table;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result};
use clap::Args;
use mallook_reader::{Summary, Trace};

use crate::escape::escape_json;
use crate::info::table::Table;
use crate::messages::Messages;
use crate::output::Output;
use crate::{fit, reading, selection};

const HELP: &str = "\
Examples:
  mallook info mallook.out.4711.1700000000.0     all that is known of a trace
  mallook info mallook.out.*                     a row a trace, and a total
  mallook info --exe cc1 mallook.out.*           those of one executable
  mallook info --json mallook.out.*              an array, with an object a trace

Columns:
  program      the executable
  pid          the process; one that calls exec has a trace for each executable
  events       calls in the file; a reallocation counts twice, as a release and an allocation
  bytes        sum of the sizes that were asked for
  file         size of the trace
  lost         calls that could not be recorded
  overwritten  calls that newer ones have overwritten, in a ring
  covers       time from the first to the last event that is in the file
  ended        exited; by exec; cut off (no end is recorded: it was killed, or left by a bare
               system call, or the file is an early copy); running; unknown (cannot be told)

Exit codes:
  0  all was read
  1  a trace is damaged and was read in part, or a file is no trace, see stderr
  2  wrong usage, or no trace at all";

const JSON: &str = "\
JSON keys:
  trace                       position of the object, as in csv and jsonl of the same traces
  file, version               path of the trace; version of the format
  executable, arguments       path of the program; its arguments, if they were recorded
  hostname, pid, parent_pid   where it ran
  forked                      it was forked from its parent and has not called exec
  other_malloc                its malloc is another one: what that did not pass on is missing
  unloaded                    it or a child started a program without LD_PRELOAD, unrecorded
  cut                         null, or the time range of a cut, \"since_ns\" and \"until_ns\"; or null
  start_ns, end_ns            start of the recording and last event, in Unix nanoseconds
  first_event_ns              first event that is in the file, or null
  last_event_ns               last event that is in the file, or null
  ending, exit_code           clean, exec, abrupt, running or unknown; or null
  mode, clock                 as MALLOOK_MODE and MALLOOK_CLOCK; a number if unknown
  ring_blocks, max_blocks     size of a ring; bound of a growing file, 0 for none
  file_size                   in bytes
  blocks_used, blocks_claimed blocks of events; those that were handed out
  clock_set_back              how often the clock was set back
  requested_bytes, failed     sum of the sizes asked for; allocations that returned NULL
  impossible_requests         requests of more than PTRDIFF_MAX bytes, which are in no sum
  unseen_releases             releases of memory whose allocation is not in the file, at least
  unseen_releases_exact       false if there may be more of these
  present, overwritten        calls in the file; those that newer ones have overwritten
  lost, stopped               calls that were not recorded, by cause; why recording stopped, or null
  pauses, paused_since_ns     pauses of the recording; since when it pauses, or null
  marks                       moments that were named: Unix time in nanoseconds, and the text
  kinds                       calls and markers in the file, by kind
  threads                     tid, name and events of each thread
  further_threads             number of threads beyond 65,536, and their events
  further_events
  stacks                      null, or of the call stacks: how they were \"taken\" (as MALLOOK_STACK);
                              allocations \"with\" and \"without\"; \"releases_with\"; events whose
                              stack is \"complete\" or \"cut\"; the \"ends\" of others: \"kind\" of the
                              outermost frame, \"module\", number of \"events\"";

/// Options of `mallook info`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP, after_long_help = format!("{HELP}\n\n{JSON}"))]
pub struct Options {
    /// The traces.
    #[command(flatten)]
    pub traces: selection::Traces,

    /// Print JSON, as docs/info.schema.json describes it: an array with an object a trace, also of a
    /// single one
    #[arg(long)]
    pub json: bool,

    /// Where to.
    #[command(flatten)]
    pub output: Output,
}

/// Sums the traces up; the exit code says whether all could be read.
pub fn run(options: &Options, messages: Messages) -> Result<ExitCode> {
    print(options, messages, |traces, output| match traces {
        _ if options.json => json(traces, output),
        [trace] => write!(output, "{}", summary(trace)),
        _ => {
            let table: Table = traces.iter().map(summary).collect();
            output.write_all(table.text(width(&options.output)).as_bytes())
        }
    })
}

/// The same as `mallook-dump` prints it: one summary after the other.
pub fn each(options: &Options, messages: Messages) -> Result<ExitCode> {
    print(options, messages, |traces, output| {
        for (position, trace) in traces.iter().enumerate() {
            let blank = if position == 0 { "" } else { "\n" };
            write!(output, "{blank}{}", summary(trace))?;
        }
        Ok(())
    })
}

fn print(
    options: &Options,
    messages: Messages,
    text: impl FnOnce(&[Trace], &mut dyn Write) -> io::Result<()>,
) -> Result<ExitCode> {
    reading::read(&options.traces, &options.output, messages, |traces, output| {
        text(traces, output).context("cannot write the output")
    })
}

fn summary(trace: &Trace) -> Summary {
    Summary::on_threads(trace, thread::available_parallelism().map_or(1, usize::from))
}

fn json(traces: &[Trace], output: &mut dyn Write) -> io::Result<()> {
    for (position, trace) in traces.iter().enumerate() {
        let object = serde_json::to_string(&summary(trace))?;
        let before = if position == 0 { "[\n" } else { ",\n" };
        // The number by which rows of events name the trace comes first.
        let fields = object.strip_prefix('{').unwrap_or_default();
        write!(output, "{before}{{\"trace\":{position},{}", escape_json(fields))?;
    }
    output.write_all(b"\n]\n")
}

/// The width of the terminal, if that is where the output goes.
fn width(output: &Output) -> Option<usize> {
    let on_terminal = output.path.is_none() && io::stdout().is_terminal();
    on_terminal.then(|| fit::columns(io::stdout())).flatten()
}
