//! Moments of a run that options name, and the memory that lives then.

use std::fmt;

use mallook_analysis::{PeakEvent, Stop, When};
use mallook_reader::{MergedEvents, Trace};

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

impl At {
    /// Where a pass has to stop for it; for the peak, all events are read.
    pub fn when(self, traces: &[Trace]) -> When {
        match self {
            At::End => When::End,
            At::Time(time) => When::Time(time.unix_ns(start_ns(traces))),
            At::Peak => {
                let stop = Stop::at(When::End);
                let mut peak = PeakEvent::of(&stop);
                std::thread::scope(|scope| {
                    let mut events = MergedEvents::prefetching(traces, scope);
                    stop.run(traces.len(), &mut events, &mut peak);
                });
                peak.when()
            }
        }
    }
}
