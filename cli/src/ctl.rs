//! `mallook ctl`: pauses the recording of running processes, goes on, puts marks into their traces, and
//! says how they are.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use mallook_reader::{Follow, Liveness, Shown, Summary, Trace, escape};
use serde::Serialize;

use crate::control::file;
use crate::control::words::{self, Words, monotonic_ns};
use crate::escape::pretty_json;
use crate::input::UNSOUND;
use crate::messages::Messages;
use crate::table::Table;
use crate::{target, units};

/// How long processes that allocate take to notice, and a process that starts to have a trace.
const NOTICE: Duration = Duration::from_millis(20);

const HELP: &str = "\
A target is the PID of a process, which stands for its descendants, too; a trace; or the prefix of \
traces. Of a prefix, programs that start later do as was said last: PREFIX.control tells them.

Examples:
  mallook ctl pause 4711             record nothing more of process 4711 and its descendants
  mallook ctl resume 4711
  mallook ctl status mallook.out     every process with this prefix
  mallook ctl mark 4711 'deploy 17'  a moment with a name, which charts and events show

A thread that allocates notices within 10 ms, another one when it allocates next. What happens in a \
pause is not in the trace, and is no loss.

Exit codes:
  0  done
  1  not for all: a process has ended, or may not be controlled, see stderr
  2  wrong usage, or nothing was found to control";

/// Options of `mallook ctl`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct Options {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Action {
    /// Record nothing more
    Pause(Targets),
    /// Go on recording
    Resume(Targets),
    /// Say which processes record, and what they have recorded
    Status(Status),
    /// Put a moment with a name into the traces
    Mark(Mark),
}

/// Processes.
#[derive(Args, Clone, Debug)]
pub struct Targets {
    /// PID, trace, or prefix of traces
    #[arg(required = true, value_name = "TARGET")]
    pub targets: Vec<OsString>,
}

/// Options of `mallook ctl status`.
#[derive(Args, Clone, Debug)]
pub struct Status {
    /// The processes.
    #[command(flatten)]
    pub targets: Targets,

    /// Print JSON, as docs/ctl-status.schema.json describes it
    #[arg(long)]
    pub json: bool,
}

/// Options of `mallook ctl mark`.
#[derive(Args, Clone, Debug)]
pub struct Mark {
    /// PID, trace, or prefix of traces
    pub target: OsString,

    /// The name: 112 bytes at the most
    pub text: OsString,
}

/// Does it.
pub fn run(options: &Options, messages: Messages) -> Result<ExitCode> {
    match &options.action {
        Action::Pause(targets) => set_pause(targets, true, messages),
        Action::Resume(targets) => set_pause(targets, false, messages),
        Action::Status(status) => say_status(status, messages),
        Action::Mark(mark) => put_mark(mark, messages),
    }
}

/// The meaning of a target.
enum Target {
    /// A process and its descendants.
    Process(u32),
    File(PathBuf),
    Prefix(PathBuf),
}

impl Target {
    fn of(word: &OsString) -> Result<Target> {
        let path = Path::new(word);
        if path.is_file() {
            return Ok(Target::File(path.to_owned()));
        }
        if let Some(pid) = target::pid(path) {
            return Ok(Target::Process(pid));
        }
        match Follow::with_this_prefix(path).is_empty() {
            true => bail!("{}: no process, no trace, and no prefix of traces", Shown(path)),
            false => Ok(Target::Prefix(path.to_owned())),
        }
    }

    fn prefix(&self) -> Option<&Path> {
        if let Target::Prefix(prefix) = self { Some(prefix) } else { None }
    }

