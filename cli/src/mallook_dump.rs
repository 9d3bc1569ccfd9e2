//! The command line.

use std::io;
use std::path::PathBuf;

use clap::{CommandFactory, Parser, ValueEnum};
use clap_complete::Shell;
use mallook_reader::render::Format;

const EXAMPLES: &str = "\
Examples:
  mallook-dump mallook.out.4711.1700000000.0
  mallook-dump --info mallook.out.*
  mallook-dump --format csv --output events.csv mallook.out.*
  mallook-dump --op malloc --op calloc --min-size 1M --since 2s mallook.out.*
  mallook-dump --follow mallook.out.4711.1700000000.0

Times are since the start of the first trace (\"1.5\", \"1.5s\", \"200ms\", \"10us\", \"7ns\"),
or Unix time when they start with \"@\" (\"@1700000000.25\").

Exit codes: 0 all was read; 1 a trace is damaged and was read in part, see stderr, or
--check found something; 2 usage, or a file that is no trace.";

/// Prints what mallook has recorded: one line an event, in order of time.
#[derive(Debug, Parser)]
#[command(name = "mallook-dump", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// Traces; several are merged by time
    #[arg(required_unless_present = "generate", value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// How events look
    #[arg(short, long, value_enum, default_value_t = OutputFormat::Text)]
    pub format: OutputFormat,

    /// Where to print to, instead of the standard output
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,

    /// Print what the traces are, instead of events
    #[arg(long, conflicts_with_all = ["format", "follow", "since", "until", "functions", "tids", "min_size", "max_size"])]
    pub info: bool,

    /// Replay the traces and print what is impossible in them: memory that is given out while it
    /// lives, or released twice
    #[arg(long, conflicts_with_all = ["info", "follow", "since", "until", "functions", "tids", "min_size", "max_size"])]
    pub check: bool,

    /// Print the events of a running process as they come, until it ends
    #[arg(long)]
    pub follow: bool,

    /// Leave out events before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub since: Option<Time>,

    /// Leave out events after this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub until: Option<Time>,

    /// Only calls of this function (may be repeated)
    #[arg(long = "op", value_name = "FUNCTION", value_delimiter = ',', value_parser = parse_function)]
    pub functions: Vec<String>,

    /// Only events of this thread (may be repeated)
    #[arg(long = "tid", value_name = "TID", value_delimiter = ',')]
    pub tids: Vec<u32>,

    /// Only calls with a size of at least so many bytes ("4096", "64K")
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub min_size: Option<u64>,

    /// Only calls with a size of at most so many bytes
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_size: Option<u64>,

    /// Print the manual page, or completions for a shell
    #[arg(long, value_enum, exclusive = true, value_name = "WHAT")]
    pub generate: Option<Page>,
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
        let mut command = <Arguments as CommandFactory>::command();
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
        clap_complete::generate(shell, &mut command, "mallook-dump", &mut text);
        Ok(text)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// One aligned line an event
    Text,
    /// Comma-separated values, one row a call
    Csv,
    /// JSON Lines, one object a call
    Jsonl,
    /// The lines of the C libmallook
    Sizes,
}

impl From<OutputFormat> for Format {
    fn from(format: OutputFormat) -> Format {
        match format {
            OutputFormat::Text => Format::Text,
            OutputFormat::Csv => Format::Csv,
            OutputFormat::Jsonl => Format::Jsonl,
            OutputFormat::Sizes => Format::Sizes,
        }
    }
}

/// A moment, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Since the start of the first trace.
    SinceStart(u64),
    /// Since 1970.
    Unix(u64),
}

impl Time {
    /// In Unix nanoseconds, for traces of which the first starts then.
    pub fn unix_ns(self, start_ns: u64) -> u64 {
        match self {
            Time::SinceStart(ns) => start_ns.saturating_add(ns),
            Time::Unix(ns) => ns,
        }
    }
}

fn parse_time(text: &str) -> Result<Time, String> {
    let (kind, rest): (fn(u64) -> Time, &str) = match text.strip_prefix('@') {
        Some(rest) => (Time::Unix, rest),
        None => (Time::SinceStart, text),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, unit) = rest.split_at(end);
    let places = match unit {
        "ns" => 0,
        "us" => 3,
        "ms" => 6,
        "" | "s" => 9,
        _ => return Err(format!("unknown unit {unit:?}, expected ns, us, ms or s")),
    };
    decimal_shifted(number, places).map(kind).ok_or_else(|| "expected a number".to_owned())
}

/// The decimal number times a power of ten, digits behind that cut off: exact for Unix times.
fn decimal_shifted(number: &str, places: usize) -> Option<u64> {
    if !number.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction: String = fraction.chars().chain(std::iter::repeat('0')).take(places).collect();
    format!("{whole}{fraction}").parse().ok()
}

fn parse_size(text: &str) -> Result<u64, parse_size::Error> {
    parse_size::Config::new().with_binary().parse_size(text)
}

fn parse_function(text: &str) -> Result<String, String> {
    let kinds = mallook_format::Kind::ALL.iter().filter(|kind| kind.is_moment());
    let mut names: Vec<_> = kinds.map(|kind| kind.name()).collect();
    if names.contains(&text) {
        return Ok(text.to_owned());
    }
    names.dedup();
    names.sort_unstable();
    names.dedup();
    Err(format!("expected one of {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(parse_time("1.5"), Ok(Time::SinceStart(1_500_000_000)));
        assert_eq!(parse_time("200ms"), Ok(Time::SinceStart(200_000_000)));
        assert_eq!(parse_time("7ns"), Ok(Time::SinceStart(7)));
        let unix = Time::Unix(1_700_000_000_123_456_789);
        assert_eq!(parse_time("@1700000000.123456789"), Ok(unix));
        for wrong in ["", "s", "1h", "-1", "1.2.3", "@", "99999999999999"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_binary() {
        assert_eq!(parse_size("64K").ok(), Some(65536));
        assert_eq!(parse_size("4096").ok(), Some(4096));
        assert!(parse_size("lots").is_err());
    }

    #[test]
    fn functions_are_known() {
        assert!(parse_function("realloc").is_ok());
        assert!(parse_function("start").is_err());
    }

    #[test]
    fn the_command_line_is_consistent() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }
}
