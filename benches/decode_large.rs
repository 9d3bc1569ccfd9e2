//! `mallook-dump` as a whole, over traces of growing size.

use std::fs::File;
use std::io::{BufWriter, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mallook_benches::artifacts::artifacts;
use mallook_benches::process::{self, Usage};
use mallook_benches::scale;
use mallook_benches::synthetic::Shape;
use tempfile::TempDir;

const MILLION: f64 = 1e6;
const MIB: f64 = (1 << 20) as f64;

fn main() -> Result<()> {
    let most = scale::amount("MALLOOK_BENCH_MEVENTS", 20.0, 0.1);
    println!(
        "million events a second, peak memory in MiB (of which not of the file), ms to the first line"
    );
    println!(
        "{:>9}{:>9}{:>9}{:>17}{:>9}{:>17}{:>9}",
        "Mevents", "threads", "csv", "peak", "info", "peak", "first"
    );
    for threads in [1, 4] {
        for millions in sizes(most) {
            let shape = Shape { events: (millions * MILLION) as u64, threads };
            measure(shape)?;
        }
    }
    Ok(())
}

/// Powers of ten from one million on, and the most.
fn sizes(most: f64) -> Vec<f64> {
    let powers = (0..).map(|power| 10f64.powi(power)).take_while(|&size| size < most);
    powers.chain([most]).collect()
}

fn measure(shape: Shape) -> Result<()> {
    let directory = TempDir::new()?;
    let trace = directory.path().join("trace");
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&trace)?);
    let moments = shape.write(&mut file)?;
    file.into_inner()?.sync_all()?;

    check(&trace, moments)?;
    let csv = dump(&trace, &["--format", "csv"])?;
    let info = dump(&trace, &["--info"])?;
    let first = first_line(&trace)?;
    let millions = shape.events as f64 / MILLION;
    let rate = |(usage, _): &(Usage, u64)| millions / usage.wall.as_secs_f64();
    let memory = |(usage, own): &(Usage, u64)| {
        format!("{:.0} ({:.0})", usage.peak as f64 / MIB, *own as f64 / MIB)
    };
    println!(
        "{millions:>9}{:>9}{:>9.1}{:>17}{:>9.1}{:>17}{:>9.1}",
        shape.threads,
        rate(&csv),
        memory(&csv),
        rate(&info),
        memory(&info),
        first.as_secs_f64() * 1e3
    );
    Ok(())
}

/// Makes sure that everything in the trace is found; its pages are in memory afterwards.
fn check(trace: &Path, moments: u64) -> Result<()> {
    let output = Command::new(&artifacts().dump).arg("--info").arg(trace).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "--info: {}", output.status);
    ensure!(
        text.contains(&format!("\npresent: {moments}\n")),
        "{moments} moments are not:\n{text}"
    );
    Ok(())
}

/// Runs `mallook-dump`; also the most memory in bytes that it had besides pages of files.
fn dump(trace: &Path, arguments: &[&str]) -> Result<(Usage, u64)> {
    let mut command = Command::new(&artifacts().dump);
    command.args(arguments).arg(trace).stdout(Stdio::null());
    let mut own = 0;
    let usage = process::run_while(&mut command, |child| own = watch(child))?;
    Ok((usage, own))
}

/// Looks at a process's own memory, in bytes, until it has ended.
fn watch(child: &Child) -> u64 {
    let path = format!("/proc/{}/status", child.id());
    let mut most = 0;
    // A process that has ended and was not waited for has a status without memory.
    while let Ok(status) = std::fs::read_to_string(&path)
        && let Some(line) = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))
    {
        let kib = line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
        most = most.max(kib.unwrap_or(0) * 1024);
        thread::sleep(Duration::from_millis(2));
    }
    most
}

/// The time from the start of `mallook-dump` to the first bytes of its output.
fn first_line(trace: &Path) -> Result<Duration> {
    let mut command = Command::new(&artifacts().dump);
    let start = Instant::now();
    let mut child = command.args(["--format", "csv"]).arg(trace).stdout(Stdio::piped()).spawn()?;
    let mut pipe = child.stdout.take().context("the output is a pipe")?;
    ensure!(pipe.read(&mut [0; 512])? > 0, "no output");
    let passed = start.elapsed();
    // It ends when nobody reads on.
    drop(pipe);
    ensure!(child.wait()?.success(), "mallook-dump failed");
    Ok(passed)
}
