//! `mallook top`: what the memory of running processes does, as it happens.
//!
//! The law of the modules: each uses only modules of the rows above it and to its left in its row.
//!
//! ```text
//! model names    figures of what was read; names of places, found beside the reading
//! rows data      rows of the tables; the state of now
//! live view      reads traces, and those that come; the view that a person has chosen
//! screen         lines of figures, rows of numbers
//! text draw      the state as text; on a terminal
//! terminal       keys, signals, and the terminal given back
//! ```

mod data;
mod draw;
mod live;
mod model;
mod names;
mod rows;
mod screen;
mod terminal;
mod text;
mod view;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use mallook_reader::escape_json;

use crate::fit;
use crate::messages::Messages;
use crate::paint::Paint;
use crate::stacks::Naming;
use crate::value;

use live::{INTERVAL, Live};

/// The width of text that goes to no terminal.
const WIDTH: usize = 100;

const HELP: &str = "\
Examples:
  mallook top 4711                       process 4711 and its descendants
  mallook top mallook.out                every process of a run, also those to come
  mallook top --once 4711                one screen as text
  mallook top --json --once 4711 | jq .live_bytes
  mallook top --json --for 10s --interval 1s 4711      a line of JSON a second

Keys: Tab or 1 to 4 the tables of places, sizes, threads and processes; < > the column that rows are \
ordered by, r the other way round; / search; p pause; + - the interval; ? help; q leave.

The trace is read from its start, which takes about a second for some millions of events, and then as it \
grows: the process is neither stopped nor told. Leave and come back as you like. Rates are those of the \
last one or two intervals. A place is a function, where call stacks are recorded (mallook run --stacks), \
or a size of a thread. What a ring overwrote before it was read is said and counted.

Exit codes:
  0  all that was there was read
  1  a trace is damaged
  2  wrong usage, no such process, or a file that is no trace";

/// Options of `mallook top`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct Options {
    /// The processes, by their IDs; the files that they write, or their prefix
    #[arg(required = true, value_name = "PID|FILE|PREFIX")]
    pub sources: Vec<PathBuf>,

    /// Print the state once, as text or JSON, when all that is there was read
    #[arg(long)]
    pub once: bool,

    /// Print the state as JSON, as docs/top.schema.json describes it, a line each interval
    #[arg(long)]
    pub json: bool,

    /// Time between two states, and what rates are counted over ("500ms", "2s")
    #[arg(long, value_name = "TIME", value_parser = value::span, default_value = "1s")]
    pub interval: Duration,

    /// Leave after this time
    #[arg(long = "for", value_name = "TIME", value_parser = value::span)]
    pub duration: Option<Duration>,

    /// Rows of a table of --once at the most
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub rows: usize,

    /// Where names come from.
    #[command(flatten)]
    pub naming: Naming,
}

/// Shows the state until that is enough.
pub fn run(options: &Options, messages: Messages) -> Result<ExitCode> {
    ensure!(!options.interval.is_zero(), "--interval: it is to be longer than that");
    let is_screen = !options.once && !options.json;
    ensure!(
        !is_screen || terminal::is_there(),
        "no terminal: --once prints the state as text, --json as data"
    );
    let until = options.duration.map(|duration| Instant::now() + duration);
    let mut live = Live::open(&options.sources, &options.naming, options.interval)?;
    match is_screen {
        true => terminal::show(&mut live, options.interval, until)?,
        false => print(&mut live, options, until)?,
    }
    Ok(live.report(messages))
}

/// Prints the state once, or each interval.
fn print(live: &mut Live, options: &Options, until: Option<Instant>) -> Result<()> {
    let is_time = || until.is_none_or(|until| Instant::now() < until);
    live.catch_up(is_time);
    loop {
        put(live, options)?;
        let next = Instant::now() + options.interval;
        if options.once || live.is_over() || !is_time() {
            return Ok(());
        }
        while Instant::now() < next && is_time() {
            if live.step() != mallook_reader::FollowStatus::More {
                std::thread::sleep(INTERVAL.min(next.saturating_duration_since(Instant::now())));
            }
        }
    }
}

fn put(live: &mut Live, options: &Options) -> Result<()> {
    let now = live.now_with_names();
    let mut output = io::stdout().lock();
    let text = match options.json {
        true => escape_json(&serde_json::to_string(&now)?).into_owned() + "\n",
        false => {
            let width = fit::columns(io::stdout()).unwrap_or(WIDTH);
            text::text(&now, options.rows, width, Paint::on_stdout())
        }
    };
    output.write_all(text.as_bytes()).context("cannot write the output")?;
    output.flush().context("cannot write the output")
}
