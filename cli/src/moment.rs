//! Moments of a run that options name, and the memory that lives then.

use std::fmt;

use mallook_analysis::{PeakEvent, Stop, When};
use mallook_reader::{Liveness, MergedEvents, Trace};

use crate::messages::Messages;
use crate::progress::Bar;
use crate::units;
use crate::value::{self, Time};

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The end of each process.
    End,
    /// When the most bytes live.
    Peak,
    /// A time.
    Time(Time),
}

/// `end`, `peak`, or a time.
pub fn at(text: &str) -> Result<At, String> {
    match text {
        "end" => Ok(At::End),
        "peak" => Ok(At::Peak),
        _ => value::time(text)
            .map(At::Time)
            .map_err(|error| format!("{error}; or \"peak\", or \"end\"")),
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::End => f.write_str("at the end"),
            At::Peak => f.write_str("at the peak"),
            At::Time(Time::SinceStart(ns)) => write!(f, "after {}", units::span(*ns)),
            At::Time(Time::Unix(ns)) => {
                write!(f, "at @{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
            }
        }
    }
}

/// When the first of the traces starts, in Unix nanoseconds.
pub fn start_ns(traces: &[Trace]) -> u64 {
    traces.iter().map(|trace| trace.header().realtime_ns).min().unwrap_or(0)
}

/// Says that a moment that was asked for is after the last event of traces whose processes have ended.
pub fn say_after_the_end(traces: &[Trace], messages: Messages) {
    if traces.iter().all(|trace| trace.liveness() == Liveness::Gone) {
        let shown = "shown is what lives at their end";
        messages.say(format_args!("the traces end before the moment that was asked for: {shown}"));
    }
}

impl At {
    /// Where a pass has to stop for it; for the peak, all events are read.
    pub fn when(self, traces: &[Trace]) -> When {
        match self {
            At::End => When::End,
            At::Time(time) => When::Time(time.unix_ns(start_ns(traces))),
            At::Peak => {
                let stop = Stop::at(When::End);
                let mut peak = PeakEvent::of(&stop);
                let mut bar = Bar::new(traces, true);
                std::thread::scope(|scope| {
                    let mut events = MergedEvents::prefetching(traces, scope);
                    stop.run(traces.len(), &mut events, &mut peak, || bar.step());
                });
                bar.finish();
                peak.when()
            }
        }
    }
}
