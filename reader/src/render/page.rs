//! Text that is being put together.

use std::io;

/// Places of a row, more than the longest one of any format has: six numbers of 20 digits, a name,
/// separators. A place is a `u8`, which costs no check.
const PLACES: usize = 1 << 8;
/// Space behind a row that an array may overwrite while it is put in.
const SLACK: usize = 48;

/// Text that grows at its end, in memory that is initialised once and not with every row.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// All of this is memory to write to; the first `length` bytes are text.
    bytes: Vec<u8>,
    length: usize,
}

impl Page {
    /// An empty page.
    pub fn new() -> Page {
        Page::default()
    }

    /// The text.
    pub fn text(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Number of bytes of the text.
    #[allow(clippy::len_without_is_empty, reason = "nobody asks")]
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

    /// Appends a row, which counts when it [ends](Row::end).
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

impl io::Write for Page {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.put(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A row that is being appended to a page.
pub(super) struct Row<'a> {
    bytes: &'a mut [u8; PLACES + SLACK],
    total: &'a mut usize,
    /// Bytes that were put in. What would be longer than all places begins again at the first.
    length: u8,
}

impl Row<'_> {
    /// Puts in an array of which the first `count` bytes count.
    #[inline(always)]
    pub fn put<const N: usize>(&mut self, bytes: [u8; N], count: usize) {
        const { assert!(N <= SLACK) };
        let start = usize::from(self.length);
        self.bytes[start..start + N].copy_from_slice(&bytes);
        self.length = self.length.wrapping_add(count as u8);
    }

    #[inline(always)]
    pub fn byte(&mut self, byte: u8) {
        self.put([byte], 1);
    }

    /// The row is done.
    #[inline(always)]
    pub fn end(self) {
        *self.total += usize::from(self.length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_follow_each_other() {
        let mut page = Page::new();
        page.put(b"before ");
        for _ in 0..1000 {
            let mut row = page.row();
            row.put(*b"0123456789abcdef", 10);
            row.byte(b'\n');
            row.end();
        }
        // This one does not end.
        page.row().byte(b'x');
        page.put(b"end");
        assert_eq!(
            page.text(),
            ["before ", &"0123456789\n".repeat(1000), "end"].concat().as_bytes()
        );
    }

    #[test]
    fn too_long_a_row_does_no_harm() {
        let mut page = Page::new();
        page.put(b"before ");
        let mut row = page.row();
        (0..100).for_each(|_| row.put([b'x'; 48], 48));
        row.end();
        assert!(page.text().starts_with(b"before ") && page.len() < 7 + PLACES);
    }
}
