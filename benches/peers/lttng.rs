//! LTTng-UST's wrapper of libc's allocator, with a session daemon.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::files;
use crate::tools::Tool;

const SESSION: &str = "mallook-bench";

/// LTTng. A daemon that runs already is used; otherwise one is started, and ended with this.
pub struct Lttng {
    wrapper: PathBuf,
    daemon: Option<Child>,
    /// The helpers' processor time when the session began.
    before: f64,
}

impl Lttng {
    /// The tool, if all of its parts are installed.
    pub fn find() -> Option<Lttng> {
        let wrapper = files::library("liblttng-ust-libc-wrapper.so.1")
            .or_else(|| files::library("liblttng-ust-libc-wrapper.so"))?;
        files::program("lttng")?;
        files::program("lttng-sessiond")?;
        Some(Lttng { wrapper, daemon: None, before: 0.0 })
    }

    /// Starts a daemon, unless there is one.
    fn ensure_daemon(&mut self) -> Result<()> {
        if control(&["list"]).is_ok() {
            return Ok(());
        }
        let mut command = Command::new("lttng-sessiond");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.daemon = Some(command.spawn().context("lttng-sessiond")?);
        for _ in 0..100 {
            thread::sleep(Duration::from_millis(100));
            if control(&["list"]).is_ok() {
                return Ok(());
            }
        }
        bail!("lttng-sessiond does not answer")
    }

    /// The processor time of the daemon that we have started, and of its consumers, in seconds.
    fn helpers_time(&self) -> f64 {
        let Some(daemon) = &self.daemon else { return 0.0 };
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let times = processes.filter_map(|process| {
            let stat = fs::read_to_string(process.path().join("stat")).ok()?;
            // proc(5): the parent is field 4, times are fields 14 and 15; the name, field 2, ends
            // with the last parenthesis.
            let fields: Vec<_> = stat.rsplit(')').next()?.split_whitespace().collect();
            let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
            let own = process.file_name().to_str() == Some(&daemon.id().to_string());
            let child = number(4) == Some(daemon.id().into());
            (own || child).then_some(number(14)? + number(15)?)
        });
        times.sum::<u64>() as f64 / 100.0
    }
}

impl Drop for Lttng {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            // SAFETY: our own child, which nobody has waited for.
            unsafe { libc::kill(daemon.id() as libc::pid_t, libc::SIGTERM) };
            let _ = daemon.wait();
        }
    }
}

impl Tool for Lttng {
    fn name(&self) -> &'static str {
        "lttng"
    }

    fn version(&self) -> String {
        files::package_version(&self.wrapper)
    }

    fn wrap(&self, mut program: Command, _: &Path) -> Option<Command> {
        program.env("LD_PRELOAD", &self.wrapper);
        Some(program)
    }

    fn begin(&mut self, directory: &Path) -> Result<()> {
        self.ensure_daemon()?;
        let _ = control(&["destroy", SESSION]);
        let output = format!("--output={}", directory.display());
        control(&["create", SESSION, &output])?;
        // Larger buffers than the default ones, of which most events would be discarded.
        let session = format!("--session={SESSION}");
        let size = ["--subbuf-size=8M", "--num-subbuf=8"];
        control(&["enable-channel", "--userspace", &session, size[0], size[1], "heap"])?;
        let channel = "--channel=heap";
        control(&["enable-event", "--userspace", &session, channel, "lttng_ust_libc:*"])?;
        self.before = self.helpers_time();
        control(&["start", SESSION])
    }

    fn end(&mut self) -> Result<f64> {
        control(&["stop", SESSION])?;
        let passed = self.helpers_time() - self.before;
        control(&["destroy", SESSION])?;
        Ok(passed)
    }

    fn events(&self, directory: &Path) -> Result<Option<u64>> {
        if files::program("babeltrace2").is_none() {
            return Ok(None);
        }
        let mut command = Command::new("babeltrace2");
        command.arg(directory).arg("--component=counter:sink.utils.counter");
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        // It counts aloud; the last number is the sum.
        let line = text.lines().rfind(|line| line.contains("Event message"));
        let count = line.and_then(|line| line.split_whitespace().next());
        Ok(count.and_then(|count| count.replace(',', "").parse().ok()))
    }
}

/// Runs `lttng`, which must not start a daemon by itself.
fn control(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("lttng");
    let output = command.arg("--no-sessiond").args(arguments).output()?;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "lttng {}: {message}", arguments.join(" "));
    Ok(())
}
