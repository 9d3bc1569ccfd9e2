//! A growing text, and rows of it.

use std::io;

/// Bytes of a row; the longest one of any format has fewer than 450. A position is taken modulo this
/// number, so it needs no bounds check.
const PLACES: usize = 1 << 9;
/// Bytes after a row that an array may overwrite while it is put in.
const SLACK: usize = 64;

/// A growing text, in memory that is initialised once and not with every row.
#[derive(Clone, Debug, Default)]
pub struct TextBuffer {
    /// Initialised memory, of which the first `length` bytes are the text.
    bytes: Vec<u8>,
    length: usize,
}

impl TextBuffer {
    /// An empty text.
    pub fn new() -> TextBuffer {
        TextBuffer::default()
    }

    /// The text.
    pub fn text(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Number of bytes of the text.
    #[allow(clippy::len_without_is_empty, reason = "no caller needs it")]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Removes the text.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Appends some text.
    pub fn put(&mut self, text: &[u8]) {
        self.make_room(text.len());
        self.bytes[self.length..][..text.len()].copy_from_slice(text);
        self.length += text.len();
    }

    /// Removes the last bytes.
    pub(super) fn take_back(&mut self, count: usize) {
        self.length = self.length.saturating_sub(count);
    }

    /// Starts a row, which is appended when it [ends](Row::end).
    #[inline(always)]
    pub(super) fn row(&mut self) -> Row<'_> {
        if self.bytes.len() - self.length < PLACES + SLACK {
            self.make_room(PLACES + SLACK);
        }
        let bytes = self.bytes[self.length..].first_chunk_mut().expect("there is room");
        Row { bytes, total: &mut self.length, length: 0 }
    }

    #[cold]
    fn make_room(&mut self, room: usize) {
        let needed = self.length + room;
        if self.bytes.len() < needed {
            self.bytes.resize(needed.next_power_of_two(), 0);
        }
    }
}

impl io::Write for TextBuffer {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.put(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A row that is being appended to a text.
pub(super) struct Row<'a> {
    bytes: &'a mut [u8; PLACES + SLACK],
    total: &'a mut usize,
    /// Length of the row. It wraps around, so a row that is too long overwrites its beginning.
    length: usize,
}

impl Row<'_> {
    /// Appends the first `count` bytes of an array.
    #[inline(always)]
    pub fn put<const N: usize>(&mut self, bytes: [u8; N], count: usize) {
        const { assert!(N <= SLACK) };
        let start = self.length % PLACES;
        self.bytes[start..start + N].copy_from_slice(&bytes);
        self.length += count;
    }

    /// Takes back the last bytes.
    #[inline(always)]
    pub fn back(&mut self, count: usize) {
        self.length = self.length.saturating_sub(count);
    }

    #[inline(always)]
    pub fn byte(&mut self, byte: u8) {
        self.put([byte], 1);
    }

    /// Appends the row to the text.
    #[inline(always)]
    pub fn end(self) {
        *self.total += self.length % PLACES;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_follow_each_other() {
        let mut buffer = TextBuffer::new();
        buffer.put(b"before ");
        for _ in 0..1000 {
            let mut row = buffer.row();
            row.put(*b"0123456789abcdef", 10);
            row.byte(b'\n');
            row.end();
        }
        // This one does not end.
        buffer.row().byte(b'x');
        buffer.put(b"end");
        assert_eq!(
            buffer.text(),
            ["before ", &"0123456789\n".repeat(1000), "end"].concat().as_bytes()
        );
    }

    #[test]
    fn too_long_a_row_does_no_harm() {
        let mut buffer = TextBuffer::new();
        buffer.put(b"before ");
        let mut row = buffer.row();
        (0..100).for_each(|_| row.put([b'x'; SLACK], SLACK));
        row.end();
        assert!(buffer.text().starts_with(b"before ") && buffer.len() < 7 + PLACES);
    }
}
