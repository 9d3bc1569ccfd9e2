//! Patterns of suppressions, as LeakSanitizer has them.

use std::fmt;

/// A pattern: `*` stands for anything, `^` at the start and `$` at the end bind it to those of the text;
/// otherwise it may stand anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    /// The parts that have to follow each other, with anything in between.
    parts: Vec<String>,
    at_start: bool,
    at_end: bool,
}

impl Pattern {
    /// Reads a pattern.
    pub fn new(text: &str) -> Pattern {
        let (rest, at_start) = match text.strip_prefix('^') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (rest, at_end) = match rest.strip_suffix('$') {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let parts = rest.split('*').map(str::to_owned).collect();
        Pattern { text: text.to_owned(), parts, at_start, at_end }
    }

    /// The text matches. An empty one never does.
    pub fn matches(&self, text: &str) -> bool {
        if text.is_empty() {
            return false;
        }
        let last = self.parts.len() - 1;
        let mut rest = text;
        for (number, part) in self.parts.iter().enumerate() {
            let bound = (self.at_start && number == 0, self.at_end && number == last);
            let found = match bound {
                (true, true) => (rest == part).then_some(rest.len()),
                (true, false) => rest.starts_with(part.as_str()).then_some(part.len()),
                (false, true) => rest.ends_with(part.as_str()).then_some(rest.len()),
                // The first place leaves most room for the others.
                (false, false) => rest.find(part.as_str()).map(|place| place + part.len()),
            };
            match found.and_then(|end| rest.get(end..)) {
                Some(behind) => rest = behind,
                None => return false,
            }
        }
        true
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The patterns of a file of suppressions: `leak:PATTERN` a line, `#` before a comment.
///
/// # Errors
/// The number of a line that is neither, and what it is.
pub fn parse(text: &str) -> Result<Vec<Pattern>, (usize, String)> {
    let mut patterns = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.strip_prefix("leak:").map(str::trim).filter(|pattern| !pattern.is_empty()) {
            Some(pattern) => patterns.push(Pattern::new(pattern)),
            None => return Err((number + 1, line.to_owned())),
        }
    }
    Ok(patterns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_those_of_leaksanitizer() {
        for (pattern, text, expected) in [
            ("foo", "a foo b", true),
            ("foo", "fo", false),
            ("^foo", "foobar", true),
            ("^foo", "a foo", false),
            ("foo$", "a foo", true),
            ("foo$", "foo a", false),
            ("foo$", "foofoo", true),
            ("^foo$", "foo", true),
            ("^foo$", "foofoo", false),
            ("a*c", "xxabbbcxx", true),
            ("^a*c$", "abcbc", true),
            ("^a*c$", "abcb", false),
            ("a*b*c", "acb", false),
            ("*", "anything", true),
            ("*", "", false),
            ("foo*$", "foo and more", true),
            ("^*foo", "a foo", true),
            ("libfoo.so", "/usr/lib/libfoo.so.1", true),
            ("^a*a$", "a", false),
            ("operator new", "operator new[](unsigned long)", true),
            ("ü*ö", "xüyözß", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn files_have_lines() {
        let patterns = parse("# ours\n\nleak:^foo$\n  leak: bar \n").unwrap();
        assert_eq!(patterns, [Pattern::new("^foo$"), Pattern::new("bar")]);
        assert_eq!(parse("leak:a\nrace:b\n"), Err((2, "race:b".to_owned())));
        assert_eq!(parse("leak:\n"), Err((1, "leak:".to_owned())));
    }
}
