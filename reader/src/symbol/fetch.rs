//! Files that another machine has, by their build IDs.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::module::BuildId;
use super::options::SymbolOptions;

/// Asks for a file of this build, if that is wanted: `executable` or `debuginfo`.
pub(super) fn fetch(options: &SymbolOptions, kind: &str, id: &BuildId) -> Option<PathBuf> {
    let mut command = Command::new(options.debuginfod.as_ref()?);
    command.arg(kind).arg(id.to_string()).stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success())?;
    let path = Path::new(OsStr::from_bytes(output.stdout.trim_ascii()));
    path.is_absolute().then(|| path.to_owned())
}
