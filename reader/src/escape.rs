//! Text of others, made harmless for a terminal.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::path::Path;

/// A path, made harmless for a terminal.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(pub &'a Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.0.to_string_lossy()))
    }
}

/// The text with its control characters spelled out: those that steer a terminal, and those that
/// turn the direction of writing.
pub fn escape(text: &str) -> Cow<'_, str> {
    spelled_out(text, |control, escaped| escaped.extend(control.escape_default()))
}

/// The same for JSON, whose writers leave some control characters in strings as they are.
pub fn escape_json(json: &str) -> Cow<'_, str> {
    spelled_out(json, |control, escaped| _ = write!(escaped, "\\u{:04x}", u32::from(control)))
}

fn spelled_out(text: &str, spell: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match is_control(character) {
            true => spell(character, &mut escaped),
            false => escaped.push(character),
        }
    }
    escaped.into()
}

fn is_control(character: char) -> bool {
    let turns = matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    character.is_control() || turns
}

/// Text as a field of csv: harmless, and in quotes if it has to be.
///
/// ```
/// assert_eq!(mallook_reader::escape_csv("a \"b\"\n"), r#""a ""b""\n""#);
/// assert_eq!(mallook_reader::escape_csv("main"), "main");
/// ```
pub fn escape_csv(text: &str) -> String {
    let text = escape(text);
    match text.contains([',', '"', ' ']) || text.is_empty() {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_control_characters_change() {
        for plain in ["", "/usr/bin/gcc-12", "/opt/Größe/日本", "back\\slash \"quoted\""] {
            assert_eq!(escape(plain), plain);
        }
        assert_eq!(escape("a\x1b[2Jb\n\t"), "a\\u{1b}[2Jb\\n\\t");
        assert_eq!(escape_json("\"\u{9b}ü\""), "\"\\u009bü\"");
        assert_eq!(escape("\u{9b}31m\u{7f}\u{202e}"), "\\u{9b}31m\\u{7f}\\u{202e}");
    }
}
