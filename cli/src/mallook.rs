//! The command line.

use std::env;
use std::ffi::OsString;
use std::io;
use std::ops::RangeInclusive;
use std::path::{self, PathBuf};

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// The sizes that the library accepts.
const SIZES: RangeInclusive<u64> = 80 << 10..=1 << 40;

const EXIT_CODES: &str = "\
Exit codes:
  the program's own, or its death by the same signal
  2    wrong usage
  125  mallook itself failed
  126  the program was found and cannot be executed
  127  the program was not found";

const RUN_EXAMPLES: &str = "\
Examples:
  mallook run -- make -j8                              every process, a trace each
  mallook run -o /tmp/ls -- ls -l                      traces are /tmp/ls.PID.EPOCH.COUNTER
  mallook run --mode ring --size 256M -- ./server      keep only the newest events
  mallook run --max 2G --clock monotonic -- ./batch    bound the trace; portable timestamps";

const LIBRARY_EXAMPLES: &str = "\
Example:
  LD_PRELOAD=$(mallook library) MALLOOK_PREFIX=/tmp/trace ./server";

/// Records every allocation of a program into trace files.
#[derive(Debug, Parser)]
#[command(name = "mallook", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a program, record its allocations and those of its children
    #[command(override_usage = "mallook run [OPTIONS] [--] <PROG> [ARGS]...")]
    #[command(after_help = format!("{RUN_EXAMPLES}\n\n{EXIT_CODES}"))]
    Run(Run),
    /// Print the path of the preloaded library, for use without this launcher
    #[command(after_help = LIBRARY_EXAMPLES)]
    Library,
    /// Print the manual page, or completions for a shell
    Generate {
        /// Which
        #[arg(value_enum)]
        what: Page,
    },
}

/// What can be generated from this command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Page {
    /// The manual page
    Man,
    /// Completions for bash
    Bash,
    /// Completions for zsh
    Zsh,
    /// Completions for fish
    Fish,
}

impl Page {
    /// The text.
    ///
    /// # Errors
    /// None in practice: it is written to memory.
    pub fn text(self) -> io::Result<Vec<u8>> {
        let mut command = <Cli as CommandFactory>::command();
        let mut text = Vec::new();
        let shell = match self {
            Page::Man => {
                clap_mangen::Man::new(command).render(&mut text)?;
                return Ok(text);
            }
            Page::Bash => Shell::Bash,
            Page::Zsh => Shell::Zsh,
            Page::Fish => Shell::Fish,
        };
        clap_complete::generate(shell, &mut command, "mallook", &mut text);
        Ok(text)
    }
}

/// Options of `mallook run`. What is not given leaves the environment as it is.
#[derive(Args, Debug)]
pub struct Run {
    /// Start of the traces' names, else mallook.out; PID, time and a counter follow [MALLOOK_PREFIX]
    #[arg(short, long, value_name = "PREFIX")]
    pub output: Option<PathBuf>,

    /// Keep every event, or the newest ones in a file of fixed size [MALLOOK_MODE]
    #[arg(long)]
    pub mode: Option<Mode>,

    /// Size of a ring, such as 64M [MALLOOK_SIZE]
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub size: Option<u64>,

    /// Bound on a full trace, such as 10G [MALLOOK_MAX]
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub max: Option<u64>,

    /// Where timestamps come from [MALLOOK_CLOCK]
    #[arg(long)]
    pub clock: Option<Clock>,

    /// Preload this library instead of the built-in one
    #[arg(long, value_name = "PATH")]
    pub library: Option<PathBuf>,

    /// Neither warn about the program nor list the traces
    #[arg(short, long)]
    pub quiet: bool,

    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "PROG")]
    pub program: Vec<OsString>,
}

/// What a trace keeps.
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
    /// The time stamp counter, read once for up to 16 events of a thread: half the cost of `tsc`
    Coarse,
}

impl Run {
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

/// A number of bytes as the library takes it, with or without a unit (powers of 1024).
fn size(text: &str) -> Result<u64, &'static str> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => Some(0),
        "K" | "KB" | "KIB" => Some(10),
        "M" | "MB" | "MIB" => Some(20),
        "G" | "GB" | "GIB" => Some(30),
        "T" | "TB" | "TIB" => Some(40),
        _ => None,
    };
    shift
        .and_then(|shift| number.parse::<u64>().ok()?.checked_mul(1 << shift))
        .filter(|bytes| SIZES.contains(bytes))
        .ok_or("expected a size like 64M, from 80K to 1T")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("81920", 80 << 10), ("64M", 64 << 20), ("1gib", 1 << 30)] {
            assert_eq!(size(text), Ok(bytes));
        }
        for bad in ["", "M", "79K", "2T", "-1M", "+1M", "1.5G", "64X", "64 M", "99999999999999T"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn options_end_at_the_program() {
        let cli = Cli::parse_from(["mallook", "run", "--mode", "ring", "ls", "-q", "--mode"]);
        let Command::Run(run) = cli.command else { panic!("not a run") };
        assert_eq!(run.program, ["ls", "-q", "--mode"]);
        assert!(!run.quiet);
        assert_eq!(run.variables().collect::<Vec<_>>(), [("MALLOOK_MODE", "ring".to_owned())]);
    }
}
