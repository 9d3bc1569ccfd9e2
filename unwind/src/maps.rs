//! The mappings of the process, by `/proc/self/maps`.

use crate::syscall::File;

/// A mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// Its first address.
    pub start: usize,
    /// The address after it.
    pub end: usize,
    /// Whether it can be read.
    pub readable: bool,
    /// Whether it can be executed.
    pub executable: bool,
    /// Where the first byte of the file lies of which this is a part, if it can be read; 0 for none.
    pub file: usize,
    /// Whether the kernel lets it grow down: the first thread's stack.
    pub grows: bool,
}

impl Mapping {
    /// Whether this address is in it.
    pub fn holds(&self, address: usize) -> bool {
        self.start <= address && address < self.end
    }
}

/// `struct procmap_query` of `<linux/fs.h>`.
#[derive(Default)]
#[repr(C)]
struct Query {
    size: u64,
    flags: u64,
    address: u64,
    start: u64,
    end: u64,
    vma_flags: u64,
    page_size: u64,
    offset: u64,
    inode: u64,
    device: [u32; 2],
    name_size: u32,
    build_id_size: u32,
    name: u64,
    build_id: u64,
}

/// `PROCMAP_QUERY`: `_IOWR('f', 17, struct procmap_query)`.
const PROCMAP_QUERY: usize = 3 << 30 | size_of::<Query>() << 16 | (b'f' as usize) << 8 | 17;
const READABLE: u64 = 1;
const EXECUTABLE: u64 = 4;
/// Bytes of the host's stack for pieces of the file.
const PIECE: usize = 256;
const STACK: &[u8; 8] = b"[stack]\0";

/// The mapping that holds an address.
#[inline(never)]
pub fn find(address: usize) -> Option<Mapping> {
    let file = File::open(c"/proc/self/maps")?;
    // The query of newer kernels does not say to which file's start a mapping belongs.
    match query(&file, address) {
        Answer::Anonymous(mapping) => Some(mapping),
        Answer::Nothing => None,
        Answer::Unknown => read(&file, address),
    }
}

enum Answer {
    Anonymous(Mapping),
    Nothing,
    Unknown,
}

fn query(file: &File, address: usize) -> Answer {
    let mut name = [0u8; STACK.len()];
    let mut query = Query {
        size: size_of::<Query>() as u64,
        address: address as u64,
        name_size: name.len() as u32,
        name: name.as_mut_ptr() as u64,
        ..Query::default()
    };
    // SAFETY: a request on a `Query`, which names `name` and its length.
    if !unsafe { file.control(PROCMAP_QUERY, &mut query) } {
        // No such mapping, a longer name, or an old kernel.
        return Answer::Unknown;
    }
    let mapping = Mapping {
        start: query.start as usize,
        end: query.end as usize,
        readable: query.vma_flags & READABLE != 0,
        executable: query.vma_flags & EXECUTABLE != 0,
        file: 0,
        grows: name == *STACK,
    };
    match (mapping.holds(address), query.inode) {
        (false, _) => Answer::Nothing,
        (true, 0) => Answer::Anonymous(mapping),
        (true, _) => Answer::Unknown,
    }
}

/// Reads the file line by line.
fn read(file: &File, address: usize) -> Option<Mapping> {
    let mut lines = Lines::new(file);
    let (mut first, mut first_of) = (0, None);
    while let Some(line) = lines.next() {
        if line.offset == 0 && line.inode != 0 || line.is_vdso {
            first = if line.mapping.readable { line.mapping.start } else { 0 };
            first_of = Some((line.device, line.inode));
        }
        if line.mapping.holds(address) {
            let known = first_of == Some((line.device, line.inode));
            return Some(Mapping { file: if known { first } else { 0 }, ..line.mapping });
        }
        if line.mapping.start > address {
            return None;
        }
    }
    None
}

#[derive(Default)]
struct Line {
    mapping: Mapping,
    offset: usize,
    device: usize,
    inode: usize,
    is_vdso: bool,
}

