//! Traces that nobody is to keep: in a directory of their own, which is removed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use mallook_reader::Shown;
use tempfile::TempDir;

/// A directory beside the traces that would have been written. Dropping it removes it.
pub struct Scratch {
    directory: TempDir,
}

impl Scratch {
    /// Makes a directory beside the traces of this prefix.
    pub fn beside(prefix: &Path) -> Result<Scratch> {
        let parent = prefix.parent().unwrap_or(Path::new("/"));
        let directory = tempfile::Builder::new().prefix(".mallook-").tempdir_in(parent);
        let directory =
            directory.with_context(|| format!("cannot write traces into {}", Shown(parent)))?;
        Ok(Scratch { directory })
    }

    /// The prefix of the traces in it.
    pub fn prefix(&self) -> PathBuf {
        self.directory.path().join("trace")
    }
}
