//! The options of `mallook run`.

use std::env;
use std::ffi::OsString;
use std::io;
use std::ops::RangeInclusive;
use std::path::{self, PathBuf};

use clap::{Args, ValueEnum};

use crate::value;

/// The sizes that the library accepts.
const SIZES: RangeInclusive<u64> = 80 << 10..=1 << 40;

const HELP: &str = "\
Examples:
  mallook run -- make -j8                              every process, a trace each
  mallook run -o /tmp/ls -- ls -l                      traces are /tmp/ls.PID.EPOCH.COUNTER
  mallook run --mode ring --size 256M -- ./server      keep only the newest events
  mallook run --max 2G --clock monotonic -- ./batch    bound the trace; portable timestamps

Exit codes:
  the program's own, or its death by the same signal
  2    wrong usage
  125  mallook itself failed
  126  the program was found and cannot be executed
  127  the program was not found";

/// Options of `mallook run`. What is not given leaves the environment as it is.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct Options {
    /// Start of the traces' names; PID, time and a counter follow
    /// [default: $MALLOOK_PREFIX, else mallook.out]
    #[arg(short, long, value_name = "PREFIX")]
    pub output: Option<PathBuf>,

    /// Keep every event, or the newest ones in a file of fixed size
    /// [default: $MALLOOK_MODE, else full]
    #[arg(long)]
    pub mode: Option<Mode>,

    /// Size of a ring, from 80K to 1T [default: $MALLOOK_SIZE, else 64M]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub size: Option<u64>,

    /// Bound on a full trace, from 80K to 1T; events after it are counted as lost
    /// [default: $MALLOOK_MAX, else none]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max: Option<u64>,

    /// Where timestamps come from
    /// [default: $MALLOOK_CLOCK, else tsc where it is invariant, else monotonic]
    #[arg(long)]
    pub clock: Option<Clock>,

    /// Preload this library [default: the built-in one]
    #[arg(long, value_name = "PATH")]
    pub library: Option<PathBuf>,

    /// Neither warn about the program nor list the traces
    #[arg(short, long)]
    pub quiet: bool,

    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "PROG")]
    pub program: Vec<OsString>,
}

/// The events that a trace keeps.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Mode {
    /// Every event
    Full,
    /// The newest events
    Ring,
}

/// Where timestamps come from.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Clock {
    /// The processor's time stamp counter
    Tsc,
    /// The kernel's `CLOCK_MONOTONIC`
    Monotonic,
    /// The time stamp counter, read once for up to 16 events of a thread: two thirds of the cost of
    /// `tsc`
    Coarse,
}

impl Options {
    /// The prefix that was asked for here or in the environment, or the library's default. It is
    /// absolute, for the children that change their directory.
    pub fn prefix(&self) -> io::Result<PathBuf> {
        let inherited = || env::var_os("MALLOOK_PREFIX").filter(|prefix| !prefix.is_empty());
        let prefix = self.output.clone().or_else(|| Some(inherited()?.into()));
        path::absolute(prefix.unwrap_or_else(|| "mallook.out".into()))
    }

    /// The variables of the library that options set, apart from the prefix.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, String)> {
        [
            ("MALLOOK_MODE", self.mode.as_ref().map(value_name)),
            ("MALLOOK_SIZE", self.size.map(|size| size.to_string())),
            ("MALLOOK_MAX", self.max.map(|max| max.to_string())),
            ("MALLOOK_CLOCK", self.clock.as_ref().map(value_name)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}

/// How a value is spelled, on the command line and in the environment alike.
fn value_name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// A size of a trace that the library accepts.
fn size(text: &str) -> Result<u64, String> {
    let bytes = value::size(text)?;
    match SIZES.contains(&bytes) {
        true => Ok(bytes),
        false => Err(format!("found {bytes} bytes, expected a size from 80K to 1T")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [("81920", 80 << 10), ("64M", 64 << 20), ("1gib", 1 << 30)] {
            assert_eq!(size(text), Ok(bytes));
        }
        assert_eq!(size("1.5G"), Ok(3 << 29));
        for bad in ["", "M", "79K", "2T", "-1M", "+1M", "64X", "99999999999999T"] {
            assert!(size(bad).is_err_and(|error| error.contains("expected")), "{bad}");
        }
    }
}