struct Lines<'a> {
    file: &'a File,
    piece: [u8; PIECE],
    at: usize,
    filled: usize,
}

impl<'a> Lines<'a> {
    fn new(file: &'a File) -> Lines<'a> {
        Lines { file, piece: [0; PIECE], at: 0, filled: 0 }
    }

    fn byte(&mut self) -> Option<u8> {
        if self.at >= self.filled {
            self.filled = self.file.read(&mut self.piece);
            self.at = 0;
        }
        let byte = *self.piece.get(..self.filled)?.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// A number, and the byte behind it.
    fn number(&mut self, base: u32) -> Option<(usize, u8)> {
        let mut value = 0usize;
        loop {
            let byte = self.byte()?;
            match char::from(byte).to_digit(base) {
                Some(digit) => {
                    value = value.wrapping_mul(base as usize).wrapping_add(digit as usize);
                }
                None => return Some((value, byte)),
            }
        }
    }

    /// `start-end rwxp offset device:minor inode  path`
    fn next(&mut self) -> Option<Line> {
        let mut line = Line::default();
        line.mapping.start = self.number(16)?.0;
        line.mapping.end = self.number(16)?.0;
        let rights = [self.byte()?, self.byte()?, self.byte()?, self.byte()?];
        line.mapping.readable = rights[0] == b'r';
        line.mapping.executable = rights[2] == b'x';
        self.byte()?;
        line.offset = self.number(16)?.0;
        line.device = self.number(16)?.0 << 32;
        line.device |= self.number(16)?.0;
        let (inode, mut last) = self.number(10)?;
        line.inode = inode;
        // The path: its first bytes tell the kernel's own mappings.
        let (mut start, mut length) = ([0u8; 8], 0);
        while last != b'\n' {
            last = self.byte()?;
            if last != b' ' && last != b'\n' {
                if let Some(place) = start.get_mut(length) {
                    *place = last;
                }
                length += 1;
            }
        }
        line.is_vdso = inode == 0 && start == *b"[vdso]\0\0";
        line.mapping.grows = inode == 0 && start == *STACK;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_of_this_process() {
        let local = 7;
        let heap = Box::new(7);
        let stack = find(&raw const local as usize).unwrap();
        assert!(
            stack.readable && !stack.executable && !stack.grows && stack.file == 0,
            "{stack:?}"
        );
        let heap = find(&raw const *heap as usize).unwrap();
        assert!(heap.readable && !heap.executable);
        let code = find(find as *const () as usize).unwrap();
        assert!(code.readable && code.executable && code.file != 0 && code.file < code.start);
        // SAFETY: the first bytes of the file, which is mapped.
        assert_eq!(unsafe { *(code.file as *const [u8; 4]) }, *b"\x7fELF");
        assert_eq!(find(8), None);
        assert_eq!(find(usize::MAX), None);
    }

    #[test]
    fn the_text_and_the_query_say_the_same() {
        let text = std::fs::read_to_string("/proc/self/maps").unwrap();
        let mut grows = 0;
        for line in text.lines() {
            let (start, rest) = line.split_once('-').unwrap();
            let start = usize::from_str_radix(start, 16).unwrap();
            let end = usize::from_str_radix(rest.split_once(' ').unwrap().0, 16).unwrap();
            let file = File::open(c"/proc/self/maps").unwrap();
            let Some(read) = read(&file, start) else { continue };
            assert_eq!(read.start, start, "{line}");
            assert_eq!(read.readable, rest.split_once(' ').unwrap().1.starts_with('r'), "{line}");
            assert_eq!(read.grows, line.ends_with("[stack]"), "{line}");
            grows += usize::from(read.grows);
            assert_eq!(read.file != 0, read.file == start || read.file != 0, "{line}");
            let found = find(start).unwrap();
            assert!(read.end == found.end || read.executable || read.end == end, "{line}");
            assert_eq!((read.readable, read.grows), (found.readable, found.grows), "{line}");
        }
        assert_eq!(grows, 1);
    }
}
