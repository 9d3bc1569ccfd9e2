//! Debug information that no compiler makes, and that is not read: it would take the stack, or far
//! more memory than its file.

use addr2line::gimli::{DebugInfoOffset, Dwarf, Error, UnitRef};
use rustc_hash::FxHashSet;

use super::sections::Bytes;

/// The deepest nesting of entries: inlined functions are read by recursion.
const MOST_DEPTH: isize = 512;
/// The most bytes of paths of sources for each byte of a file, each of which takes its directory
/// with it.
const MOST_PATHS: u64 = 16;
/// The bytes of paths that any file may have.
const FREE: u64 = 64 << 20;

/// Refuses what would take too much; `size` is that of the file.
pub(super) fn check(dwarf: &Dwarf<Bytes<'_>>, size: u64, addresses: &[u64]) -> Result<(), String> {
    check_units(dwarf, size, addresses).map_err(|error| error.to_string())?.map_or(Ok(()), Err)
}

/// Says what is too much.
fn check_units(
    dwarf: &Dwarf<Bytes<'_>>,
    size: u64,
    addresses: &[u64],
) -> Result<Option<String>, Error> {
    let listed = listed(dwarf, addresses)?;
    let (mut paths, most) = (0, FREE + size.saturating_mul(MOST_PATHS));
    let mut headers = dwarf.units();
    while let Some(header) = headers.next()? {
        let offset = header.debug_info_offset();
        // What cannot be read here cannot be read elsewhere.
        let Ok(unit) = dwarf.unit(header) else { continue };
        let unit = UnitRef::new(dwarf, &unit);
        paths += paths_of(unit);
        if paths > most {
            return Ok(Some(format!("paths of more than {most} bytes")));
        }
        let is_listed = offset.is_some_and(|offset| listed.contains(&offset));
        if (is_listed || may_hold(unit, addresses)) && is_deep(unit) {
            return Ok(Some(format!("entries nested deeper than {MOST_DEPTH}")));
        }
    }
    Ok(None)
}

/// The units that hold some of the addresses, by `.debug_aranges`.
fn listed(
    dwarf: &Dwarf<Bytes<'_>>,
    addresses: &[u64],
) -> Result<FxHashSet<DebugInfoOffset>, Error> {
    let mut listed = FxHashSet::default();
    let mut headers = dwarf.debug_aranges.headers();
    while let Some(header) = headers.next()? {
        let mut entries = header.entries();
        while let Some(entry) = entries.next().transpose() {
            if let Ok(entry) = entry
                && any_within(addresses, entry.range().begin, entry.range().end)
            {
                listed.insert(header.debug_info_offset());
            }
        }
    }
    Ok(listed)
}

fn any_within(addresses: &[u64], start: u64, end: u64) -> bool {
    let first = addresses.partition_point(|&address| address < start);
    addresses.get(first).is_some_and(|&address| address < end)
}

/// The unit says that it holds some of the addresses, or does not say what it holds.
fn may_hold(unit: UnitRef<'_, Bytes<'_>>, addresses: &[u64]) -> bool {
    let Ok(mut ranges) = unit.unit_ranges() else { return true };
    let mut has_ranges = false;
    loop {
        match ranges.next() {
            Ok(Some(range)) if any_within(addresses, range.begin, range.end) => return true,
            Ok(Some(_)) => has_ranges = true,
            Ok(None) => return !has_ranges,
            Err(_) => return true,
        }
    }
}

/// The most bytes that the paths of a unit may take.
fn paths_of(unit: UnitRef<'_, Bytes<'_>>) -> u64 {
    let Some(program) = &unit.line_program else { return 0 };
    let header = program.header();
    let directories = header.include_directories().iter();
    let length = |it| unit.attr_string(it).map_or(0, |bytes| bytes.len());
    let longest = directories.map(|directory| length(*directory)).max().unwrap_or(0);
    let before = unit.comp_dir.map_or(0, |bytes| bytes.len()) + longest;
    header.file_names().iter().map(|file| (length(file.path_name()) + before) as u64).sum()
}

/// The entries of the unit are nested too deeply.
pub(super) fn is_deep(unit: UnitRef<'_, Bytes<'_>>) -> bool {
    let Ok(mut entries) = unit.entries_raw(None) else { return false };
    while !entries.is_empty() {
        if entries.next_depth() > MOST_DEPTH {
            return true;
        }
        match entries.read_abbreviation() {
            Ok(Some(abbreviation)) => {
                if entries.skip_attributes(abbreviation.attributes()).is_err() {
                    return false;
                }
            }
            Ok(None) => {}
            Err(_) => return false,
        }
    }
    false
}
