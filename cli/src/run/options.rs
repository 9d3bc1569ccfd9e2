//! The options of `mallook run`.

use std::env;
use std::ffi::OsString;
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::path::{self, PathBuf};
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use crate::value;
use crate::verdict::Verdict;

/// The sizes that the library accepts.
const SIZES: RangeInclusive<u64> = 80 << 10..=1 << 40;

/// The start of the traces' names, unless another one is asked for.
const DEFAULT: &str = "mallook.out";

/// The variables of the library, behind `MALLOOK_`.
const VARIABLES: [&str; 9] =
    ["PREFIX", "MODE", "SIZE", "MAX", "CLOCK", "CMDLINE", "STACK", "STACK_FREE", "START"];

const HELP: &str = "\
Examples:
  mallook run -- make -j8                              every process, a trace each
  mallook run --summary -- ./program                   what its memory does, on one screen
  mallook run --summary --no-keep --fail-if 'peak>32M' --fail-if 'leaked>0' -- ./test
  mallook run --summary --only python3.11 -- python3 x.py   not the shells of a wrapper
  mallook run -o /tmp/ls -- ls -l                      traces are /tmp/ls.PID.EPOCH.COUNTER
  mallook run --mode ring --size 256M -- ./server      keep only the newest events
  mallook run --max 2G --clock monotonic -- ./batch    bound the trace; portable timestamps
  mallook run --after 5s --for 10s -- ./server         ten seconds of it, without stopping it

Exit codes:
  the program's own, or its death by the same signal
  2    wrong usage
  3    the program succeeded, and a figure is above a limit of --fail-if
  125  mallook itself failed, or has recorded nothing that a limit of --fail-if could be judged by
  126  the program was found and cannot be executed
  127  the program was not found";

/// Options of `mallook run`. What is not given leaves the environment as it is.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
#[command(group(ArgGroup::new("figures").args(["summary", "limits"]).multiple(true)))]
pub struct Options {
    /// Start of the traces' names; PID, time and a counter follow. In a directory that is named
    /// alone, names start with mallook.out
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

    /// Record the call stack of each allocation
    /// [default: $MALLOOK_STACK, else off; without a value: full]
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "full")]
    pub stacks: Option<Stacks>,

    /// Record the call stack of each release as well
    /// [default: $MALLOOK_STACK_FREE, else off]
    #[arg(long)]
    pub stacks_of_frees: bool,

    /// Keep only the traces of this program, by its name or its path, and remove those of the wrappers
    /// and helpers around it, when all have ended (may be repeated)
    #[arg(long, value_name = "PROGRAM")]
    pub only: Vec<String>,

    /// Start to record after this time, as "5s" or "200ms"
    /// [default: at once, unless $MALLOOK_START is paused]
    #[arg(long, value_name = "TIME", value_parser = value::span)]
    pub after: Option<Duration>,

    /// Pause recording after this time
    #[arg(long = "for", value_name = "TIME", value_parser = value::span)]
    pub length: Option<Duration>,

    /// Pause recording when SIZE bytes are alive in all processes together, as "500M"
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    pub until_peak: Option<u64>,

    /// Say on stderr what the memory of the program did, when it has ended
    #[arg(long)]
    pub summary: bool,

    /// Keep the traces, as without this option
    #[arg(long, overrides_with = "no_keep")]
    pub keep: bool,

    /// Remove the traces when the summary has been made, or the limits have been judged
    #[arg(long, overrides_with = "keep", requires = "figures")]
    pub no_keep: bool,

    /// Limits.
    #[command(flatten)]
    pub verdict: Verdict,

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
    /// The time stamp counter, read once for up to 16 events of a thread: about half of the cost of
    /// `tsc` in a ring
    Coarse,
}

/// The call stacks of allocations.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Stacks {
    /// None
    Off,
    /// The function that has called the allocator, alone
    Caller,
    /// By frame pointers: right where all code keeps them
    Fp,
    /// Whole, by the unwind tables
    Full,
}

