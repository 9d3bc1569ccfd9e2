//! The trace files of a run: which are new, and how they are listed.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// More traces than this are only counted.
const LISTED: usize = 20;

/// The traces of one prefix, and which of them were there before the program.
pub struct Traces {
    prefix: Prefix,
    before: HashSet<OsString>,
}

struct Prefix {
    directory: PathBuf,
    /// What the names start with, up to and with the dot before the PID.
    stem: OsString,
}

/// One trace file. Ordered as traces are listed.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trace {
    id: Id,
    path: PathBuf,
    size: u64,
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

    /// The traces that have come since, in order.
    pub fn new_ones(&self) -> io::Result<Vec<Trace>> {
        let new = self.prefix.names()?.filter(|(name, _)| !self.before.contains(name));
        let mut traces: Vec<Trace> = new
            .filter_map(|(name, id)| {
                let path = self.prefix.directory.join(name);
                let metadata = fs::symlink_metadata(&path).ok()?;
                metadata.is_file().then_some(Trace { id, path, size: metadata.len() })
            })
            .collect();
        traces.sort();
        Ok(traces)
    }
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
}

/// What to tell the user about the traces that a program left.
pub fn report(traces: &[Trace]) -> String {
    let mut text = match traces.len() {
        0 => "no trace was written: the program may be statically linked or setuid, allocate \
              nothing, or not be allowed to write there"
            .to_owned(),
        1 => "1 trace written:".to_owned(),
        count => format!("{count} traces written:"),
    };
    for trace in traces.iter().take(LISTED) {
        // Writing to a string does not fail.
        let _ = write!(text, "\n  {}  {}", trace.path.display(), human(trace.size));
    }
    if traces.len() > LISTED {
        let _ = write!(text, "\n  and {} more", traces.len() - LISTED);
    }
    text
}

/// A size with three significant digits: `817 B`, `16.0 KiB`, `1.25 GiB`.
fn human(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        // From here on, rounding would show 1000 or more.
        if value < 999.5 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    let decimals = match value {
        _ if unit == "B" => 0,
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
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
    fn sizes() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "0.98 KiB"),
            (16384, "16.0 KiB"),
            (1 << 20, "1.00 MiB"),
            (123 << 20, "123 MiB"),
            (5 << 28, "1.25 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }

    #[test]
    fn only_new_regular_files_of_the_prefix_in_order() {
        let sandbox = tempfile::tempdir().unwrap();
        let file = |name: &str| fs::write(sandbox.path().join(name), "12345").unwrap();
        for old in ["t.1.1700000000.0", "t.1.1700000000.1"] {
            file(old);
        }
        let traces = Traces::before(&sandbox.path().join("t")).unwrap();
        assert_eq!(report(&traces.new_ones().unwrap()).lines().count(), 1);

        for new in ["t.9.1700000002.0", "t.10.1700000002.0", "t.99.1700000001.0"] {
            file(new);
        }
        for other in ["t.9.1700000002", "u.9.1700000002.0", "t.9.1700000002.0.gz"] {
            file(other);
        }
        fs::create_dir(sandbox.path().join("t.8.1700000002.0")).unwrap();
        let found = traces.new_ones().unwrap();
        let pids: Vec<u64> = found.iter().map(|trace| trace.id.pid).collect();
        assert_eq!(pids, [99, 9, 10]);
        assert!(report(&found).starts_with("3 traces written:\n"));
    }

    #[test]
    fn long_lists_are_cut() {
        let trace = |pid| Trace { id: Id { epoch: 1, pid, counter: 0 }, path: "t".into(), size: 1 };
        let text = report(&(0..25).map(trace).collect::<Vec<_>>());
        assert_eq!(text.lines().count(), 1 + LISTED + 1);
        assert!(text.ends_with("\n  and 5 more"));
    }
}
