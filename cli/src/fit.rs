//! Text that fits into columns.

use std::os::fd::AsFd;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The columns of a terminal, if it is one.
pub fn columns(output: impl AsFd) -> Option<usize> {
    terminal_size::terminal_size_of(output).map(|(terminal_size::Width(width), _)| width.into())
}

/// The text with its middle left out, so that it is no wider than this. The end, which names the
/// program, keeps two thirds.
pub fn shorten(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let end: String = fitting(text.chars().rev(), room - room / 3).collect();
    let start = fitting(text.chars(), room / 3);
    start.chain(['…']).chain(end.chars().rev()).collect()
}

/// The text, shortened in its middle or filled up with blanks, so that it is as wide as this.
pub fn fill(text: &str, width: usize) -> String {
    pad(&shorten(text, width), width)
}

/// The text, filled up with blanks to this width where it is not wider itself.
pub fn pad(text: &str, width: usize) -> String {
    text.to_owned() + &" ".repeat(width.saturating_sub(text.width()))
}

/// As many parts of a text, which this stands between, as fit into a line: the first one is always there.
pub fn leading<'a>(text: &'a str, between: &str, width: usize) -> &'a str {
    let mut line = text;
    while line.width() > width
        && let Some((start, _)) = line.rsplit_once(between)
    {
        line = start;
    }
    line
}

/// Parts of a text with this between them, in lines of at most this width, as far as no part is wider
/// itself; all lines but the first are indented by `indent` blanks. Parts may have colours.
pub fn wrapped(parts: &[String], between: &str, indent: usize, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if visible(line) + between.width() + visible(part) <= width => {
                line.push_str(between);
                line.push_str(part);
            }
            Some(line) => {
                line.push_str(between.trim_end());
                lines.push(" ".repeat(indent) + part);
            }
            None => lines.push(part.clone()),
        }
    }
    lines
}

/// The words of a text in lines of at most this width, as [`wrapped`].
pub fn words(text: &str, indent: usize, width: usize) -> Vec<String> {
    let words: Vec<_> = text.split(' ').map(str::to_owned).collect();
    wrapped(&words, " ", indent, width)
}

/// The width of a text without its colours.
fn visible(text: &str) -> usize {
    let mut parts = text.split("\x1b[");
    let plain = parts.next().unwrap_or_default().width();
    plain
        + parts.map(|part| part.split_once('m').map_or(0, |(_, rest)| rest.width())).sum::<usize>()
}

/// The first characters, as long as they are no wider than this together.
fn fitting(characters: impl Iterator<Item = char>, width: usize) -> impl Iterator<Item = char> {
    characters
        .scan(0, |used, character| {
            *used += character.width().unwrap_or(0);
            Some((*used, character))
        })
        .take_while(move |&(used, _)| used <= width)
        .map(|(_, character)| character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_goes() {
        assert_eq!(shorten("/usr/bin/make", 13), "/usr/bin/make");
        assert_eq!(shorten("/usr/bin/make", 10), "/us…n/make");
        assert_eq!(shorten("日本日本日本", 7), "日…日本");
        assert_eq!(shorten("abc", 1), "…");
        assert_eq!(shorten("abc", 0), "…");
    }

    #[test]
    fn lines_are_broken_between_parts() {
        let parts = ["\x1b[1mpeak\x1b[0m 1 B", "2 blocks", "after 3 s"].map(str::to_owned);
        assert_eq!(wrapped(&parts, ", ", 2, 29).len(), 1);
        let lines = wrapped(&parts, ", ", 2, 28);
        assert_eq!(lines, ["\x1b[1mpeak\x1b[0m 1 B, 2 blocks,", "  after 3 s"]);
        assert_eq!(wrapped(&parts, " · ", 0, 1)[0], "\x1b[1mpeak\x1b[0m 1 B ·");
        assert_eq!(words("one two three", 1, 8), ["one two", " three"]);
    }

    #[test]
    fn a_line_has_whole_parts() {
        let text = "12 allocations a second, 3 KiB a second";
        assert_eq!(leading(text, ", ", 39), text);
        assert_eq!(leading(text, ", ", 38), "12 allocations a second");
        assert_eq!(leading(text, ", ", 0), "12 allocations a second");
    }

    #[test]
    fn columns_are_filled() {
        assert_eq!(fill("日本", 6), "日本  ");
        assert_eq!(fill("/usr/bin/make", 10), "/us…n/make");
    }
}
