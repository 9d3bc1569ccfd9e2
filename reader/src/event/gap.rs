//! Events that are missing.

use std::fmt;

/// Why events are missing from a place of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// Newer ones have taken their place in a ring.
    Overwritten,
    /// They could not be recorded. When they happened is not known.
    Lost,
}

impl Gap {
    /// The cause in one word.
    pub fn name(self) -> &'static str {
        match self {
            Gap::Overwritten => "overwritten",
            Gap::Lost => "lost",
        }
    }
}

/// A number with its digits in groups of three.
#[derive(Clone, Copy, Debug)]
pub struct Grouped(pub u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (position, digit) in digits.char_indices() {
            if position != 0 && (digits.len() - position).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_in_groups() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(Grouped(number).to_string(), text);
        }
    }
}
