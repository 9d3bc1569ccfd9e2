//! The traces of running processes, by their IDs.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use mallook_reader::{Error, Follow, Shown, Trace};

/// The process that a word names: a number, unless there is a file of that name.
pub fn pid(word: &Path) -> Option<u32> {
    let digits = word.to_str().filter(|it| it.bytes().all(|digit| digit.is_ascii_digit()))?;
    let number = digits.parse().ok()?;
    (!word.exists()).then_some(number)
}

/// The traces that a process has mapped to write to them: one, but for a moment. Empty: it is not
/// recorded.
///
/// # Errors
/// There is no such process, it may not be looked at, or it writes one that cannot be opened here.
pub fn traces_of(pid: u32) -> Result<Vec<PathBuf>> {
    let maps = match fs::read(format!("/proc/{pid}/maps")) {
        // Its parent has not asked for its exit code yet.
        Ok(maps) if maps.is_empty() => bail!("there is no process {pid}"),
        Ok(maps) => maps,
        Err(error) if error.kind() == ErrorKind::NotFound || is_gone(&error) => {
            bail!("there is no process {pid}");
        }
        Err(error) => {
            return Err(error).with_context(|| format!("cannot look at process {pid}"));
        }
    };
    let (mut found, mut unopened) = (BTreeSet::new(), None);
    for (inode, path) in maps.split(|&byte| byte == b'\n').filter_map(shared_file) {
        // The process may have another root than we have.
        let from_root = Path::new("/proc").join(pid.to_string()).join("root");
        let inside = from_root.join(path.strip_prefix("/").unwrap_or(&path));
        let mut candidates = [path.clone(), inside].into_iter();
        let trace =
            candidates.find_map(|it| named(&it, inode).filter(|it| Trace::open(it).is_ok()));
        match trace {
            Some(trace) => _ = found.insert(trace),
            None if looks_like_a_trace(&path) => unopened = Some(path),
            None => {}
        }
    }
    match unopened.filter(|_| found.is_empty()) {
        Some(path) => bail!("process {pid} writes {}, which cannot be opened here", Shown(&path)),
        None => Ok(found.into_iter().collect()),
    }
}

/// The trace that a process writes.
///
/// # Errors
/// As [`traces_of`], or it writes none.
pub fn trace_of(pid: u32) -> Result<PathBuf> {
    traces_of(pid)?.into_iter().next().with_context(|| {
        format!(
            "process {pid} writes no trace: it was not started under mallook run, or has not \
             allocated yet"
        )
    })
}

/// The descendants of a process.
pub fn descendants_of(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: Vec<_> = pids.filter_map(|pid| Some((pid, parent_of(pid)?))).collect();
    let mut tree = vec![pid];
    let mut next = 0;
    while let Some(&parent) = tree.get(next) {
        let children = parents.iter().filter(|&&(child, of)| of == parent && child != pid);
        tree.extend(children.map(|&(child, _)| child));
        next += 1;
    }
    tree.split_off(1)
}

/// proc(5): the name stands in parentheses and may hold any character.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The file of this inode that has this path, or whose directory had it: a trace gets its name after it
/// was mapped, so that `maps` may have it as `#INODE (deleted)`.
fn named(path: &Path, inode: u64) -> Option<PathBuf> {
    let is_it = |path: &Path| path.metadata().is_ok_and(|file| file.ino() == inode);
    if is_it(path) {
        return Some(path.to_owned());
    }
    let is_nameless = path.file_name()?.as_bytes().starts_with(b"#");
    let entries = path.parent().filter(|_| is_nameless)?.read_dir().ok()?.flatten();
    let mut names = entries.map(|entry| entry.path());
    names.find(|path| looks_like_a_trace(path) && is_it(path))
}

fn is_gone(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(libc::ESRCH)
}

