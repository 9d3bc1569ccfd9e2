//! Text of others, made harmless for a terminal.

use std::borrow::Cow;

pub use mallook_reader::{escape, escape_json};

/// The last part of a path.
pub fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// The last part of a path, harmless for a terminal.
pub fn base_name(path: &str) -> Cow<'_, str> {
    escape(last_part(path))
}

/// A function, and behind it the last part of its source, harmless for a terminal.
pub fn function_at(function: &str, source: Option<&str>) -> String {
    match source {
        Some(source) => format!("{} {}", escape(function), base_name(source)),
        None => escape(function).into_owned(),
    }
}

/// A value as JSON over several lines, whose strings are harmless for a terminal.
pub fn pretty_json(value: &impl serde::Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string_pretty(value)?;
    // The only line feeds are those between lines.
    Ok(text.lines().map(|line| escape_json(line).into_owned() + "\n").collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_lines_and_strings_are_escaped() {
        let value = serde_json::json!({"a": "x\n\u{1b}[2J\u{9b}", "b": [1]});
        let text = pretty_json(&value).unwrap();
        assert!(text.lines().count() > 4 && !text.contains(['\u{1b}', '\u{9b}']), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
