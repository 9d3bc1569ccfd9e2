//! Verdicts for tests: `--fail-if 'peak>32M'`.

use std::marker::PhantomData;
use std::process::ExitCode;

use clap::Args;

use crate::messages::Messages;
use crate::{units, value};

/// Exit code when a limit is exceeded.
pub const EXCEEDED: u8 = 3;

/// The figures of a command that limits are for.
pub trait Judged {
    /// The figures.
    const FIGURES: &[Metric];
    /// The help of the option, with an example.
    const HELP: &str;
    /// The verb between a figure and its number: `is`.
    const VERB: &str;
}

/// The figures of a program.
#[derive(Clone, Debug, Default)]
pub struct Program;

impl Judged for Program {
    const FIGURES: &[Metric] = &ALL;
    const HELP: &str = "Exit with code 3 if a figure is above a limit, as in 'peak>32M', 'leaked>0', \
                        'allocations>1e6' (may be repeated)";
    const VERB: &str = "is";
}

/// The limits of a command.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct Verdict<J: Judged + Clone + Send + Sync + 'static = Program> {
    #[arg(long = "fail-if", value_name = "LIMIT", help = J::HELP, value_parser = limit_of::<J>)]
    limits: Vec<Limit>,
    #[arg(skip)]
    judged: PhantomData<J>,
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

/// All figures.
pub const ALL: [Metric; 10] = [
    Metric::Peak,
    Metric::PeakBlocks,
    Metric::Leaked,
    Metric::LiveAtEnd,
    Metric::Allocations,
    Metric::Allocated,
    Metric::Temporary,
    Metric::Grown,
    Metric::Crossed,
    Metric::Failed,
];

/// A figure and its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    metric: Metric,
    number: u64,
    /// The number itself is too much already.
    or_equal: bool,
}

impl Metric {
    /// How it is spelled.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Peak => "peak",
            Metric::PeakBlocks => "peak_blocks",
            Metric::Leaked => "leaked",
            Metric::LiveAtEnd => "live_at_end",
            Metric::Allocations => "allocations",
            Metric::Allocated => "allocated",
            Metric::Temporary => "temporary",
            Metric::Grown => "grown",
            Metric::Crossed => "crossed",
            Metric::Failed => "failed",
        }
    }

    fn is_bytes(self) -> bool {
        matches!(self, Metric::Peak | Metric::Leaked | Metric::LiveAtEnd | Metric::Allocated)
    }
}

/// A limit of one of the figures of a command.
fn limit_of<J: Judged>(text: &str) -> Result<Limit, String> {
    limit(text, J::FIGURES)
}

/// `peak>32M`, `allocations>=1e6`.
fn limit(text: &str, figures: &[Metric]) -> Result<Limit, String> {
    let expected = || {
        let names: Vec<_> = figures.iter().map(|metric| metric.name()).collect();
        format!("expected FIGURE>NUMBER, where FIGURE is one of {}", names.join(", "))
    };
    let (name, number) = text.split_once('>').ok_or_else(expected)?;
    let metric = figures.iter().find(|metric| metric.name() == name.trim());
    let metric = *metric.ok_or_else(expected)?;
    let (number, or_equal) = match number.strip_prefix('=') {
        Some(number) => (number.trim(), true),
        None => (number.trim(), false),
    };
    let number = match metric.is_bytes() && !number.contains(['e', 'E']) {
        true => value::size(number)?,
        false => whole(number).ok_or_else(|| format!("found {number:?}, expected a number"))?,
    };
    match (or_equal, number) {
        (true, 0) => Err("every figure is at least 0".to_owned()),
        _ => Ok(Limit { metric, number, or_equal }),
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

impl Limit {
    fn is_exceeded_by(&self, found: u64) -> bool {
        found > self.number || self.or_equal && found == self.number
    }

    /// `peak is 40.0 MiB (41,943,040 B), 8.00 MiB above the limit of 32.0 MiB (+25 %)`.
    fn exceeded(&self, verb: &str, found: u64) -> String {
        let short = |number| match self.metric.is_bytes() {
            true => units::size(number),
            false => units::count(number),
        };
        let found_text = match self.metric.is_bytes() {
            true => units::exact_size(found),
            false => units::count(found),
        };
        let over = found.saturating_sub(self.number);
        let above = match (over, self.number) {
            (0, limit) => format!("which reaches the limit of {}", short(limit)),
            (_, 0) => format!("{} above the limit of {}", short(over), short(0)),
            (_, limit) => {
                let percent = over as f64 * 100.0 / limit as f64;
                format!("{} above the limit of {} (+{percent:.1} %)", short(over), short(limit))
            }
        };
        format!("{} {verb} {found_text}, {above}", self.metric.name())
    }
}

impl<J: Judged + Clone + Send + Sync> Verdict<J> {
    /// There is none to give.
    pub fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    /// Says which limits are exceeded and by how much, a line each; the exit code if any is.
    pub fn judge(&self, figure: impl Fn(Metric) -> u64, messages: Messages) -> Option<ExitCode> {
        let mut code = None;
        for limit in &self.limits {
            let found = figure(limit.metric);
            if limit.is_exceeded_by(found) {
                messages.say(format_args!("FAILED: {}", limit.exceeded(J::VERB, found)));
                code = Some(ExitCode::from(EXCEEDED));
            }
        }
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Limit, String> {
        limit_of::<Program>(text)
    }

    #[test]
    fn limits() {
        for (text, metric, number, or_equal) in [
            ("peak>32M", Metric::Peak, 32 << 20, false),
            ("leaked>0", Metric::Leaked, 0, false),
            ("allocations>1e6", Metric::Allocations, 1_000_000, false),
            ("allocations > 1_000", Metric::Allocations, 1000, false),
            ("allocations>=10", Metric::Allocations, 10, true),
            ("peak>1.5e3", Metric::Peak, 1500, false),
        ] {
            let limit = Limit { metric, number, or_equal };
            assert_eq!(of(text), Ok(limit), "{text}");
            let at = [-1, 0, 1].map(|by| number.checked_add_signed(by));
            let expected = [Some(false), Some(or_equal), Some(true)];
            for (found, expected) in at.into_iter().zip(expected) {
                let exceeds = found.map(|found| limit.is_exceeded_by(found));
                assert!(exceeds.is_none() || exceeds == expected, "{text}: {found:?}");
            }
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
            assert!(of(wrong).is_err(), "{wrong}");
        }
        // A command may have fewer figures.
        let error = limit("peak>1", &[Metric::Leaked, Metric::Failed]).unwrap_err();
        assert!(error.ends_with("is one of leaked, failed"), "{error}");
    }

    #[test]
    fn the_line_says_by_how_much() {
        let line = |text, found| of(text).unwrap().exceeded("is", found);
        assert_eq!(
            line("peak>32M", 40 << 20),
            "peak is 40.0 MiB (41,943,040 B), 8.00 MiB above the limit of 32.0 MiB (+25.0 %)"
        );
        assert_eq!(line("leaked>0", 5), "leaked is 5 B, 5 B above the limit of 0 B");
        assert_eq!(
            line("allocations>1000", 1234),
            "allocations is 1,234, 234 above the limit of 1,000 (+23.4 %)"
        );
        assert_eq!(
            line("allocations>=1000", 1000),
            "allocations is 1,000, which reaches the limit of 1,000"
        );
    }
}
