//! Prints events: one thread decodes and merges, this one renders and writes.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use mallook_format::SLOTS;
use mallook_reader::render::Renderer;
use mallook_reader::{Event, Filter, Trace, Tree};

use crate::cli::Arguments;

/// Events that go from one thread to the other at a time.
const BATCH: usize = 4096;
/// Batches under way at once.
const BATCHES: usize = 4;

/// Prints the events that the filter wants, in order of time.
pub fn events(
    traces: &[Trace],
    filter: &Filter,
    mut renderer: Renderer,
    progress: &ProgressBar,
    output: &mut dyn Write,
) -> Result<()> {
    let (full, batches) = mpsc::sync_channel::<Vec<Event>>(BATCHES);
    let (empty, emptied) = mpsc::channel::<Vec<Event>>();
    let repairs = thread::scope(|scope| -> io::Result<u64> {
        let merger = scope.spawn(move || {
            let mut tree = Tree::of(traces);
            loop {
                let mut batch = emptied.try_recv().unwrap_or_default();
                batch.clear();
                let mut looked_at = 0;
                let wanted = tree
                    .by_ref()
                    .inspect(|_| looked_at += 1)
                    .take_while(|event| !filter.is_past(event.time_ns))
                    .filter(|event| filter.wants(event));
                batch.extend(wanted.take(BATCH));
                progress.inc(looked_at);
                // The other side has gone away when the output cannot be written.
                if batch.is_empty() || full.send(batch).is_err() {
                    return tree.repairs();
                }
            }
        });
        let mut bytes = Vec::new();
        renderer.begin(&mut bytes);
        for batch in batches {
            batch.iter().for_each(|event| renderer.event(event, &mut bytes));
            output.write_all(&bytes)?;
            bytes.clear();
            // The merger may be done already.
            let _ = empty.send(batch);
        }
        output.write_all(&bytes)?;
        Ok(merger.join().unwrap_or_default())
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
    let blocks: usize = traces.iter().map(|trace| trace.blocks().len()).sum();
    let bar = ProgressBar::new((blocks * SLOTS) as u64).with_style(
        ProgressStyle::with_template("{bar:40} {percent}% of {human_len} events, {eta} to go")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}
