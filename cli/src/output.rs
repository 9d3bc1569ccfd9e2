//! Where output goes.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The option of the commands that print.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Output {
    /// Where to print to, instead of the standard output
    #[arg(short = 'o', long = "output", value_name = "PATH")]
    pub path: Option<PathBuf>,
}

impl Output {
    /// Opens it; the traces that are read must not be overwritten.
    pub fn open(&self, traces: &[PathBuf]) -> Result<Box<dyn Write>> {
        let Some(path) = &self.path else { return Ok(Box::new(io::stdout().lock())) };
        let same = |file: &PathBuf| is_same(file, path);
        ensure!(!traces.iter().any(same), "{}: is a trace itself", path.display());
        Ok(Box::new(File::create(path).with_context(|| path.display().to_string())?))
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// The reader of our output has closed it, having seen enough.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == ErrorKind::BrokenPipe)
}