/// Inode and path of a file that is mapped to be written to: proc(5) has address, permissions, offset,
/// device, inode, path.
fn shared_file(line: &[u8]) -> Option<(u64, PathBuf)> {
    let mut fields = line.splitn(6, |&byte| byte == b' ');
    let permissions = fields.nth(1)?;
    let inode = str::from_utf8(fields.nth(2)?).ok()?.parse().ok()?;
    let path = fields.next()?.trim_ascii_start();
    let is_shared = permissions.ends_with(b"s") && path.starts_with(b"/");
    is_shared.then(|| (inode, PathBuf::from(OsString::from_vec(unescape(path)))))
}

/// A line feed of a path is spelled out there.
fn unescape(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&first, tail)) = rest.split_first() {
        match rest.strip_prefix(b"\\012") {
            Some(tail) => {
                plain.push(b'\n');
                rest = tail;
            }
            None => {
                plain.push(first);
                rest = tail;
            }
        }
    }
    plain
}

/// `PREFIX.PID.EPOCH.NUMBER`, also of one that was removed.
fn looks_like_a_trace(path: &Path) -> bool {
    let name = path.as_os_str().as_bytes();
    let name = name.strip_suffix(b" (deleted)").unwrap_or(name);
    let mut parts = name.rsplitn(4, |&byte| byte == b'.');
    let numbers = parts.by_ref().take(3);
    numbers.filter(|part| part.iter().all(u8::is_ascii_digit) && !part.is_empty()).count() == 3
}

/// The prefix of a trace's name.
pub fn prefix_of(trace: &Path) -> Option<PathBuf> {
    let name = trace.file_name()?.as_bytes();
    let prefix = name.rsplitn(4, |&byte| byte == b'.').nth(3)?;
    looks_like_a_trace(trace).then(|| trace.with_file_name(OsString::from_vec(prefix.to_vec())))
}

/// Follows files, and those that prefixes have so far, each with whether it is such a one. Of these, one that was
/// removed meanwhile, or is not whole yet, is left out, unless that leaves nothing. The traces come with it.
pub fn follow(files: &[(PathBuf, bool)]) -> Result<(Follow, Vec<Trace<'static>>), Error> {
    let (mut follow, mut traces) = (Follow::new::<&Path>([])?, Vec::new());
    let (mut known, mut refused) = (HashSet::new(), None);
    for (path, is_of_prefix) in files.iter().filter(|(path, _)| known.insert(path)) {
        let added = Trace::open(path).and_then(|trace| follow.add(path).map(|()| trace));
        match added {
            Ok(trace) => traces.push(trace),
            Err(error) if *is_of_prefix => refused = refused.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    match refused {
        Some(error) if traces.is_empty() => Err(error),
        _ => Ok((follow, traces)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_maps() {
        let path = |line: &str| shared_file(line.as_bytes());
        let of = |inode, path: &str| Some((inode, PathBuf::from(path)));
        let start = "7f00-7f01 rw-s 00000000 08:01 42";
        assert_eq!(path(&format!("{start}        /a b/t.7.8.0")), of(42, "/a b/t.7.8.0"));
        assert_eq!(path(&format!("{start} /a\\012b")), of(42, "/a\nb"));
        assert_eq!(path("7f00-7f01 rw-p 00000000 08:01 42   /lib.so"), None);
        assert_eq!(path("7f00-7f01 rw-s 00000000 00:01 42"), None);
        assert_eq!(path(""), None);
    }

    #[test]
    fn prefixes_of_names() {
        let of = |name: &str| prefix_of(Path::new(name));
        assert_eq!(of("/d/a.b.1.2.3"), Some("/d/a.b".into()));
        assert_eq!((of("/d/a.1.2"), of("/d/a.1.2.x")), (None, None));
        assert!(looks_like_a_trace(Path::new("/d/t.1.2.3 (deleted)")));
    }

    #[test]
    fn processes_that_write_none() {
        let own = trace_of(std::process::id()).unwrap_err().to_string();
        assert!(own.contains("writes no trace"), "{own}");
        let none = trace_of(u32::MAX >> 1).unwrap_err().to_string();
        assert_eq!(none, format!("there is no process {}", u32::MAX >> 1));
    }
}
