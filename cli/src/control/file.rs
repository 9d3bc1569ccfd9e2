//! The file `PREFIX.control`, which tells programs that start whether they pause. The recorder reads it
//! when it opens a trace, if it belongs to the same user.

use std::ffi::OsString;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use mallook_reader::Shown;
use tempfile::NamedTempFile;

/// Its path.
pub fn path(prefix: &Path) -> PathBuf {
    let mut path = OsString::from(prefix.as_os_str());
    path.push(".control");
    path.into()
}

/// Programs with this prefix that start from here on pause, or do not.
pub fn write(prefix: &Path, pause: bool) -> Result<()> {
    let path = path(prefix);
    // What stands there and is no file of ours is somebody's.
    match path.symlink_metadata() {
        Ok(found) if !found.is_file() => {
            bail!("{} is no regular file: programs that start do not see it", Shown(&path))
        }
        _ => {}
    }
    let directory = path.parent().filter(|path| !path.as_os_str().is_empty());
    let written = || -> std::io::Result<()> {
        // Its owner's alone, and there as a whole.
        let mut file = NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
        file.write_all(if pause { b"paused\n" } else { b"running\n" })?;
        file.persist(&path)?;
        Ok(())
    };
    written().with_context(|| format!("cannot write {}", Shown(&path)))
}

/// Removes the file, if there is one.
pub fn remove(prefix: &Path) -> Result<()> {
    let path = path(prefix);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", Shown(&path)))
        }
        _ => Ok(()),
    }
}
