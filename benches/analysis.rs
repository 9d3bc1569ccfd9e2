//! `mallook summary` and `mallook stats` as a whole: over traces of growing size, and against
//! heaptrack_print on the same program in the same run.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use mallook_benches::artifacts::artifacts;
use mallook_benches::process::{self, Usage};
use mallook_benches::scale;
use mallook_benches::synthetic::Shape;
use tempfile::TempDir;

const MILLION: f64 = 1e6;
const MIB: f64 = (1 << 20) as f64;
/// Runs of each command, of which the fastest counts.
const REPEATS: usize = 3;

fn main() -> Result<()> {
    let most = scale::amount("MALLOOK_BENCH_MEVENTS", 20.0, 0.1);
    println!("million events a second (of wall time; of processor time), peak memory in MiB");
    println!(
        "{:>9}{:>9}{:>22}{:>8}{:>22}{:>8}",
        "Mevents", "threads", "summary", "peak", "stats", "peak"
    );
    for threads in [1, 4] {
        let powers = (0..).map(|power| 10f64.powi(power)).take_while(|&size| size < most);
        for millions in powers.chain([most]) {
            growing(Shape { events: (millions * MILLION) as u64, threads })?;
        }
    }
    against_heaptrack()
}

/// The figures of a trace that no process has written.
fn growing(shape: Shape) -> Result<()> {
    let directory = TempDir::new()?;
    let trace = directory.path().join("trace");
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&trace)?);
    shape.write(&mut file)?;
    file.into_inner()?.sync_all()?;
    let (summary, stats) = (figures("summary", &trace)?, figures("stats", &trace)?);
    let millions = shape.events as f64 / MILLION;
    let rate = |usage: &Usage| {
        let of = |time: std::time::Duration| millions / time.as_secs_f64();
        format!("{:.1} ({:.1})", of(usage.wall), of(usage.cpu))
    };
    let memory = |usage: &Usage| format!("{:.0}", usage.peak as f64 / MIB);
    println!(
        "{millions:>9}{:>9}{:>22}{:>8}{:>22}{:>8}",
        shape.threads,
        rate(&summary),
        memory(&summary),
        rate(&stats),
        memory(&stats)
    );
    Ok(())
}

/// The fastest run of a command.
fn fastest(mut command: impl FnMut() -> Command) -> Result<Usage> {
    let runs = (0..REPEATS).map(|_| process::run(&mut command())).collect::<Result<Vec<_>>>()?;
    runs.into_iter().min_by_key(|usage| usage.wall).context("no run")
}

fn figures(name: &str, trace: &Path) -> Result<Usage> {
    fastest(|| {
        let mut command = Command::new(&artifacts().mallook);
        command.arg(name).arg(trace).stdout(Stdio::null());
        command
    })
}

/// The same program under both recorders, with call stacks; each reads what it has written.
fn against_heaptrack() -> Result<()> {
    let has = |name: &str| {
        Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status()
    };
    if has("heaptrack_print").is_err() {
        println!("heaptrack: not found, left out");
        return Ok(());
    }
    let directory = TempDir::new()?;
    let pairs: u64 = scale::amount("MALLOOK_BENCH_PAIRS", 5_000_000, 10_000);
    let churn = [env!("CARGO_BIN_EXE_churn"), "random", "1", &pairs.to_string()].map(str::to_owned);
    let recorded = |tool: &mut Command| -> Result<()> {
        let status = tool
            .args(&churn)
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        ensure!(status.success(), "{tool:?}: {status}");
        Ok(())
    };
    recorded(Command::new(&artifacts().mallook).args(["run", "-o", "plain", "--"]))?;
    recorded(Command::new(&artifacts().mallook).args(["run", "-o", "stacks", "--stacks", "--"]))?;
    recorded(Command::new("heaptrack").args(["-o", "heaptrack"]))?;
    let file = |start: &str| -> Result<PathBuf> {
        let files =
            std::fs::read_dir(directory.path())?.filter_map(|entry| Some(entry.ok()?.path()));
        let is_it = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start))
        };
        files.into_iter().find(is_it).with_context(|| format!("no file {start}"))
    };
    let (plain, stacks, heaptrack) = (file("plain.")?, file("stacks.")?, file("heaptrack.")?);
    println!(
        "\nchurn random, {pairs} pairs of malloc and free: million events a second, peak memory in MiB"
    );
    let line = |name: &str, usage: Usage| {
        let rate = 2.0 * pairs as f64 / MILLION / usage.wall.as_secs_f64();
        println!("{name:<40}{rate:>9.1}{:>9.0}", usage.peak as f64 / MIB);
    };
    line("mallook summary", figures("summary", &plain)?);
    line("mallook stats", figures("stats", &plain)?);
    line("mallook summary, with call stacks", figures("summary", &stacks)?);
    line("mallook stats, with call stacks", figures("stats", &stacks)?);
    let printed = fastest(|| {
        let mut command = Command::new("heaptrack_print");
        command.arg(&heaptrack).stdout(Stdio::null()).stderr(Stdio::null());
        command
    })?;
    line("heaptrack_print, with call stacks", printed);
    Ok(())
}
