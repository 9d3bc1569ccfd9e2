//! The trace files of a run: which are new, and how they are listed.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use mallook_reader::{Shown, Trace};
use unicode_width::UnicodeWidthStr;

use crate::escape::escape;
use crate::{selection, shell, units};

/// More traces than this are not opened for what is missing from them.
const OPENED: usize = 1_000;
/// More traces than this are only counted.
const LISTED: usize = 20;

const NOTHING: &str = "no trace was written";

/// The traces of one prefix, and which of them were there before the program.
pub struct Traces {
    prefix: Prefix,
    before: HashSet<OsString>,
}

struct Prefix {
    directory: PathBuf,
    /// The start of the names, up to and with the dot before the PID.
    stem: OsString,
}

/// One trace file.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    name: OsString,
    id: Id,
    size: u64,
    /// Blocks of events that were ever taken; a ring takes the same one again and again.
    blocks: u64,
    /// The program, or `?` of a file that is no trace.
    program: String,
}

/// The numbers in a name, `PID.EPOCH.COUNTER`, the oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id {
    epoch: u64,
    pid: u64,
    counter: u64,
}

impl Id {
    fn parse(text: &[u8]) -> Option<Id> {
        let mut numbers = text.split(|&byte| byte == b'.').map(decimal);
        let mut next = || numbers.next().flatten();
        let (pid, epoch, counter) = (next()?, next()?, next()?);
        numbers.next().is_none().then_some(Id { epoch, pid, counter })
    }
}

/// A number as a trace's name spells it: digits only, which `str::parse` alone does not ask for.
fn decimal(text: &[u8]) -> Option<u64> {
    text.iter().all(u8::is_ascii_digit).then(|| str::from_utf8(text).ok()?.parse().ok())?
}

impl Traces {
    /// Remembers which traces of this absolute prefix exist.
    pub fn before(prefix: &Path) -> io::Result<Traces> {
        let prefix = Prefix::new(prefix);
        let before = prefix.names()?.map(|(name, _)| name).collect();
        Ok(Traces { prefix, before })
    }

    /// A file can be made where the traces are to be.
    pub fn check_writable(&self) -> anyhow::Result<()> {
        let Prefix { directory, stem } = &self.prefix;
        // PID, time and counter.
        ensure!(stem.len() <= 255 - 30, "--output: the names of the traces are too long");
        let file = tempfile::tempfile_in(directory);
        file.with_context(|| format!("cannot write traces into {}", Shown(directory)))?;
        Ok(())
    }

    /// Some have come since.
    pub fn are_there(&self) -> io::Result<bool> {
        Ok(self.prefix.names()?.any(|(name, _)| !self.before.contains(&name)))
    }

    /// Tells the user which traces have come since, and which commands read them.
    pub fn listing(&self) -> io::Result<String> {
        let found = self.new_ones()?;
        let Some(largest) = found.first() else { return Ok(NOTHING.to_owned()) };
        let total = units::size(found.iter().map(|trace| trace.size).sum());
        let mut text = match found.len() {
            1 => "1 trace written:".to_owned(),
            count => format!("{count} traces written, {total}:"),
        };
        let listed = &found[..found.len().min(LISTED)];
        let width = listed.iter().map(|trace| trace.program.width()).max().unwrap_or(0);
        for trace in listed {
            let blanks = width - trace.program.width();
            // Writing to a string does not fail.
            let _ = write!(text, "\n  {}{:blanks$}  {}", trace.program, "", self.line(trace));
        }
        if found.len() > LISTED {
            let _ = write!(text, "\n  and {} more", found.len() - LISTED);
        }
        let largest = self.prefix.quoted(&largest.name);
        let (all, older) = match (found.len(), self.before.len()) {
            (1, _) => (largest.clone(), String::new()),
            (_, 0) => (self.prefix.quoted(&self.prefix.stem) + "*", String::new()),
            (_, older) => {
                (self.prefix.quoted(&self.prefix.stem) + "*", format!("  # and {older} older"))
            }
        };
        let _ = write!(text, "\nsummary: mallook summary {all}{older}");
        let _ = write!(text, "\nevents:  mallook dump {largest}");
        Ok(text)
    }

    /// The traces that have come since, opened; no more than are looked at in a moment.
    pub fn open_new(&self) -> io::Result<impl Iterator<Item = Trace<'static>>> {
        let names = self.prefix.names()?.filter(|(name, _)| !self.before.contains(name));
        Ok(names.take(OPENED).filter_map(|(name, _)| Trace::open(&self.prefix.path(&name)).ok()))
    }

    /// All traces that have come since, opened.
    pub fn open_all(&self) -> io::Result<impl Iterator<Item = Trace<'static>>> {
        let names = self.prefix.names()?.filter(|(name, _)| !self.before.contains(name));
        Ok(names.filter_map(|(name, _)| Trace::open(&self.prefix.path(&name)).ok()))
    }

    /// Removes the traces that have come since and are of other programs than these, of processes that
    /// have ended.
    pub fn keep_only(&self, programs: &[String]) -> io::Result<()> {
        for trace in self.open_all()? {
            let header = trace.header();
            let is_one =
                |program: &String| selection::is_named(header.executable(), program.as_bytes());
            if !programs.iter().any(is_one) && !trace.is_running() {
                fs::remove_file(trace.path())?;
            }
        }
        Ok(())
    }

    /// How a command line names the traces that have come since: one by its name, several by what their
    /// names start with.
    pub fn in_commands(&self) -> io::Result<String> {
        let mut new = self.prefix.names()?.filter(|(name, _)| !self.before.contains(name));
        Ok(match (new.next(), new.next()) {
            (Some((only, _)), None) => self.prefix.quoted(&only),
            _ if self.before.is_empty() => {
                let stem = self.prefix.stem.as_bytes();
                self.prefix.quoted(OsStr::from_bytes(stem.strip_suffix(b".").unwrap_or(stem)))
            }
            _ => "FILE...".to_owned(),
        })
    }

    /// The traces that have come since, by the number of blocks of events that they took.
    fn new_ones(&self) -> io::Result<Vec<Found>> {
        let new = self.prefix.names()?.filter(|(name, _)| !self.before.contains(name));
        let mut traces: Vec<Found> =
            new.filter_map(|(name, id)| Found::at(&self.prefix.path(&name), name, id)).collect();
        traces.sort_by_key(|trace| (Reverse((trace.blocks, trace.size)), trace.id));
        Ok(traces)
    }

    /// Size and path of a trace, which follow the name of its program.
    fn line(&self, trace: &Found) -> String {
        let shown = self.prefix.shown(&trace.name);
        format!("{:>8}  {}", units::size(trace.size), escape(&shown.to_string_lossy()))
    }
}

