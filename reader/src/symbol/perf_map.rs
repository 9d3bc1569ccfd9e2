//! Maps that processes write of the functions that they make while they run, in the form that `perf`
//! has introduced: a line each, `START SIZE NAME`, numbers in hexadecimal.
//!
//! Anybody may write such a file. It is read in one go; memory is bounded by the number of addresses
//! that are asked for, and time by the length of the file.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use super::elf::open;
use super::lines::read_line;
use super::locate::readable;
use super::module::{CodeAddress, JitProcess};
use super::names::{Frame, Names, Resolved};
use super::options::SymbolOptions;
use super::state::State;

/// The most bytes of a map that are read.
const MOST_READ: u64 = 1 << 30;
/// The most bytes of a line that are kept: longer names are cut.
const MOST_LINE: usize = 4096;
/// The most times that a line may tell about an address.
const MOST_HITS: u64 = 1 << 26;

/// The entry of the map for an address.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Nothing,
    Function {
        start: u64,
        name: Arc<str>,
    },
    /// Several functions, one after the other.
    Replaced,
}

/// Names from the map of a process.
pub(super) fn symbolize(
    options: &SymbolOptions,
    process: &JitProcess,
    addresses: &[CodeAddress],
) -> Names {
    let place = |address: &CodeAddress| Resolved { frames: Vec::new(), offset: address.value };
    let mut names = Names {
        state: State::Anonymous,
        unverified: false,
        rejected: Vec::new(),
        resolved: addresses.iter().map(place).collect(),
    };
    if !options.perf_maps {
        return names;
    }
    let path = options.in_root(Path::new(&format!("/tmp/perf-{}.map", process.pid)));
    let file = readable(&path);
    let mut sorted: Vec<_> = addresses.iter().map(|address| address.within()).collect();
    sorted.sort_unstable();
    sorted.dedup();
    match the_map_of(process, &path).and_then(|map| read(BufReader::new(map), &sorted)) {
        Err(error) => names.state = State::NoMap { file, error: error.to_string() },
        Ok(entries) => {
            let mut replaced = 0;
            for (place, address) in names.resolved.iter_mut().zip(addresses) {
                let Ok(at) = sorted.binary_search(&address.within()) else { continue };
                match &entries[at] {
                    Entry::Nothing => {}
                    Entry::Replaced => replaced += 1,
                    Entry::Function { start, name } => place.frames.push(Frame {
                        function: Some(Arc::clone(name)),
                        offset: Some(address.value.wrapping_sub(*start)),
                        ..Frame::default()
                    }),
                }
            }
            names.state = State::Jit { file, replaced };
        }
    }
    names
}

/// Opens the map, if this process can have written it.
fn the_map_of(process: &JitProcess, path: &Path) -> io::Result<File> {
    let file = open(path)?;
    let metadata = file.metadata()?;
    let other = |what| Err(io::Error::new(io::ErrorKind::InvalidData, what));
    if process.started.is_some_and(|start| metadata.modified().is_ok_and(|it| it < start)) {
        return other("older than the process");
    }
    if process.ended.is_some_and(|end| metadata.created().is_ok_and(|it| it > end)) {
        return other("made after the process had ended");
    }
    Ok(file)
}

