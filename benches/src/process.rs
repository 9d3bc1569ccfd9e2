//! Child processes and what they used.

use std::io;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// The resources that a process used, with the descendants that it waited for.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// From its start to its end.
    pub wall: Duration,
    /// Processor time, of the user and the system.
    pub cpu: Duration,
    /// The most memory that it had at once, in bytes: mapped files included.
    pub peak: u64,
}

/// Runs a command to its end.
///
/// # Errors
/// It cannot be started, or fails.
pub fn run(command: &mut Command) -> Result<Usage> {
    run_while(command, |_| ())
}

/// As [`run`]; meanwhile the function is called with the process.
///
/// # Errors
/// As [`run`].
pub fn run_while(command: &mut Command, meanwhile: impl FnOnce(&mut Child)) -> Result<Usage> {
    let start = Instant::now();
    let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
    meanwhile(&mut child);
    let (status, usage) = wait(&child, start).with_context(|| format!("{command:?}"))?;
    ensure!(status == 0, "{command:?}: failed with wait status {status:#x}");
    Ok(usage)
}

/// Waits for a child that was started at that time; its wait status and usage.
///
/// # Errors
/// Somebody else has waited for it.
pub fn wait(child: &Child, start: Instant) -> io::Result<(i32, Usage)> {
    let pid = child.id() as libc::pid_t;
    let mut status = 0;
    // SAFETY: numbers, for which zeros are valid.
    let mut usage: libc::rusage = unsafe { core::mem::zeroed() };
    // SAFETY: both places are written.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    let wall = start.elapsed();
    if waited != pid {
        return Err(io::Error::last_os_error());
    }
    let time = |t: libc::timeval| {
        Duration::from_secs(t.tv_sec as u64) + Duration::from_micros(t.tv_usec as u64)
    };
    let cpu = time(usage.ru_utime) + time(usage.ru_stime);
    Ok((status, Usage { wall, cpu, peak: usage.ru_maxrss as u64 * 1024 }))
}
