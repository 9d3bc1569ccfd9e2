//! The frames of call stacks, as text, as rows of csv, and as JSON.

use std::fmt::Write;

use crate::escape::{escape, escape_csv, escape_json};
use crate::stack::{Frame, FrameKind, FrameName};

/// The columns of a table of stacks.
pub const TABLE: &[u8] =
    b"stack,frame,kind,inlined,function,file,line,col,module,module_offset,address\n";
/// Text that is not known. No field is empty.
const UNKNOWN: &str = "?";

/// The functions that a frame stands for, from the innermost on; one without a name if none is known.
pub fn names<'a>(frame: &Frame<'a>) -> impl Iterator<Item = Option<&'a FrameName>> + use<'a> {
    let unknown = frame.names.is_empty().then_some(None);
    frame.names.iter().map(Some).chain(unknown)
}

/// Appends a line for each function that a frame stands for.
pub fn lines(frame: &Frame, out: &mut String) {
    for name in names(frame) {
        out.push_str("        ");
        // Writing to memory does not fail.
        let _ = match name.and_then(|name| Some((name, name.function.as_ref()?))) {
            Some((name, function)) => {
                out.push_str(&escape(function));
                match (&name.file, name.line, name.offset) {
                    (Some(file), Some(line), _) => write!(out, " at {}:{line}", escape(file)),
                    (Some(file), None, _) => write!(out, " at {}", escape(file)),
                    (None, _, Some(offset)) => write!(out, "+{offset:#x}"),
                    (None, _, None) => Ok(()),
                }
            }
            None => {
                out.push_str(&escape(&frame.without_name()));
                Ok(())
            }
        };
        if name.is_some_and(|name| name.is_inlined) {
            out.push_str(" (inlined)");
        } else if let Some(module) = frame.module {
            let _ = write!(out, " in {}", escape(&module.path.to_string_lossy()));
        }
        out.push_str(match frame.kind {
            FrameKind::Signal => " (signal)",
            FrameKind::Guessed => " (the next frame is a guess)",
            FrameKind::NoRule => " (the next frame is not known)",
            _ => "",
        });
        out.push('\n');
    }
}

/// Appends what the rows of a table say of a frame, each without the two numbers before it.
pub fn rows(frame: &Frame) -> Vec<String> {
    let (offset, address) = (frame.address_in_file().unwrap_or(0), frame.address);
    let module = frame.module.map(|module| module.path.to_string_lossy());
    let module = escape_csv(module.as_deref().unwrap_or(UNKNOWN));
    let row = |name: Option<&FrameName>| {
        let text = |text: Option<&str>| escape_csv(text.unwrap_or(UNKNOWN));
        let function = text(name.and_then(|name| name.function.as_deref()));
        let file = text(name.and_then(|name| name.file.as_deref()));
        let line = name.and_then(|name| name.line).unwrap_or(0);
        let column = name.and_then(|name| name.column).unwrap_or(0);
        let inlined = u8::from(name.is_some_and(|name| name.is_inlined));
        let kind = frame.kind.name();
        format!(
            "{kind},{inlined},{function},{file},{line},{column},{module},{offset:#x},{address:#x}\n"
        )
    };
    names(frame).map(row).collect()
}

/// Appends a JSON object for each function that a frame stands for, with commas between them.
pub fn objects(frame: &Frame, out: &mut String) {
    for (position, name) in names(frame).enumerate() {
        out.push_str(if position == 0 { "{" } else { ",{" });
        let mut separator = "";
        let mut field = |key: &str, value: &str| {
            let _ = write!(out, "{separator}\"{key}\":{value}");
            separator = ",";
        };
        field("kind", &string(frame.kind.name()));
        if let Some(name) = name {
            if let Some(function) = &name.function {
                field("function", &string(function));
            }
            if let Some(file) = &name.file {
                field("file", &string(file));
            }
            for (key, number) in [("line", name.line), ("column", name.column)] {
                if let Some(number) = number {
                    field(key, &number.to_string());
                }
            }
            if name.is_inlined {
                field("inlined", "true");
            }
        }
        if let Some(module) = frame.module {
            field("module", &string(&module.path.to_string_lossy()));
            let offset = module.address_in_file(frame.address);
            field("offset", &format!("\"{offset:#x}\""));
        }
        if frame.address != 0 {
            field("address", &format!("\"{:#x}\"", frame.address));
        }
        out.push('}');
    }
}

/// A string of JSON.
fn string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\0'..='\x1f' => _ = write!(quoted, "\\u{:04x}", u32::from(character)),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    escape_json(&quoted).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn strings_are_those_of_json(text: String) {
            let quoted = string(&text);
            prop_assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
            prop_assert!(!quoted.contains(|it: char| it.is_control()));
        }

        #[test]
        fn fields_of_csv_are_one_field(text: String) {
            let field = escape_csv(&text);
            let inner = match field.strip_prefix('"') {
                Some(rest) => rest.strip_suffix('"').unwrap().replace("\"\"", "\u{1}"),
                None => field,
            };
            prop_assert!(!inner.contains('"') && !inner.is_empty() | text.is_empty());
            let is_control = |it: char| it.is_control() && it != '\u{1}';
            prop_assert!(!inner.contains(is_control));
        }
    }
}