impl Found {
    fn at(path: &Path, name: OsString, id: Id) -> Option<Found> {
        let metadata = fs::symlink_metadata(path).ok().filter(Metadata::is_file)?;
        let (blocks, program) = match Trace::open(path) {
            Ok(trace) => (trace.claimed(), program(trace.header().executable())),
            Err(_) => (0, "?".to_owned()),
        };
        Some(Found { name, id, size: metadata.len(), blocks, program })
    }
}

/// The last part of an executable's path.
fn program(executable: &[u8]) -> String {
    let name = executable.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    escape(&String::from_utf8_lossy(name)).into_owned()
}

impl Prefix {
    /// Splits behind the last slash, wherever it is: a prefix is the start of a path, not a path.
    fn new(prefix: &Path) -> Prefix {
        let bytes = prefix.as_os_str().as_bytes();
        let name = bytes.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
        let (directory, name) = bytes.split_at(name);
        Prefix {
            directory: OsStr::from_bytes(directory).into(),
            stem: OsStr::from_bytes(&[name, b"."].concat()).into(),
        }
    }

    fn names(&self) -> io::Result<impl Iterator<Item = (OsString, Id)>> {
        Ok(fs::read_dir(&self.directory)?.filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let id = Id::parse(name.as_bytes().strip_prefix(self.stem.as_bytes())?)?;
            Some((name, id))
        }))
    }

    fn path(&self, name: &OsStr) -> PathBuf {
        self.directory.join(name)
    }

    /// The path as the user may type it: relative, if it is in the current directory.
    fn shown(&self, name: &OsStr) -> PathBuf {
        let path = self.path(name);
        let here = std::env::current_dir().ok();
        let relative = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
        match relative {
            // It would be taken for an option.
            Some(relative) if relative.as_os_str().as_bytes().starts_with(b"-") => path,
            Some(relative) => relative,
            None => path,
        }
    }

    fn quoted(&self, name: &OsStr) -> String {
        shell::quote(self.shown(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let id = Id { epoch: 1_700_000_000, pid: 42, counter: 3 };
        assert_eq!(Id::parse(b"42.1700000000.3"), Some(id));
        for bad in ["", "1.2", "1.2.3.4", "1..3", "1.2.", ".1.2.3", "+1.2.3", "1.2.x", "1.2.3 "] {
            assert_eq!(Id::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn only_new_regular_files_of_the_prefix_largest_first() {
        let sandbox = tempfile::tempdir().unwrap();
        let file = |name: &str| fs::write(sandbox.path().join(name), name).unwrap();
        for old in ["t.1.1700000000.0", "t.1.1700000000.1"] {
            file(old);
        }
        let traces = Traces::before(&sandbox.path().join("t")).unwrap();
        assert_eq!(traces.listing().unwrap(), NOTHING);

        for new in ["t.8.1700000002.0", "t.10.1700000002.0", "t.9.1700000001.0"] {
            file(new);
        }
        for other in ["t.9.1700000002", "u.9.1700000002.0", "t.9.1700000002.0.gz"] {
            file(other);
        }
        fs::create_dir(sandbox.path().join("t.8.1700000002.1")).unwrap();
        let found = traces.new_ones().unwrap();
        assert_eq!(found.iter().map(|trace| trace.id.pid).collect::<Vec<_>>(), [10, 9, 8]);
        let listing = traces.listing().unwrap();
        assert!(listing.starts_with("3 traces written, 49 B:\n  ?      17 B  /"), "{listing}");
        let all = format!("mallook summary {}/t.*  # and 2 older\n", sandbox.path().display());
        assert!(listing.contains(&all), "{listing}");
        assert!(listing.ends_with("/t.10.1700000002.0"), "{listing}");
    }

    #[test]
    fn long_lists_are_cut_and_names_quoted() {
        let sandbox = tempfile::tempdir().unwrap();
        let traces = Traces::before(&sandbox.path().join("it is")).unwrap();
        for pid in 0..25 {
            fs::write(sandbox.path().join(format!("it is.{pid}.1.0")), "").unwrap();
        }
        let listing = traces.listing().unwrap();
        assert_eq!(listing.lines().count(), 1 + LISTED + 1 + 2);
        assert!(listing.contains("\n  and 5 more\n"), "{listing}");
        assert!(listing.contains("/it is.'*\n"), "{listing}");
    }
}
