//! Lines of any length.

use std::io::{self, BufRead};

/// Reads a line without its end, of which this many bytes are kept. Says how it ended; None if there
/// is none.
pub(super) fn read_line(
    input: &mut impl BufRead,
    line: &mut Vec<u8>,
    most: usize,
) -> io::Result<Option<LineEnd>> {
    line.clear();
    let mut end = None;
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(end);
        }
        let newline = buffer.iter().position(|&byte| byte == b'\n');
        let part = &buffer[..newline.unwrap_or(buffer.len())];
        let kept = part.len().min(most - line.len());
        line.extend_from_slice(&part[..kept]);
        let was_cut = kept < part.len() || end == Some(LineEnd::Cut);
        end = Some(if was_cut { LineEnd::Cut } else { LineEnd::File });
        let used = part.len() + usize::from(newline.is_some());
        input.consume(used);
        if newline.is_some() {
            return Ok(Some(if was_cut { LineEnd::Cut } else { LineEnd::Line }));
        }
    }
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineEnd {
    /// By its end.
    Line,
    /// With the file: the rest may be missing.
    File,
    /// It is longer than what was kept.
    Cut,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_and_the_next_one_is_found() {
        let text = b"one\n\ntoo long for it\nend";
        // A buffer of three bytes at a time.
        let mut input = io::BufReader::with_capacity(3, &text[..]);
        let (mut line, mut found) = (Vec::new(), Vec::new());
        while let Some(end) = read_line(&mut input, &mut line, 5).unwrap() {
            found.push((String::from_utf8(line.clone()).unwrap(), end));
        }
        let expected = [
            ("one", LineEnd::Line),
            ("", LineEnd::Line),
            ("too l", LineEnd::Cut),
            ("end", LineEnd::File),
        ];
        assert_eq!(found, expected.map(|(text, end)| (text.to_owned(), end)));
    }
}