    /// The traces that it stands for now.
    fn traces(&self) -> Result<Vec<PathBuf>> {
        match self {
            Target::Process(pid) => {
                let mut found = target::traces_of(*pid)?;
                // Of those that end meanwhile nothing is left to be done.
                let others = target::descendants_of(*pid).into_iter();
                found.extend(others.filter_map(|pid| target::traces_of(pid).ok()).flatten());
                match found.is_empty() {
                    true => bail!("process {pid} is not recorded, nor are its descendants"),
                    false => Ok(found),
                }
            }
            Target::File(path) => Ok(vec![path.clone()]),
            Target::Prefix(prefix) => Ok(Follow::with_this_prefix(prefix)),
        }
    }
}

/// The traces of running processes, and whether all targets were of use.
struct Running {
    traces: BTreeSet<PathBuf>,
    all: bool,
}

/// The traces of targets whose processes run. Says what is wrong with the others.
fn running(targets: &[Target], messages: Messages) -> Running {
    let mut running = Running { traces: BTreeSet::new(), all: true };
    for target in targets {
        let traces = match target.traces() {
            Ok(traces) => traces,
            Err(error) => {
                messages.say(format_args!("{error:#}"));
                running.all = false;
                continue;
            }
        };
        for path in traces {
            let state = Trace::open(&path).map(|trace| (trace.liveness(), trace.pid()));
            match (state, target) {
                (Ok((Liveness::Gone, pid)), Target::File(_)) => {
                    messages.say(format_args!("{}: process {pid} has ended", Shown(&path)));
                    running.all = false;
                }
                (Ok((Liveness::Gone, _)), _) => {}
                (Ok(_), _) => _ = running.traces.insert(path),
                (Err(error), _) => {
                    messages.say(format_args!("{error:#}"));
                    running.all = false;
                }
            }
        }
    }
    running
}

fn targets(words: &[OsString]) -> Result<Vec<Target>> {
    words.iter().map(Target::of).collect()
}

fn set_pause(given: &Targets, pause: bool, messages: Messages) -> Result<ExitCode> {
    let targets = targets(&given.targets)?;
    let prefixes = || targets.iter().filter_map(Target::prefix);
    prefixes().try_for_each(|prefix| file::write(prefix, pause))?;
    let has_file = prefixes().next().is_some();
    let (mut done, mut all) = (BTreeSet::new(), true);
    // A process that was just starting has its trace after a moment.
    for last in [false, true] {
        if last {
            // For one that has seen the file, and its parent before that was told; unless others have said
            // something else since, or removed it.
            let says_so =
                |prefix: &&Path| matches!(file::said(prefix), Ok(Some(said)) if said == pause);
            prefixes().filter(says_so).for_each(|prefix| _ = file::write(prefix, pause));
        }
        let found = running(&targets, if last { Messages::silent() } else { messages });
        all &= found.all || last;
        words::set_pause(found.traces, pause, &mut done, |error| {
            if !last {
                messages.say(format_args!("{error:#}"));
                all = false;
            }
        });
        if !last {
            std::thread::sleep(NOTICE);
        }
    }
    if done.is_empty() && !has_file {
        bail!("no process to {}", if pause { "pause" } else { "resume" });
    }
    let is_late = |path: &&PathBuf| {
        Trace::open(path).is_ok_and(|trace| trace.paused_since().is_some() != pause)
    };
    let late = done.iter().filter(is_late).count();
    let (word, later) = if pause { ("paused", "pauses") } else { ("recording", "records") };
    let processes = plural(done.len(), "process", "processes");
    let at_next = match late {
        0 => String::new(),
        late => format!(", {late} of them when they allocate next"),
    };
    let starting = if has_file { format!("; what starts {later}") } else { String::new() };
    writeln!(io::stdout(), "{word}: {processes}{at_next}{starting}")?;
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(UNSOUND) })
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn put_mark(mark: &Mark, messages: Messages) -> Result<ExitCode> {
    let now = monotonic_ns();
    let target = [Target::of(&mark.target)?];
    let Running { traces, mut all } = running(&target, messages);
    let mut done = 0;
    for path in &traces {
        let put = Words::open(path).and_then(|words| words.mark(now, mark.text.as_bytes()));
        match put.with_context(|| Shown(path).to_string()) {
            Ok(()) => done += 1,
            Err(error) => {
                messages.say(format_args!("{error:#}"));
                all = false;
            }
        }
    }
    if done == 0 {
        bail!("no trace has the mark");
    }
    writeln!(io::stdout(), "marked: {}", plural(done, "trace", "traces"))?;
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(UNSOUND) })
}

