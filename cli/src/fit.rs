//! Text that fits into columns.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

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
    let mut text = shorten(text, width);
    let blanks = width.saturating_sub(text.width());
    text.extend(std::iter::repeat_n(' ', blanks));
    text
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
    fn columns_are_filled() {
        assert_eq!(fill("日本", 6), "日本  ");
        assert_eq!(fill("/usr/bin/make", 10), "/us…n/make");
    }
}
