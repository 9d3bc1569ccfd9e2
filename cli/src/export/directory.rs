//! Output that is a directory, which appears when it is complete.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Result, ensure};
use tempfile::TempDir;

/// A directory that is being filled.
pub struct Directory(TempDir);

impl Directory {
    /// One beside this path, where nothing is, or an empty directory.
    pub fn create(path: &Path) -> Result<Directory> {
        match fs::read_dir(path) {
            Ok(mut there) => ensure!(there.next().is_none(), "it is there, and is not empty"),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".");
        let directory = tempfile::Builder::new()
            .prefix(&name)
            .permissions(Permissions::from_mode(0o777))
            .tempdir_in(parent.unwrap_or(Path::new(".")))?;
        Ok(Directory(directory))
    }

    /// Where the files go.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// All files are complete.
    pub fn finish(self, path: &Path) -> Result<()> {
        fs::rename(self.0.path(), path)?;
        // What is removed when this is dropped is not there any more.
        let _ = self.0.keep();
        Ok(())
    }
}
