//! Sentences, of which names may be shortened, and nothing else.

use std::fmt;

use serde::{Serialize, Serializer};
use unicode_width::UnicodeWidthStr;

use crate::fit::shorten;

/// The least width that a name is shortened to.
const LEAST: usize = 16;

/// A part of a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Words and figures.
    Words(String),
    /// The name of a place.
    Name(String),
}

/// A sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence(pub Vec<Part>);

impl From<String> for Sentence {
    fn from(words: String) -> Sentence {
        Sentence(vec![Part::Words(words)])
    }
}

impl Sentence {
    /// The sentence in this width, as far as its names allow that.
    pub fn fitted(&self, width: usize) -> String {
        let names = |most: usize| -> String {
            let part = |part: &Part| match part {
                Part::Words(words) => words.clone(),
                Part::Name(name) => shorten(name, most),
            };
            self.0.iter().map(part).collect()
        };
        let whole = self.to_string();
        if whole.width() <= width {
            return whole;
        }
        let fitting = (LEAST..=width).rev().map(&names).find(|text| text.width() <= width);
        fitting.unwrap_or_else(|| names(LEAST))
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(Part::Words(text) | Part::Name(text))| f.write_str(text))
    }
}

impl Serialize for Sentence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shortened_and_figures_are_not() {
        let sentence = Sentence(vec![
            Part::Words("1.95 KiB in 7 blocks of ".to_owned()),
            Part::Name("a_function_with_a_long_name".to_owned()),
            Part::Words(", 1 B of ".to_owned()),
            Part::Name("main".to_owned()),
        ]);
        let whole = "1.95 KiB in 7 blocks of a_function_with_a_long_name, 1 B of main";
        assert_eq!(sentence.to_string(), whole);
        for width in 0..200 {
            let text = sentence.fitted(width);
            assert!(text.starts_with("1.95 KiB in 7 blocks of "), "{text}");
            assert!(text.ends_with(", 1 B of main"), "{text}");
            assert!(text.width() <= width || width < whole.len() - 27 + LEAST, "{width}: {text}");
        }
        assert_eq!(sentence.fitted(whole.len()), whole);
    }
}
