//! Text of others, made harmless for a terminal.

pub use mallook_reader::{escape, escape_json};

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
