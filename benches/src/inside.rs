//! This program once more, under the library.

use std::env;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use mallook_format::Mode;
use mallook_reader::{Summary, Trace};
use tempfile::TempDir;

use crate::artifacts::artifacts;
use crate::heap::Heap;

/// Set where the program runs under the library: what it is to do there.
const SECTION: &str = "MALLOOK_BENCH_SECTION";
const PREFIX: &str = "MALLOOK_PREFIX";
/// Set where the program is to count the moments of this trace.
const COUNTED: &str = "MALLOOK_BENCH_COUNTED";

/// The section to run under the library, if this process runs there.
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
#[derive(Debug)]
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

    /// Does something that makes this number of moments, and makes sure that all of them are recorded and
    /// none besides. No other thread of the process may allocate meanwhile.
    ///
    /// # Errors
    /// The trace says otherwise.
    pub fn checked<T>(&self, work: impl FnOnce() -> (T, u64)) -> Result<T> {
        // The start of a process makes moments, too: the list of its files, each time alike.
        let first = self.moments()?;
        let before = self.moments()?;
        let (result, performed) = work();
        let recorded = self.moments()? - before - (before - first);
        ensure!(recorded == performed, "{performed} moments performed, {recorded} recorded");
        Ok(result)
    }

    /// Moments that were recorded so far. A process of its own counts them: what a reader of traces
    /// has libc allocate here would be in the trace, and no two readings need allocate alike.
    fn moments(&self) -> Result<u64> {
        let mut command = Command::new(env::current_exe()?);
        command.env_remove("LD_PRELOAD").env(COUNTED, &self.0).stderr(Stdio::inherit());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut counting = command.spawn().with_context(|| format!("{command:?}"))?;
        // It counts when its input ends: when its start has made all moments that it makes.
        drop(counting.stdin.take());
        let output = counting.wait_with_output()?;
        ensure!(output.status.success(), "{command:?}: {}", output.status);
        Ok(str::from_utf8(&output.stdout)?.trim().parse()?)
    }
}

/// Prints the moments of the trace that this process is to count, if it is to; otherwise false.
/// Those that were overwritten since are included.
///
/// # Errors
/// The trace cannot be read, is damaged, or misses events.
pub fn count() -> Result<bool> {
    let Some(path) = env::var_os(COUNTED) else { return Ok(false) };
    io::copy(&mut io::stdin(), &mut io::sink())?;
    let trace = Trace::open(path.as_ref())?;
    // Without a replay, whose tables grow with what it finds.
    let summary = Summary::counted(&trace, 1);
    ensure!(summary.lost.is_empty(), "lost: {:?}", summary.lost);
    let (damage, _) = trace.damage();
    ensure!(damage.is_empty(), "damage: {damage:?}");
    println!("{}", summary.present + summary.overwritten);
    Ok(true)
}