impl Options {
    /// The prefix that was asked for here or in the environment, or the library's default. It is
    /// absolute, for the children that change their directory. In a directory that was named alone,
    /// the names are the default ones.
    pub fn prefix(&self) -> io::Result<PathBuf> {
        let inherited = || env::var_os("MALLOOK_PREFIX").filter(|prefix| !prefix.is_empty());
        let prefix = self.output.clone().or_else(|| Some(inherited()?.into()));
        let prefix = path::absolute(prefix.unwrap_or_else(|| DEFAULT.into()))?;
        let names_directory = prefix.as_os_str().as_bytes().ends_with(b"/") || prefix.is_dir();
        Ok(if names_directory { prefix.join(DEFAULT) } else { prefix })
    }

    /// Options and variables that have no effect, and why: a line each.
    pub fn without_effect(&self) -> Vec<String> {
        let variable = |name| env::var_os(name).filter(|value: &OsString| !value.is_empty());
        let is_ring = match self.mode {
            Some(mode) => matches!(mode, Mode::Ring),
            None => variable("MALLOOK_MODE").is_some_and(|mode| mode == "ring"),
        };
        let of = |given: bool, option: &str, name: &'static str| match () {
            () if given => Some(option.to_owned()),
            () => variable(name).map(|_| name.to_owned()),
        };
        let (name, reason) = match is_ring {
            true => (of(self.max.is_some(), "--max", "MALLOOK_MAX"), "with --mode ring"),
            false => (of(self.size.is_some(), "--size", "MALLOOK_SIZE"), "without --mode ring"),
        };
        let unused = name.map(|name| format!("{name} has no effect {reason}"));
        let names = env::vars_os().map(|(name, _)| name);
        unused.into_iter().chain(names.filter_map(|name| misspelt(name.to_str()?))).collect()
    }

    /// The variables of the library that options set, apart from the prefix.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, String)> {
        [
            ("MALLOOK_MODE", self.mode.as_ref().map(value_name)),
            ("MALLOOK_SIZE", self.size.map(|size| size.to_string())),
            ("MALLOOK_MAX", self.max.map(|max| max.to_string())),
            ("MALLOOK_CLOCK", self.clock.as_ref().map(value_name)),
            ("MALLOOK_STACK", self.stacks.as_ref().map(value_name)),
            ("MALLOOK_STACK_FREE", self.stacks_of_frees.then(|| "1".to_owned())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}

/// A line about a variable that is none of ours and looks like one.
fn misspelt(name: &str) -> Option<String> {
    let ours = VARIABLES.map(|variable| format!("MALLOOK_{variable}"));
    if ours.iter().any(|known| known == name) {
        return None;
    }
    let near = |known: &&String| distance(name, known) <= 2;
    let rest = name.to_ascii_uppercase();
    let rest = rest.strip_prefix("MALLOOK_").unwrap_or_default();
    let holds = |known: &&String| rest.split('_').any(|part| known.ends_with(&format!("_{part}")));
    let meant = ours.iter().find(near).or_else(|| ours.iter().find(holds))?;
    Some(format!("{name}: no such variable; did you mean {meant}?"))
}

/// The least number of letters to put in, leave out or change, without regard to case.
fn distance(one: &str, other: &str) -> usize {
    let letters = |text: &str| text.to_ascii_uppercase().into_bytes();
    let (one, other) = (letters(one), letters(other));
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (place, same) in other.iter().enumerate() {
            let change = diagonal + usize::from(same != letter);
            diagonal = row[place + 1];
            row[place + 1] = change.min(diagonal + 1).min(row[place] + 1);
        }
    }
    row[other.len()]
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
    fn misspelt_variables() {
        for (name, meant) in [
            ("MALLOOK_MODES", "MODE"),
            ("MALLOCK_MODE", "MODE"),
            ("MALLOOKMODE", "MODE"),
            ("mallook_size", "SIZE"),
            ("MALLOOK_RING_SIZE", "SIZE"),
            ("MALLOOK_PREFX", "PREFIX"),
            ("MALLOOK_MAX_SIZE", "MAX_SIZE"),
        ] {
            let said = misspelt(name).unwrap();
            let found = said.rsplit("MALLOOK_").next().unwrap().trim_end_matches('?');
            assert!(meant.contains(found) && said.starts_with(name), "{said}");
        }
        for fine in ["MALLOOK_MODE", "MALLOOK_CMDLINE", "MALLOOK_BIN", "PATH", "MALLOC_ARENA_MAX"] {
            assert_eq!(misspelt(fine), None, "{fine}");
        }
    }

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
