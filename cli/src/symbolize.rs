//! `mallook symbolize`: writes the names of functions into a file that travels with the trace.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use mallook_format::Stacks as Mode;
use mallook_reader::symbol::NamesWriter;
use mallook_reader::{Grouped, Shown, Stacks, Trace};
use tempfile::NamedTempFile;

use crate::input::{self, Opened};
use crate::messages::Messages;
use crate::selection;
use crate::stacks::{self, Nameless, Names};

const HELP: &str = "\
Examples:
  mallook symbolize mallook.out.*                      mallook.out.PID.EPOCH.COUNTER.names for each
  mallook symbolize --debug-dir symbols mallook.out.4711.1700000000.0

The file has the functions, files and lines of all call stacks of the trace. Where it lies beside the \
trace, mallook dump --stacks uses it, also on a machine that has neither the programs nor their debug \
information.

Exit codes:
  0  the files were written
  1  a trace is damaged and was read in part, or a file is no trace, see stderr
  2  wrong usage, no trace at all, or a file that could not be written";

/// Options of `mallook symbolize`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct Options {
    /// The traces.
    #[command(flatten)]
    pub traces: selection::Traces,

    /// One file for all traces, instead of one beside each
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,

    /// Where names come from.
    #[command(flatten)]
    pub names: Names,
}

/// Writes the files; the exit code says whether all could be read.
pub fn run(options: &Options, messages: Messages) -> Result<ExitCode> {
    let Opened { traces, unreadable } = options.traces.open(messages)?;
    let mut nameless = Nameless::default();
    match &options.output {
        Some(path) => write(path, &traces, options, &mut nameless, messages)?,
        None => {
            // A file may hold several traces.
            for of_file in traces.chunk_by(|one, next| one.path() == next.path()) {
                let file = of_file.first().map_or(Path::new("-"), Trace::path);
                ensure!(
                    file != Path::new("-"),
                    "the names of a trace from the standard input need a file: --output PATH"
                );
                let path = stacks::beside(file);
                write(&path, of_file, options, &mut nameless, messages)?;
            }
        }
    }
    nameless.say(messages);
    let code = input::report_damage(&traces, messages);
    Ok(if unreadable == 0 { code } else { ExitCode::from(input::UNSOUND) })
}

/// Writes the names of traces into a file, which appears when it is complete.
fn write(
    path: &Path,
    traces: &[Trace],
    options: &Options,
    nameless: &mut Nameless,
    messages: Messages,
) -> Result<()> {
    let stacks = stacks::of(traces, messages);
    if traces.iter().all(|trace| trace.stacks() == Ok(Mode::Off)) {
        return Ok(());
    }
    let refuse = || format!("cannot write {}", Shown(path));
    ensure!(
        !path.exists() || stacks::is_names(path),
        "{} is no file of names, which alone are replaced",
        Shown(path)
    );
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut file =
        NamedTempFile::new_in(directory.unwrap_or(Path::new("."))).with_context(refuse)?;
    let about = traces.iter().filter_map(|trace| trace.path().file_name());
    let about: Vec<_> = about.map(|name| name.to_string_lossy()).collect();
    let (modules, named, all) =
        names(&mut file, &about.join(" "), &stacks, options, nameless).with_context(refuse)?;
    file.persist(path).with_context(refuse)?;
    let mut output = io::stdout().lock();
    writeln!(
        output,
        "{}: {} of {} call sites in {} modules have names",
        Shown(path),
        Grouped(named),
        Grouped(all),
        Grouped(modules)
    )?;
    Ok(())
}

/// Number of modules, of call sites with names, and of all.
fn names(
    file: &mut NamedTempFile<File>,
    about: &str,
    stacks: &[Stacks],
    options: &Options,
    nameless: &mut Nameless,
) -> io::Result<(u64, u64, u64)> {
    let mut writer = NamesWriter::new(BufWriter::new(file), about)?;
    let symbolizer = options.names.symbolizer();
    let (mut written, mut counts) = (Ok(()), (0, 0, 0));
    Stacks::symbolize(stacks, &symbolizer, &[], |found| {
        nameless.add(&found);
        let named = found.names.resolved.iter().filter(|place| !place.frames.is_empty()).count();
        counts.0 += u64::from(found.module.is_some());
        counts.1 += named as u64;
        counts.2 += found.addresses.len() as u64;
        if written.is_ok() {
            written = match &found.module {
                Some(module) => writer.module(module, &found.addresses, &found.names),
                None => writer.jit(&found.process, &found.addresses, &found.names),
            };
        }
    });
    written?;
    writer.finish()?;
    Ok(counts)
}
