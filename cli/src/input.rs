//! The traces that are read.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use mallook_reader::{Error, Missing, Shown, Trace};

use crate::messages::Messages;
use crate::units::counted;
use crate::{stacks, units, unpack};

/// Exit code for a trace that is damaged or cannot be read, or says something impossible.
pub const UNSOUND: u8 = 1;
/// Exit code for wrong usage, or if no trace could be read.
pub const UNUSABLE: u8 = 2;

/// Files that are named if they cannot be read; of more of them, the number.
const MOST_NAMED: u64 = 20;

/// Traces that were opened.
pub struct Opened {
    /// Those that can be read.
    pub traces: Vec<Trace<'static>>,
    /// Files that cannot be read, or are no traces.
    pub unreadable: u64,
}

/// Opens the files that the arguments stand for, and names on stderr those that are no traces. It is
/// an error if none is one.
pub fn open(arguments: &[PathBuf], messages: Messages) -> Result<Opened> {
    let mut opened = Opened { traces: Vec::new(), unreadable: 0 };
    let mut refused = Vec::new();
    let mut refuse = |error: anyhow::Error| {
        opened.unreadable += 1;
        if opened.unreadable <= MOST_NAMED {
            refused.push(error);
        }
    };
    let (mut known, mut repeated) = (HashSet::new(), Vec::new());
    for argument in arguments {
        let files = match stands_for(argument) {
            Ok(files) => files,
            Err(error) => {
                refuse(error);
                continue;
            }
        };
        for file in files {
            if !known.insert(identity(&file)) {
                repeated.push(file);
                continue;
            }
            match unpack::open(&file) {
                Ok(traces) => opened.traces.extend(traces),
                // It lies beside its trace, and patterns of the shell find it.
                Err(_) if stacks::is_names(&file) => {}
                Err(error) => refuse(error.into()),
            }
        }
    }
    match &repeated[..] {
        [] => {}
        [file] => messages.say(format_args!("{}: named twice, read once", Shown(file))),
        [file, more @ ..] => {
            let more = units::others(more.len() as u64);
            messages.say(format_args!("{} and {more}: named twice, read once", Shown(file)));
        }
    }
    if opened.traces.is_empty() && opened.unreadable == 1 {
        bail!(refused.remove(0));
    }
    for error in refused {
        messages.say(format_args!("{error:#}"));
    }
    if opened.unreadable > MOST_NAMED {
        let more = counted(opened.unreadable - MOST_NAMED, "further file");
        messages.say(format_args!("{more} cannot be read"));
    }
    if opened.traces.is_empty() {
        let files = opened.unreadable.max(arguments.len() as u64);
        bail!("no trace among {}", counted(files, "file"));
    }
    Ok(opened)
}

/// The word names traces that are there: a file, a directory, or a prefix. Pipes are not opened, which
/// would wait for their writers.
pub fn names_traces(word: &OsStr) -> bool {
    let path = Path::new(word);
    if path.is_file() {
        return unpack::open(path).is_ok();
    }
    let is_there = |files: Vec<PathBuf>| files.iter().any(|file| file != path);
    (path.is_dir() || !path.exists()) && stands_for(path).is_ok_and(is_there)
}

/// The identity of a file, to find repeated arguments; a link is another file than its target.
fn identity(file: &Path) -> Result<(u64, u64), PathBuf> {
    let found = file.symlink_metadata().map_err(|_| file.to_owned())?;
    Ok((found.dev(), found.ino()))
}

/// The files that an argument stands for: itself, the traces of a directory, or those whose names
/// start with it, as a prefix of `mallook run` does.
fn stands_for(argument: &Path) -> Result<Vec<PathBuf>> {
    if argument == Path::new("-") {
        return Ok(vec![argument.to_owned()]);
    }
    match argument.metadata() {
        Ok(found) if found.is_dir() => {
            let traces = traces_in(argument, &|name| is_trace_name(name))?;
            match traces.is_empty() {
                true => bail!("no traces in the directory {}", Shown(argument)),
                false => Ok(traces),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (directory, stem) = (argument.parent(), argument.file_name());
            let directory = directory.filter(|path| !path.as_os_str().is_empty());
            let (Some(stem), directory) = (stem, directory.unwrap_or(Path::new("."))) else {
                return Ok(vec![argument.to_owned()]);
            };
            let stem = [stem.as_bytes(), b"."].concat();
            let of_prefix =
                |name: &OsStr| name.as_bytes().strip_prefix(&stem[..]).is_some_and(is_identity);
            match traces_in(directory, &of_prefix) {
                Ok(traces) if !traces.is_empty() => Ok(traces),
                // The error says that it is not there.
                _ => Ok(vec![argument.to_owned()]),
            }
        }
        _ => Ok(vec![argument.to_owned()]),
    }
}

/// The files of a directory with such names, by name.
fn traces_in(directory: &Path, wanted: &dyn Fn(&OsStr) -> bool) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).map_err(|source| Error::Io {
        verb: "list",
        path: directory.to_owned(),
        source,
    })?;
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    let names: BTreeSet<_> = names.filter(|name| wanted(name)).collect();
    let here = directory == Path::new(".");
    let path = |name| if here { PathBuf::from(name) } else { directory.join(name) };
    Ok(names.into_iter().map(path).collect())
}

/// A name that `mallook run` gives: anything, PID, time and counter.
fn is_trace_name(name: &OsStr) -> bool {
    let name = without_packing(name.as_bytes());
    let dots: Vec<_> = (0..name.len()).filter(|&place| name[place] == b'.').collect();
    dots.len() >= 3 && is_identity(&name[dots[dots.len() - 3] + 1..])
}

/// PID, time and counter.
fn is_identity(text: &[u8]) -> bool {
    let numbers: Vec<_> = without_packing(text).split(|&byte| byte == b'.').collect();
    let is_number = |text: &&[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    numbers.len() == 3 && numbers.iter().all(is_number)
}

fn without_packing(name: &[u8]) -> &[u8] {
    let packed = [&b".gz"[..], b".zst", b".xz"];
    packed.iter().find_map(|ending| name.strip_suffix(*ending)).unwrap_or(name)
}

/// Says which events are not in the traces.
pub fn report_missing(traces: &[Trace], messages: Messages) {
    let mut incomplete = 0;
    for trace in traces {
        let Some(missing) = Missing::of(trace) else { continue };
        incomplete += 1;
        if incomplete <= MOST_NAMED {
            messages.say(format_args!("{}: {missing}", Shown(trace.path())));
        }
    }
    if incomplete > MOST_NAMED {
        let more = counted(incomplete - MOST_NAMED, "further trace");
        messages.say(format_args!("events are missing from {more}"));
    }
}

/// Says what could not be read.
pub fn report_damage(traces: &[Trace], messages: Messages) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for trace in traces {
        let (damage, more) = trace.damage();
        let path = Shown(trace.path());
        for damage in &damage {
            messages.say(format_args!("{path}: {damage}"));
        }
        if more != 0 {
            messages.say(format_args!("{path}: {} damaged", counted(more, "further place")));
        }
        if !damage.is_empty() {
            code = ExitCode::from(UNSOUND);
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_traces() {
        for good in ["mallook.out.1.2.3", "t.1.2.3.gz", "a b.c.10.1700000000.0.zst", ".1.2.3"] {
            assert!(is_trace_name(OsStr::new(good)), "{good}");
        }
        for bad in ["", "1.2.3", "t.1.2", "t.1.2.x", "t.1.2.3.csv", "t.1..3", "stray"] {
            assert!(!is_trace_name(OsStr::new(bad)), "{bad}");
        }
    }
}
