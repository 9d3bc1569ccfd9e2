//! Where output goes.

use std::ffi::OsString;
use std::fs::{File, Metadata, Permissions};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use mallook_reader::{Shown, Trace};
use tempfile::NamedTempFile;

/// The option of the commands that print.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Output {
    /// Where to print to, instead of the standard output; a file appears when it is complete, and
    /// no trace is ever overwritten
    #[arg(short = 'o', long = "output", value_name = "PATH")]
    pub path: Option<PathBuf>,
}

/// An opened output.
pub enum Target {
    /// The standard output, or a file that is no regular one.
    Direct(Box<dyn Write>),
    /// A file that takes the place of another one when it is complete.
    Beside {
        /// The file.
        file: Box<NamedTempFile>,
        /// Its name at the end.
        path: PathBuf,
    },
}

impl Output {
    /// Opens it, when the traces that are read have been opened: none of them is overwritten, nor
    /// any other one.
    pub fn open(&self, traces: &[PathBuf]) -> Result<Target> {
        match &self.path {
            Some(path) => open_file("--output", path, traces),
            None => Ok(Target::Direct(Box::new(io::stdout().lock()))),
        }
    }

    /// The same for output that is read while it is written.
    pub fn open_live(&self, traces: &[PathBuf]) -> Result<Target> {
        let Some(path) = &self.path else { return self.open(traces) };
        open(path, traces, true).with_context(|| format!("--output {}", Shown(path)))
    }
}

/// Opens the file of an option, as [`Output::open`].
pub fn open_file(option: &str, path: &Path, traces: &[PathBuf]) -> Result<Target> {
    open(path, traces, false).with_context(|| format!("{option} {}", Shown(path)))
}

fn open(path: &Path, traces: &[PathBuf], live: bool) -> Result<Target> {
    // A link stays one: its target is replaced.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let old = match target.metadata() {
        Ok(old) => Some(old),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let Some(old) = &old else {
        return match live {
            true => Ok(Target::Direct(Box::new(File::create(&target)?))),
            false => beside(target, None),
        };
    };
    ensure!(!old.is_dir(), "it is a directory");
    let same = |trace: &PathBuf| {
        let identity = |file: &Metadata| (file.dev(), file.ino());
        trace.metadata().is_ok_and(|trace| identity(&trace) == identity(old))
    };
    ensure!(!old.is_file() || !traces.iter().any(same), "it is a trace that is read");
    if !old.is_file() {
        return Ok(Target::Direct(Box::new(File::options().write(true).open(&target)?)));
    }
    if Trace::open(&target).is_ok() {
        bail!("it is a trace, which is not overwritten");
    }
    match live {
        true => Ok(Target::Direct(Box::new(File::create(&target)?))),
        false => beside(target, Some(old)),
    }
}

fn beside(path: PathBuf, old: Option<&Metadata>) -> Result<Target> {
    // Where the directory of the old file takes no new ones, it is overwritten in place.
    if let Some(old) = old {
        let file = File::options().write(true).open(&path)?;
        let directory = path.parent().unwrap_or(Path::new("/"));
        let Ok(new) = temporary(&path, directory) else {
            file.set_len(0)?;
            return Ok(Target::Direct(Box::new(file)));
        };
        new.as_file().set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
        return Ok(Target::Beside { file: Box::new(new), path });
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let file = temporary(&path, directory.unwrap_or(Path::new(".")))?;
    Ok(Target::Beside { file: Box::new(file), path })
}

/// A file beside another one, with the rights of an ordinary new file.
fn temporary(path: &Path, directory: &Path) -> io::Result<NamedTempFile> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".");
    tempfile::Builder::new()
        .prefix(&name)
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory)
}

impl Target {
    /// Lets `write` fill it, in any order of places.
    pub fn fill<T>(&mut self, write: impl FnOnce(&mut File) -> io::Result<T>) -> io::Result<T> {
        match self {
            Target::Beside { file, .. } => write(file.as_file_mut()),
            Target::Direct(output) => {
                let mut file = tempfile::tempfile()?;
                let result = write(&mut file)?;
                file.rewind()?;
                io::copy(&mut file, output)?;
                Ok(result)
            }
        }
    }

    /// All was written.
    pub fn finish(mut self) -> Result<()> {
        self.flush().context("cannot write the output")?;
        if let Target::Beside { file, path } = self {
            file.persist(&path).with_context(|| format!("cannot replace {}", Shown(&path)))?;
        }
        Ok(())
    }
}

impl Write for Target {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match self {
            Target::Direct(output) => output.write(text),
            Target::Beside { file, .. } => file.write(text),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Target::Direct(output) => output.flush(),
            Target::Beside { file, .. } => file.flush(),
        }
    }
}

/// The reader of our output has closed it, having seen enough.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == ErrorKind::BrokenPipe)
}
