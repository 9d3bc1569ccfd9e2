//! `mallook follow`: prints the events of a running process as they come.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result, ensure};
use clap::Args;
use mallook_reader::export::{Exporter, Format, StackExporter, TextBuffer};
use mallook_reader::{Event, Follow, FollowStatus, News, Shown, SiteNames, Stacks, Trace};

use crate::messages::Messages;
use crate::stacks::Naming;
use crate::{input, print, stacks, target, unpack};

/// Output is written in pieces of this size, while there is more.
const PIECE: usize = 1 << 16;

const HELP: &str = "\
Examples:
  mallook follow --min-size 1M mallook.out.4711.1700000000.0
  mallook follow mallook.out                     every trace with this prefix, also those to come
  mallook follow --stacks mallook.out            with the call stack below each event

A process that calls exec goes on in another trace, which is followed, too.

Times are since the start of the first trace (\"1.5\", \"1.5s\", \"200ms\", \"10us\", \"7ns\"), \
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

    /// Print the call stack of each event that has one: below it (text), or in it (jsonl)
    #[arg(long)]
    pub stacks: bool,

    /// The names of their frames.
    #[command(flatten)]
    pub naming: Naming,
}

/// Prints events until the processes end, or nobody reads them any more.
pub fn run(options: &Options, messages: Messages) -> Result<ExitCode> {
    let print = &options.print;
    let (prefixes, files) = partition(&options.files);
    let mut named = files.iter().filter(|(_, is_of_prefix)| !is_of_prefix);
    named.try_for_each(|(path, _)| unpack::refuse_to_follow(path))?;
    let (mut follow, traces) = target::follow(&files)?;
    let files: Vec<_> = traces.iter().map(|trace| trace.path().to_owned()).collect();
    for prefix in &prefixes {
        follow = follow.with_prefix(prefix);
    }
    let (mut exporter, format) = print.exporter(&traces)?;
    let mut stacked = match options.stacks {
        true => {
            follow = follow.with_stacks();
            // What is to be said of these traces is said once.
            drop(stacks::of(&traces, messages));
            Some(Stacked::of(format, &options.naming)?)
        }
        false => None,
    };
    let mut output = print.output.open_live(&files)?;
    let filter = print.events.filter(&traces);
    let mut piece = TextBuffer::new();
    exporter.begin(&mut piece);
    let mut written = Ok(());
    loop {
        let status = follow.step(|news| {
            let event = match news {
                News::Event(event) => event,
                News::Mark(mark, event) => {
                    exporter.learn(event.trace, mark);
                    event
                }
                News::Pause | News::Ended(_) => return true,
                News::Joined(trace) => {
                    messages.say(format_args!("{}: followed, too", Shown(trace.path())));
                    return true;
                }
                News::Gone(trace) => {
                    messages.say(format_args!(
                        "{}: removed or replaced: what process {} has written since cannot be read",
                        Shown(trace.path()),
                        trace.pid()
                    ));
                    return true;
                }
                News::Unknown(trace) => {
                    messages.say(format_args!(
                        "{}: whether process {} still runs cannot be told; followed until nothing \
                         comes for ten seconds",
                        Shown(trace.path()),
                        trace.pid()
                    ));
                    return true;
                }
            };
            if filter.wants(event) {
                match &mut stacked {
                    Some(stacked) => stacked.events.push(*event),
                    None => exporter.event(event, &mut piece),
                }
            }
            if piece.len() >= PIECE {
                written = output.write_all(piece.text());
                piece.clear();
            }
            written.is_ok() && !filter.is_past(event.time_ns)
        });
        if let Some(stacked) = &mut stacked {
            exporter = stacked.print(&follow, exporter, &mut piece);
        }
        if written.is_ok() && (status != FollowStatus::More || piece.len() >= PIECE) {
            written = output.write_all(piece.text()).and_then(|()| output.flush());
            piece.clear();
        }
        match status {
            _ if written.is_err() => break,
            FollowStatus::More => {}
            FollowStatus::Wait => thread::sleep(Follow::INTERVAL),
            FollowStatus::Over | FollowStatus::Enough => break,
        }
    }
    written.context("cannot write the output")?;
    let traces = follow.into_traces();
    input::report_missing(&traces, messages);
    Ok(input::report_damage(&traces, messages))
}

/// Events that wait to be printed with their call stacks, which are read from the files as these are
/// then.
struct Stacked {
    format: Format,
    naming: Naming,
    events: Vec<Event>,
    /// The names that were found, of each trace.
    names: Vec<SiteNames>,
}

impl Stacked {
    fn of(format: Format, naming: &Naming) -> Result<Stacked> {
        ensure!(
            matches!(format, Format::Text | Format::Jsonl),
            "--stacks: the stacks of csv are a table of their own, which mallook dump writes; text \
             and jsonl have them in place"
        );
        Ok(Stacked { format, naming: naming.clone(), events: Vec::new(), names: Vec::new() })
    }

    /// Prints the events that wait.
    fn print(&mut self, follow: &Follow, exporter: Exporter, out: &mut TextBuffer) -> Exporter {
        if self.events.is_empty() {
            return exporter;
        }
        // A trace that cannot be opened again is read as it was opened before.
        let opened: Vec<_> = follow.traces().map(|trace| Trace::open(trace.path()).ok()).collect();
        let traces: Vec<&Trace> =
            follow.traces().zip(&opened).map(|(old, new)| new.as_ref().unwrap_or(old)).collect();
        self.names.resize_with(traces.len(), SiteNames::default);
        let stacks: Vec<_> = (0..)
            .zip(&traces)
            .zip(std::mem::take(&mut self.names))
            .map(|((position, trace), names)| {
                let trie = follow.trie(position).cloned().unwrap_or_default();
                let of_trace = |event: &&Event| event.trace as usize == position;
                let wanted = self.events.iter().filter(of_trace).filter_map(|event| event.stack);
                Stacks::of_trie(trace, trie).with_names(names).naming_only(wanted)
            })
            .collect();
        self.naming.name_quietly(&stacks);
        let mut with_stacks = StackExporter::new(exporter, self.format, &stacks);
        for event in self.events.drain(..) {
            with_stacks.event(&event, out);
        }
        let exporter = with_stacks.into_exporter();
        self.names = stacks.into_iter().map(Stacks::into_names).collect();
        exporter
    }
}

/// Prefixes, and files, each with whether it is one that a prefix has so far.
fn partition(paths: &[PathBuf]) -> (Vec<PathBuf>, Vec<(PathBuf, bool)>) {
    let (mut prefixes, mut files) = (Vec::new(), Vec::new());
    for path in paths {
        let found = if path.exists() { Vec::new() } else { Follow::with_this_prefix(path) };
        match found.is_empty() {
            true => files.push((path.clone(), false)),
            false => {
                prefixes.push(path.clone());
                files.extend(found.into_iter().map(|path| (path, true)));
            }
        }
    }
    (prefixes, files)
}
