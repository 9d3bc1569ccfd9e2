//! This program once more, under the library.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use mallook_format::Mode;
use mallook_reader::{Summary, Trace};
use tempfile::TempDir;

use crate::artifacts::artifacts;
use crate::heap::Heap;

/// Set where the program runs under the library: what it is to do there.
const SECTION: &str = "MALLOOK_BENCH_SECTION";
const PREFIX: &str = "MALLOOK_PREFIX";

/// What this process is to do under the library, if it runs there.
pub fn section() -> Option<String> {
    env::var(SECTION).ok()
}

/// The variables that put a program under the library.
pub fn environment(mode: Mode) -> [(&'static str, PathBuf); 3] {
    let mode = match mode {
        Mode::Full => "full",
        Mode::Ring => "ring",
    };
    [
        ("LD_PRELOAD", artifacts().library.clone()),
        ("MALLOOK_MODE", mode.into()),
        ("MALLOOK_SIZE", "64M".into()),
    ]
}

/// Runs this program again with the same arguments, under the library with these variables besides
/// its mode, and with a section to do.
/// Its trace goes to a directory that is removed afterwards.
///
/// # Errors
/// It cannot be run, or fails.
pub fn run_again(section: &str, mode: Mode, variables: &[(&str, &str)]) -> Result<()> {
    let directory = TempDir::new()?;
    let mut command = Command::new(env::current_exe()?);
    command.args(env::args_os().skip(1)).envs(environment(mode)).env(SECTION, section);
    command.env(PREFIX, directory.path().join("trace")).envs(variables.iter().copied());
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "section {section:?} in {mode:?} mode: {status}");
    Ok(())
}

/// The two ways to the allocator.
#[derive(Clone, Copy, Debug)]
pub struct Heaps {
    /// The C library's functions.
    pub unhooked: Heap,
    /// The library's.
    pub hooked: Heap,
}

impl Heaps {
    /// Both, in a process that runs under the library.
    ///
    /// # Errors
    /// It does not.
    pub fn new() -> Result<Heaps> {
        let heaps = Heaps { unhooked: Heap::unhooked()?, hooked: Heap::ordinary() };
        let [unhooked, hooked] = [heaps.unhooked.object()?, heaps.hooked.object()?];
        ensure!(unhooked.ends_with("libc.so.6"), "unhooked: {}", unhooked.display());
        ensure!(hooked.ends_with("libmallook.so"), "hooked: {}", hooked.display());
        Ok(heaps)
    }
}

/// This process's own trace.
pub struct Own(PathBuf);

impl Own {
    /// Finds the trace, which must have been begun. It is the only one in its directory.
    ///
    /// # Errors
    /// There is none.
    pub fn find() -> Result<Own> {
        let prefix = PathBuf::from(env::var_os(PREFIX).context("no prefix")?);
        let directory = prefix.parent().context("the prefix has no directory")?;
        let entry = directory.read_dir()?.next().context("no trace was begun")??;
        Ok(Own(entry.path()))
    }

    /// Does something that makes so many moments, and makes sure that all of them are recorded and
    /// none besides. No other thread of the process may allocate meanwhile.
    ///
    /// # Errors
    /// The trace says otherwise.
    pub fn checked<T>(&self, work: impl FnOnce() -> (T, u64)) -> Result<T> {
        // A look at the trace calls functions of libc that allocate: equally often each time, but for
        // the first.
        self.moments()?;
        let first = self.moments()?;
        let before = self.moments()?;
        let (result, performed) = work();
        let recorded = self.moments()? - before - (before - first);
        ensure!(recorded == performed, "{performed} moments performed, {recorded} recorded");
        Ok(result)
    }

    /// Moments that were recorded so far, those that were overwritten since included.
    fn moments(&self) -> Result<u64> {
        let trace = Trace::open(&self.0)?;
        // Without a replay, whose tables grow with what it finds.
        let summary = Summary::counted(&trace, 1);
        ensure!(summary.lost.is_empty(), "lost: {:?}", summary.lost);
        let (damage, _) = trace.damage();
        ensure!(damage.is_empty(), "damage: {damage:?}");
        Ok(summary.present + summary.overwritten)
    }
}
