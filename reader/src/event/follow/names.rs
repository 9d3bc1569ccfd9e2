//! The names of traces: `PREFIX.PID.EPOCH.NUMBER`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::trace::Trace;

/// Prefix and PID, from the name of a file.
fn parse(name: &OsStr) -> Option<(&[u8], u32)> {
    let mut parts = name.as_bytes().rsplitn(4, |&byte| byte == b'.');
    let number = |part: &[u8]| std::str::from_utf8(part).ok()?.parse::<u64>().ok();
    number(parts.next()?)?;
    number(parts.next()?)?;
    let pid = u32::try_from(number(parts.next()?)?).ok()?;
    Some((parts.next()?, pid))
}

/// The traces of one prefix in a directory.
fn of(directory: &Path, prefix: &[u8], pid: Option<u32>) -> Vec<PathBuf> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let entries = directory.read_dir().into_iter().flatten().flatten();
    let is_wanted = |name: &OsStr| {
        parse(name).is_some_and(|(found, of)| found == prefix && pid.is_none_or(|pid| pid == of))
    };
    let mut found: Vec<_> =
        entries.filter(|it| is_wanted(&it.file_name())).map(|it| it.path()).collect();
    found.sort();
    found
}

/// The traces with this prefix.
pub fn with_prefix(prefix: &Path) -> Vec<PathBuf> {
    let name = prefix.file_name().unwrap_or_default();
    of(prefix.parent().unwrap_or(Path::new("")), name.as_bytes(), None)
}

/// The traces of the same process that were begun later, of the programs that it has executed.
pub fn successors(trace: &Trace) -> Vec<PathBuf> {
    let name = trace.path().file_name().unwrap_or_default();
    let Some((prefix, pid)) = parse(name) else { return Vec::new() };
    let directory = trace.path().parent().unwrap_or(Path::new(""));
    let start = trace.header().realtime_ns;
    let mut found = of(directory, prefix, Some(pid));
    found.retain(|path| {
        path.file_name() != Some(name)
            && Trace::open(path).is_ok_and(|other| other.header().realtime_ns >= start)
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        for (name, expected) in [
            ("mallook.out.12.1700000000.3", Some((&b"mallook.out"[..], 12))),
            ("a.1.2.3.4", Some((b"a.1", 2))),
            ("a.1.2", None),
            ("a.b.1.2", None),
            (".1.2.3", Some((b"", 1))),
        ] {
            assert_eq!(parse(name.as_ref()), expected, "{name}");
        }
    }
}
