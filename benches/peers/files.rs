//! Files that tools leave behind.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// All files below a directory.
pub fn below(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in directory.read_dir()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(below(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    Ok(files)
}

/// The bytes in all files below a directory.
pub fn size(directory: &Path) -> Result<u64> {
    below(directory)?.iter().map(|file| Ok(fs::metadata(file)?.len())).sum()
}

/// Lines of a text file, compressed or not, that start with a byte and are an event.
pub fn count_lines(file: &Path, is_event: impl Fn(u8) -> bool) -> Result<u64> {
    let program = match file.extension().and_then(|extension| extension.to_str()) {
        Some("zst") => "zstdcat",
        Some("gz") => "zcat",
        _ => "cat",
    };
    let mut child = Command::new(program).arg(file).stdout(Stdio::piped()).spawn()?;
    let mut reader = BufReader::with_capacity(1 << 20, child.stdout.take().context("a pipe")?);
    let (mut line, mut count) = (Vec::new(), 0);
    while reader.read_until(b'\n', &mut line)? != 0 {
        count += u64::from(is_event(line[0]));
        line.clear();
    }
    child.wait()?;
    Ok(count)
}

/// Where a program is, if it is installed.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// Where a shared library is, if it is installed.
pub fn library(name: &str) -> Option<PathBuf> {
    let directories =
        ["/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"];
    directories.iter().map(|directory| Path::new(directory).join(name)).find(|path| path.exists())
}

/// The version of the Debian package that a file belongs to.
pub fn package_version(file: &Path) -> String {
    let output = |arguments: &[&str], last: &str| {
        let output = Command::new(arguments[0]).args(&arguments[1..]).arg(last).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    // Merged directories: packages may know the file by its name without /usr.
    let text = file.to_string_lossy();
    let owner = output(&["dpkg-query", "-S"], &text)
        .or_else(|| output(&["dpkg-query", "-S"], text.strip_prefix("/usr")?));
    let package = owner.as_ref().and_then(|owner| owner.split_once(": ")).map(|(name, _)| name);
    package
        .and_then(|package| output(&["dpkg-query", "-W"], package))
        .map_or("unknown version".to_owned(), |line| line.trim().replace('\t', " "))
}