/// The entry of the map for each of these addresses, which are sorted.
fn read(map: impl BufRead, addresses: &[u64]) -> io::Result<Vec<Entry>> {
    let mut map = map.take(MOST_READ);
    let mut entries = vec![Entry::Nothing; addresses.len()];
    let (mut line, mut hits) = (Vec::new(), 0);
    while read_line(&mut map, &mut line, MOST_LINE)?.is_some() {
        let Some((start, end, name)) = parse(&line) else { continue };
        let first = addresses.partition_point(|&address| address < start);
        let mut made = None::<Arc<str>>;
        for (entry, &address) in entries[first..].iter_mut().zip(&addresses[first..]) {
            if address >= end {
                break;
            }
            hits += 1;
            let name = made.get_or_insert_with(|| String::from_utf8_lossy(name).into());
            *entry = match entry {
                Entry::Nothing => Entry::Function { start, name: Arc::clone(name) },
                Entry::Function { start: before, name: other }
                    if *before == start && other == name =>
                {
                    continue;
                }
                Entry::Function { .. } | Entry::Replaced => Entry::Replaced,
            };
        }
        if hits > MOST_HITS {
            let error = "more functions than code could hold";
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
    }
    Ok(entries)
}

/// Start, end and name.
fn parse(line: &[u8]) -> Option<(u64, u64, &[u8])> {
    let mut parts = line.splitn(3, |&byte| byte == b' ');
    let (start, size) = (hexadecimal(parts.next()?)?, hexadecimal(parts.next()?)?);
    let name = parts.next()?.trim_ascii();
    (!name.is_empty() && size > 0).then(|| Some((start, start.checked_add(size)?, name)))?
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    let digits = digits.strip_prefix(b"0x").unwrap_or(digits);
    let digits = str::from_utf8(digits).ok().filter(|it| !it.starts_with('+'))?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(map: &[u8], addresses: &[u64]) -> Vec<String> {
        let entries = read(map, addresses).unwrap().into_iter();
        let name = |entry| match entry {
            Entry::Nothing => "-".to_owned(),
            Entry::Function { start, name } => format!("{start:x} {name}"),
            Entry::Replaced => "replaced".to_owned(),
        };
        entries.map(name).collect()
    }

    #[test]
    fn functions_are_found() {
        let map = b"1000 10 LazyCompile:~f /a b.js:1\n0x1010 0x20 Builtin:g\x1b[2J\n\
            1040 10 old\n1040 8 new\n1060 4 same\n1060 4 same\n1080 0 empty\n1090 8 \n10a0 8 end";
        let addresses =
            [0xfff, 0x1000, 0x100f, 0x1010, 0x1030, 0x1047, 0x104f, 0x1061, 0x1080, 0x1091, 0x10a1];
        assert_eq!(
            names(map, &addresses),
            [
                "-",
                "1000 LazyCompile:~f /a b.js:1",
                "1000 LazyCompile:~f /a b.js:1",
                "1010 Builtin:g\x1b[2J",
                "-",
                "replaced",
                "1040 old",
                "1060 same",
                "-",
                "-",
                "10a0 end",
            ]
        );
    }

    #[test]
    fn long_lines_are_cut() {
        let map = [b"10 10 ".to_vec(), vec![b'x'; 1 << 20], b"\n20 10 next".to_vec()].concat();
        let names = names(&map, &[0x11, 0x21]);
        assert_eq!(names[0].len(), MOST_LINE - "10 10 ".len() + "10 ".len());
        assert_eq!(names[1], "20 next");
    }

    #[test]
    fn a_map_that_tells_everything_of_everything_is_refused() {
        let addresses: Vec<_> = (1..10_000).collect();
        let map = b"0 ffffffffffffffff x\n".repeat(7_000);
        assert!(read(&map[..], &addresses).is_err());
    }

    proptest! {
        #[test]
        fn no_content_is_too_much(map: Vec<u8>, mut addresses: Vec<u64>) {
            addresses.sort_unstable();
            prop_assert_eq!(read(&map[..], &addresses).unwrap().len(), addresses.len());
        }

        #[test]
        fn lines_of_any_numbers(lines in proptest::collection::vec(("[0-9a-fx+ -]{0,18}", "[0-9a-f]{0,17}", ".*"), 0..20)) {
            let map: String = lines.iter().map(|(a, b, c)| format!("{a} {b} {c}\n")).collect();
            let addresses = [0, 1, 0x10, 0x1000, u64::MAX - 1, u64::MAX];
            prop_assert_eq!(read(map.as_bytes(), &addresses).unwrap().len(), 6);
        }
    }
}
