//! The files that are written.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// A file: its path in the directory, and its content.
pub type File = (String, Vec<u8>);

/// Writes the files into a directory, which is made if it is missing.
pub fn write_into(directory: &Path, files: &[File]) -> Result<()> {
    let failed = |path: &Path| format!("cannot write {}", path.display());
    for (name, text) in files {
        let path = directory.join(name);
        let parent = path.parent().unwrap_or(directory);
        fs::create_dir_all(parent).with_context(|| failed(parent))?;
        fs::write(&path, text).with_context(|| failed(&path))?;
    }
    Ok(())
}
