//! A bar for people who wait.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mallook_format::SLOTS;
use mallook_reader::Trace;

/// Events after which the bar moves.
const STEP: u64 = 1 << 12;
/// The longest time without a bar.
const SHORT: Duration = Duration::from_millis(500);

/// A bar that counts events.
pub struct Bar {
    bar: ProgressBar,
    /// Events since it has moved.
    seen: u64,
    /// When it appears, if it has not.
    appears: Option<Instant>,
}

impl Bar {
    /// A bar on stderr for those who wait, if that is a terminal and `nothing_else` is printed there.
    pub fn new(traces: &[Trace], nothing_else: bool) -> Bar {
        let is_wanted = nothing_else && io::stderr().is_terminal();
        let blocks: u64 = traces.iter().map(Trace::places).sum();
        let bar = ProgressBar::hidden().with_style(
            ProgressStyle::with_template("{bar:40} {percent}% of {human_len} events, {eta} to go")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_length(blocks * SLOTS as u64);
        Bar { bar, seen: 0, appears: is_wanted.then(|| Instant::now() + SHORT) }
    }

    /// One more event.
    #[inline(always)]
    pub fn step(&mut self) {
        self.seen += 1;
        if self.seen == STEP {
            self.show();
        }
    }

    #[cold]
    #[inline(never)]
    fn show(&mut self) {
        if self.appears.is_some_and(|appears| appears <= Instant::now()) {
            self.appears = None;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.inc(std::mem::take(&mut self.seen));
    }

    /// Nobody waits any more.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}