/// How a process is.
#[derive(Serialize)]
struct State {
    trace: String,
    pid: u32,
    program: String,
    /// Whether it runs: `running`, `ended`, or `unknown`.
    process: &'static str,
    /// Its recording: `recording`, `paused`, `pausing` or `resuming` (when it allocates next), `stopped`.
    recording: &'static str,
    /// Unix time in nanoseconds since which it pauses.
    paused_since_ns: Option<u64>,
    pauses: u64,
    marks: usize,
    mode: &'static str,
    /// Call moments in the trace.
    events: u64,
    overwritten: u64,
    lost: u64,
    /// Blocks of the file that were opened.
    blocks: u64,
}

impl State {
    fn of(trace: &Trace) -> State {
        let summary = Summary::of(trace);
        let header = trace.header();
        let since = trace.paused_since();
        let process = match trace.liveness() {
            Liveness::Running => "running",
            Liveness::Gone => "ended",
            Liveness::Unknown => "unknown",
        };
        let recording = match (since, trace.is_pause_wanted()) {
            _ if trace.stopped().is_some() => "stopped",
            (Some(_), true) => "paused",
            (Some(_), false) if process == "ended" => "paused",
            (Some(_), false) => "resuming",
            (None, true) if process != "ended" => "pausing",
            (None, _) => "recording",
        };
        State {
            trace: trace.path().to_string_lossy().into_owned(),
            pid: trace.pid(),
            program: String::from_utf8_lossy(header.executable()).into_owned(),
            process,
            recording,
            paused_since_ns: since,
            pauses: trace.pauses(),
            marks: trace.marks().len(),
            mode: if trace.ring_blocks().is_some() { "ring" } else { "full" },
            events: summary.present,
            overwritten: summary.overwritten,
            lost: summary.all_lost(),
            blocks: trace.claimed(),
        }
    }
}

fn say_status(status: &Status, messages: Messages) -> Result<ExitCode> {
    let (mut states, mut all) = (Vec::new(), true);
    for target in targets(&status.targets.targets)? {
        let traces = match target.traces() {
            Ok(traces) => traces,
            Err(error) => {
                messages.say(format_args!("{error:#}"));
                all = false;
                continue;
            }
        };
        for path in traces {
            match Trace::open(&path) {
                Ok(trace) => states.push(State::of(&trace)),
                Err(error) => {
                    messages.say(format_args!("{error:#}"));
                    all = false;
                }
            }
        }
    }
    if states.is_empty() {
        bail!("nothing to say the state of");
    }
    let mut out = io::stdout().lock();
    match status.json {
        true => {
            let json = pretty_json(&states)?;
            writeln!(out, "{json}")?;
        }
        false => {
            let heads =
                ["program", "pid", "process", "recording", "events", "blocks", "mode", "lost"];
            let mut table = Table::of_names(&heads);
            for state in &states {
                table.add([
                    escape(&state.program).into_owned(),
                    state.pid.to_string(),
                    state.process.to_owned(),
                    described(state),
                    units::count(state.events),
                    units::count(state.blocks),
                    state.mode.to_owned(),
                    units::count(state.lost),
                ]);
            }
            for line in table.lines(usize::MAX) {
                writeln!(out, "{}", line.strip_prefix("  ").unwrap_or(&line))?;
            }
        }
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(UNSOUND) })
}

fn described(state: &State) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_nanos() as u64);
    match (state.recording, state.paused_since_ns) {
        ("paused", Some(since)) if state.process != "ended" => {
            format!("paused for {}", units::span(now.saturating_sub(since)))
        }
        (word, _) => word.to_owned(),
    }
}
