//! A bar for people who wait.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use mallook_format::SLOTS;
use mallook_reader::Trace;

/// A bar on stderr that counts events, if that is a terminal and `nothing_else` is printed there. It
/// appears after a second.
pub fn bar(traces: &[Trace], nothing_else: bool) -> ProgressBar {
    if !nothing_else || !io::stderr().is_terminal() {
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
