//! One program under every tool.

use std::fs::File;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use mallook_benches::stats::Samples;
use tempfile::TempDir;

use crate::files;
use crate::programs::Program;
use crate::tools::{Recorded, Tool};

/// The measurements of one tool: seconds, one sample a repeat.
#[derive(Default)]
struct Row {
    wall: Samples,
    cpu: Samples,
    recorded: Recorded,
    failed: bool,
}

/// Runs the program under all tools in turns and prints a table.
pub fn measure(program: &Program, tools: &mut [Box<dyn Tool>], repeats: usize) -> Result<()> {
    println!("\n## {}", program.name);
    let mut rows: Vec<Row> = tools.iter().map(|_| Row::default()).collect();
    for repeat in 0..repeats.max(1) {
        for (tool, row) in tools.iter_mut().zip(&mut rows) {
            if row.failed || (tool.is_slow() && repeat > 0) {
                continue;
            }
            let counts = repeat == 0;
            if let Err(error) = run(program, &mut **tool, row, counts) {
                println!("{}: {error:#}", tool.name());
                row.failed = true;
            }
        }
    }
    print(tools, &rows);
    Ok(())
}

fn run(program: &Program, tool: &mut dyn Tool, row: &mut Row, counts: bool) -> Result<()> {
    let directory = TempDir::new()?;
    // What tools say does not count as trace.
    let log = TempDir::new()?;
    let path = log.path().join("stderr");
    let traces = directory.path();
    let stderr = File::create(&path)?;
    let Some(mut command) = tool.wrap(program.command(), traces) else {
        row.failed = true;
        return Ok(());
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::from(stderr));
    tool.begin(traces)?;
    let result = program.run(&mut command).with_context(|| tail(&path));
    let helpers = tool.end()?;
    let usage = result?;
    row.wall.push(usage.wall.as_secs_f64());
    row.cpu.push(usage.cpu.as_secs_f64() + helpers);
    if counts {
        row.recorded = Recorded { events: tool.events(traces)?, bytes: files::size(traces)? };
    }
    Ok(())
}

/// The last thing that a tool or a program has said.
fn tail(path: &std::path::Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().last().unwrap_or("").to_owned()
}

fn print(tools: &[Box<dyn Tool>], rows: &[Row]) {
    let [bare, mallook, ..] = rows else { return };
    let moments = mallook.recorded.events.unwrap_or(0);
    println!(
        "bare: {:.3} s wall, {:.3} s cpu; {moments} moments",
        bare.wall.median(),
        bare.cpu.median()
    );
    println!(
        "{:<14}{:>8}{:>8}{:>12}{:>10}{:>9}{:>9}",
        "", "wall", "cpu", "events", "MiB", "bytes", "ns"
    );
    for (tool, row) in tools.iter().zip(rows).skip(1).filter(|(_, row)| !row.failed) {
        let ratio = |with: &Samples, without: &Samples| with.zip(without, |a, b| a / b).median();
        let added = row.cpu.zip(&bare.cpu, |with, without| with - without).median();
        let Recorded { events, bytes } = row.recorded;
        let per_event = events.filter(|&events| events != 0).map(|n| bytes as f64 / n as f64);
        println!(
            "{:<14}{:>8.3}{:>8.3}{:>12}{:>10.1}{:>9}{:>9.1}",
            tool.name(),
            ratio(&row.wall, &bare.wall),
            ratio(&row.cpu, &bare.cpu),
            events.map_or("sums".to_owned(), |events| events.to_string()),
            bytes as f64 / (1 << 20) as f64,
            per_event.map_or("-".to_owned(), |bytes| format!("{bytes:.1}")),
            added * 1e9 / moments as f64,
        );
    }
}

/// A command that is run beside the measured one and must succeed.
pub fn run_quietly(command: &mut Command) -> Result<()> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.status().with_context(|| format!("{command:?}"))?;
    anyhow::ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
