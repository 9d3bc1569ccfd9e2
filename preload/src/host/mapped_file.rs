//! The file that is mapped at an address, by `/proc/self/maps`: where the loader cannot be asked.

use super::files::{self, Fd};

/// Bytes of a path that are kept.
const LONGEST: usize = 256;
/// Bytes that are read at once: the stack may be small.
const PIECE: usize = 128;

/// A mapped file.
pub struct MappedFile {
    /// Where its first byte lies.
    pub start: usize,
    /// The end of its last mapping that follows without another file's between.
    pub end: usize,
    path: [u8; LONGEST],
    length: usize,
}

/// A line of the file, as far as it matters.
struct Line {
    start: usize,
    end: usize,
    offset: usize,
    path: [u8; LONGEST],
    length: usize,
}

impl Line {
    fn path(&self) -> &[u8] {
        self.path.get(..self.length).unwrap_or_default()
    }
}

impl MappedFile {
    /// The file at an address; `None` if there is none.
    pub fn at(address: usize) -> Option<MappedFile> {
        let file = files::open(c"/proc/self/maps", libc::O_RDONLY | libc::O_CLOEXEC, 0).ok()?;
        let mut lines = Lines { file, piece: [0; PIECE], next: 0, filled: 0 };
        let found = look(&mut lines, address);
        files::close(file);
        found
    }

    /// Its path, cut at 256 bytes.
    pub fn path(&self) -> &[u8] {
        self.path.get(..self.length).unwrap_or_default()
    }
}

fn look(lines: &mut Lines, address: usize) -> Option<MappedFile> {
    let mut current: Option<MappedFile> = None;
    let mut holds = false;
    while let Some(line) = lines.next() {
        match &mut current {
            Some(file) if file.path() == line.path() && line.offset != 0 => file.end = line.end,
            _ if holds => break,
            _ if line.offset == 0 && line.length != 0 => {
                let Line { start, end, path, length, .. } = line;
                current = Some(MappedFile { start, end, path, length });
            }
            _ => current = None,
        }
        holds |= (line.start..line.end).contains(&address);
        if holds && current.is_none() {
            return None;
        }
    }
    current.filter(|_| holds)
}

struct Lines {
    file: Fd,
    piece: [u8; PIECE],
    next: usize,
    filled: usize,
}

impl Lines {
    fn byte(&mut self) -> Option<u8> {
        if self.next >= self.filled {
            self.filled = files::read(self.file, &mut self.piece).ok()?;
            self.next = 0;
        }
        let byte = *self.piece.get(..self.filled)?.get(self.next)?;
        self.next += 1;
        Some(byte)
    }

    /// A hexadecimal number and what ends it.
    fn number(&mut self) -> Option<usize> {
        let mut value = 0usize;
        while let Some(digit) = char::from(self.byte()?).to_digit(16) {
            value = value << 4 | digit as usize;
        }
        Some(value)
    }

    /// `start-end rwxp offset device:minor inode  path`
    fn next(&mut self) -> Option<Line> {
        let (start, end) = (self.number()?, self.number()?);
        for _ in 0..5 {
            self.byte()?;
        }
        let offset = self.number()?;
        let mut line = Line { start, end, offset, path: [0; LONGEST], length: 0 };
        let mut fields = 0;
        loop {
            match self.byte()? {
                b'\n' => return Some(line),
                // Device and inode come first.
                b' ' if line.length == 0 => fields += 1,
                byte if fields >= 2 => {
                    if let Some(place) = line.path.get_mut(line.length) {
                        *place = byte;
                        line.length += 1;
                    }
                }
                _ => {}
            }
        }
    }
}
