//! Prints events: other threads decode, this one makes events of that, renders and writes.

use std::io::{self, IsTerminal, Write};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use mallook_format::SLOTS;
use mallook_reader::render::{Page, Renderer};
use mallook_reader::{Filter, Trace, Tree};

use crate::cli::Arguments;

/// Output is written in pieces of this size, and after this many events the bar moves.
const PIECE: usize = 1 << 16;
const STEP: u64 = 1 << 12;

/// Prints the events that the filter wants, in order of time.
pub fn events(
    traces: &[Trace],
    filter: &Filter,
    mut renderer: Renderer,
    progress: &ProgressBar,
    output: &mut dyn Write,
) -> Result<()> {
    let everything = filter.wants_all();
    let mut page = Page::new();
    renderer.begin(&mut page);
    let repairs = thread::scope(|scope| -> io::Result<u64> {
        let mut tree = Tree::ahead(traces, scope);
        let mut seen = 0;
        while let Some(event) = tree.advance() {
            seen += 1;
            if seen == STEP {
                progress.inc(std::mem::take(&mut seen));
            }
            if !everything {
                if filter.is_past(event.time_ns) {
                    break;
                }
                if !filter.wants(event) {
                    continue;
                }
            }
            renderer.event(event, &mut page);
            if page.len() >= PIECE {
                output.write_all(page.text())?;
                page.clear();
            }
        }
        output.write_all(page.text())?;
        Ok(tree.repairs())
    })
    .context("cannot write the output")?;
    progress.finish_and_clear();
    if repairs != 0 {
        eprintln!("mallook-dump: {repairs} events: order between threads repaired by causality");
    }
    Ok(())
}

/// A bar on stderr, if a person is looking at it and at nothing else. It appears after a second.
pub fn progress_bar(arguments: &Arguments, traces: &[Trace]) -> ProgressBar {
    let visible =
        io::stderr().is_terminal() && (arguments.output.is_some() || !io::stdout().is_terminal());
    if !visible {
        return ProgressBar::hidden();
    }
    let blocks: u64 = traces.iter().map(Trace::places).sum();
    let bar = ProgressBar::new(blocks * SLOTS as u64).with_style(
        ProgressStyle::with_template("{bar:40} {percent}% of {human_len} events, {eta} to go")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}
