//! The file `PREFIX.control`, which tells programs that start whether they pause. The recorder reads it
//! when it opens a trace, if it belongs to the same user, or to root.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use mallook_format::{CONTROL_FILE, says_paused};
use mallook_reader::{Follow, Shown};
use tempfile::NamedTempFile;

const ROOT: u32 = 0;

/// Its path.
pub fn path(prefix: &Path) -> PathBuf {
    let mut path = OsString::from(prefix.as_os_str());
    path.push(".control");
    path.into()
}

/// Whether it says that programs pause; `None` if there is none.
///
/// # Errors
/// Somebody else's file stands there, or the file cannot be read.
pub fn said(prefix: &Path) -> Result<Option<bool>> {
    let path = path(prefix);
    let found = match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        found => found.with_context(|| format!("cannot look at {}", Shown(&path)))?,
    };
    let shown = Shown(&path);
    ensure!(found.is_file(), "{shown} is no regular file: programs that start do not see it");
    let read = || -> io::Result<Vec<u8>> {
        let mut options = OpenOptions::new();
        // A link, or a pipe that waits, may have come to its place.
        options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
        let mut bytes = Vec::new();
        options.open(&path)?.take(CONTROL_FILE as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().with_context(|| format!("cannot read {shown}"))?;
    let said = says_paused(&bytes);
    ensure!(said.is_some(), "{shown} is a file of somebody: programs that start do not heed it");
    Ok(said)
}

/// Programs with this prefix that start from here on pause, or do not.
///
/// # Errors
/// Somebody else's file stands there, or the file would not count, or cannot be written.
pub fn write(prefix: &Path, pause: bool) -> Result<()> {
    said(prefix)?;
    let (path, owners) = (path(prefix), owners(prefix));
    // SAFETY: geteuid(2) has no precondition.
    let own = unsafe { libc::geteuid() };
    if own != ROOT && !owners.is_empty() && !owners.contains(&own) {
        bail!("the traces are another user's: programs that start would not heed {}", Shown(&path));
    }
    let directory = path.parent().filter(|path| !path.as_os_str().is_empty());
    let written = || -> io::Result<()> {
        // Its owner's alone, and there as a whole.
        let mut file = NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
        file.write_all(if pause { b"paused\n" } else { b"running\n" })?;
        if own == ROOT {
            hand_over(file.as_file(), &owners)?;
        }
        file.persist(&path)?;
        Ok(())
    };
    written().with_context(|| format!("cannot write {}", Shown(&path)))
}

/// The users who have traces with this prefix.
fn owners(prefix: &Path) -> BTreeSet<u32> {
    let traces = Follow::with_this_prefix(prefix).into_iter();
    traces.filter_map(|path| Some(path.symlink_metadata().ok()?.uid())).collect()
}

/// Gives root's file to the user who has the traces, who is to change and to remove it. Where that is no one
/// user, or root, whose programs may give up their rights, all may read it.
fn hand_over(file: &File, owners: &BTreeSet<u32>) -> io::Result<()> {
    let mut owners = owners.iter();
    let only = owners.next().filter(|&&only| only != ROOT && owners.next().is_none());
    match only.map(|&only| fchown(file, Some(only), None)) {
        Some(Ok(())) => Ok(()),
        _ => file.set_permissions(Permissions::from_mode(0o644)),
    }
}

/// Removes the file, if there is one.
///
/// # Errors
/// Somebody else's file stands there, or the file cannot be removed.
pub fn remove(prefix: &Path) -> Result<()> {
    if said(prefix)?.is_none() {
        return Ok(());
    }
    let path = path(prefix);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}, which stays", Shown(&path)))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(prefix: &Path, act: impl Fn(&Path) -> Result<()>) -> String {
        act(prefix).map_or_else(|error| format!("{error:#}"), |()| "done".to_owned())
    }

    /// A file that somebody keeps there is neither replaced nor removed.
    #[test]
    fn what_is_somebodys_stays() {
        let directory = tempfile::tempdir().unwrap();
        let prefix = directory.path().join("exp");
        let place = path(&prefix);
        for content in ["my precious data\n", "", "paused because of rain\n", "pausedly"] {
            fs::write(&place, content).unwrap();
            let refusals = [outcome(&prefix, |it| write(it, true)), outcome(&prefix, remove)];
            assert!(refusals.iter().all(|it| it.contains("a file of somebody")), "{refusals:?}");
            assert_eq!(fs::read_to_string(&place).unwrap(), content);
        }
        fs::remove_file(&place).unwrap();
        fs::create_dir(&place).unwrap();
        let refusals = [outcome(&prefix, |it| write(it, true)), outcome(&prefix, remove)];
        assert!(refusals.iter().all(|it| it.contains("no regular file")), "{refusals:?}");
        assert!(place.is_dir());
    }

    #[test]
    fn what_was_written_is_replaced_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let prefix = directory.path().join("exp");
        assert_eq!(outcome(&prefix, remove), "done");
        for pause in [true, false] {
            assert_eq!(outcome(&prefix, |it| write(it, pause)), "done");
            assert_eq!(said(&prefix).unwrap(), Some(pause));
        }
        assert_eq!(outcome(&prefix, remove), "done");
        assert_eq!(said(&prefix).unwrap(), None);
    }
}
