//! Verdicts for tests: `--fail-if 'peak>32M'`.

use std::fmt;
use std::process::ExitCode;

use clap::Args;
use mallook_reader::Grouped;

use crate::messages::Messages;
use crate::{input, units, value};

/// Exit code when a limit is exceeded.
pub const EXCEEDED: u8 = 3;

/// The limits of a run.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct Verdict {
    /// Exit with code 3 if a figure is above a limit, as in 'peak>32M', 'leaked>0', 'allocations>1e6'
    /// (may be repeated)
    #[arg(long = "fail-if", value_name = "LIMIT", value_parser = limit)]
    pub limits: Vec<Limit>,
}

/// A figure that has a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// The peak of live bytes.
    Peak,
    /// The blocks at the peak.
    PeakBlocks,
    /// Bytes that live at the end, without those that are suppressed.
    Leaked,
    /// Bytes that live at the end.
    LiveAtEnd,
    /// Number of allocations.
    Allocations,
    /// The bytes that they asked for.
    Allocated,
    /// Number of temporary allocations.
    Temporary,
    /// Number of reallocated blocks.
    Grown,
    /// Number of blocks that another thread has released.
    Crossed,
    /// Number of failed allocations.
    Failed,
}

/// Names of figures, and whether they are bytes.
const METRICS: [(&str, Metric, bool); 10] = [
    ("peak", Metric::Peak, true),
    ("peak_blocks", Metric::PeakBlocks, false),
    ("leaked", Metric::Leaked, true),
    ("live_at_end", Metric::LiveAtEnd, true),
    ("allocations", Metric::Allocations, false),
    ("allocated", Metric::Allocated, true),
    ("temporary", Metric::Temporary, false),
    ("grown", Metric::Grown, false),
    ("crossed", Metric::Crossed, false),
    ("failed", Metric::Failed, false),
];

/// A figure and what it may be at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The figure.
    pub metric: Metric,
    /// What it may be at the most.
    pub most: u64,
}

impl Metric {
    fn entry(self) -> (&'static str, Metric, bool) {
        METRICS.into_iter().find(|(_, metric, _)| *metric == self).unwrap_or(METRICS[0])
    }

    /// How it is spelled.
    pub fn name(self) -> &'static str {
        self.entry().0
    }
}

/// `peak>32M`, `allocations>=1e6`.
fn limit(text: &str) -> Result<Limit, String> {
    let expected = || {
        let names = METRICS.map(|(name, _, _)| name).join(", ");
        format!("expected FIGURE>NUMBER, where FIGURE is one of {names}")
    };
    let (name, number) = text.split_once('>').ok_or_else(expected)?;
    let metric = METRICS.into_iter().find(|(known, _, _)| *known == name.trim());
    let (_, metric, is_bytes) = metric.ok_or_else(expected)?;
    let (number, or_equal) = match number.strip_prefix('=') {
        Some(number) => (number.trim(), true),
        None => (number.trim(), false),
    };
    let value = match is_bytes && !number.contains(['e', 'E']) {
        true => value::size(number)?,
        false => whole(number).ok_or_else(|| format!("found {number:?}, expected a number"))?,
    };
    match (or_equal, value) {
        (true, 0) => Err("every figure is at least 0".to_owned()),
        (true, value) => Ok(Limit { metric, most: value - 1 }),
        (false, value) => Ok(Limit { metric, most: value }),
    }
}

/// A whole number, as `1000000`, `1_000_000` or `1e6`.
fn whole(text: &str) -> Option<u64> {
    let plain = text.replace('_', "");
    if plain.bytes().all(|byte| byte.is_ascii_digit()) {
        return plain.parse().ok();
    }
    let is_exponent = plain.bytes().all(|byte| byte.is_ascii_digit() || b".eE".contains(&byte));
    let number = plain.parse::<f64>().ok().filter(|_| is_exponent)?;
    (number.fract() == 0.0 && number < 1e18).then_some(number as u64)
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}>{}", self.metric.name(), self.most)
    }
}

impl Verdict {
    /// There is none to give.
    pub fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    /// Says which limits are exceeded and by how much, a line each; the exit code if any is. To ask for a
    /// figure that the command does not have is wrong usage.
    pub fn judge(
        &self,
        figure: impl Fn(Metric) -> Option<u64>,
        messages: Messages,
    ) -> Option<ExitCode> {
        let mut code = None;
        for limit in &self.limits {
            match figure(limit.metric) {
                Some(found) if found > limit.most => {
                    messages.say(format_args!("FAILED: {}", exceeded(limit, found)));
                    code = Some(ExitCode::from(EXCEEDED));
                }
                Some(_) => {}
                None => {
                    messages
                        .say(format_args!("--fail-if {limit}: this command has no such figure"));
                    return Some(ExitCode::from(input::UNUSABLE));
                }
            }
        }
        code
    }
}

/// `peak is 40.0 MiB (41,943,040 B), 8.00 MiB above the limit of 32.0 MiB (+25 %)`.
fn exceeded(limit: &Limit, found: u64) -> String {
    let (name, _, is_bytes) = limit.metric.entry();
    let over = found - limit.most;
    let percent = match limit.most {
        0 => String::new(),
        most => format!(" (+{:.1} %)", over as f64 * 100.0 / most as f64),
    };
    match is_bytes {
        true => format!(
            "{name} is {} ({} B), {} above the limit of {}{percent}",
            units::size(found),
            Grouped(found),
            units::size(over),
            units::size(limit.most)
        ),
        false => format!(
            "{name} is {}, {} above the limit of {}{percent}",
            Grouped(found),
            Grouped(over),
            Grouped(limit.most)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        for (text, metric, most) in [
            ("peak>32M", Metric::Peak, 32 << 20),
            ("leaked>0", Metric::Leaked, 0),
            ("allocations>1e6", Metric::Allocations, 1_000_000),
            ("allocations > 1_000", Metric::Allocations, 1000),
            ("allocations>=10", Metric::Allocations, 9),
            ("peak>1.5e3", Metric::Peak, 1500),
        ] {
            assert_eq!(limit(text), Ok(Limit { metric, most }), "{text}");
        }
        for wrong in [
            "peak",
            "peak<1",
            "peek>1",
            "peak>",
            "peak>lots",
            "allocations>1.5",
            "peak>=0",
            "allocations>-1",
        ] {
            assert!(limit(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_line_says_by_how_much() {
        let line = exceeded(&limit("peak>32M").unwrap(), 40 << 20);
        assert_eq!(
            line,
            "peak is 40.0 MiB (41,943,040 B), 8.00 MiB above the limit of 32.0 MiB (+25.0 %)"
        );
        let line = exceeded(&limit("leaked>0").unwrap(), 5);
        assert_eq!(line, "leaked is 5 B (5 B), 5 B above the limit of 0 B");
        let line = exceeded(&limit("allocations>1000").unwrap(), 1234);
        assert_eq!(line, "allocations is 1,234, 234 above the limit of 1,000 (+23.4 %)");
    }
}
