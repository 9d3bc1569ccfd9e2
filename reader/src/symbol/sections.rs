//! The sections of debug information that names and lines need.

use std::borrow::Cow;

use addr2line::gimli::{DwarfSections, EndianSlice, LittleEndian, SectionId};

use super::elf::{Elf, section};

pub(super) type Bytes<'a> = EndianSlice<'a, LittleEndian>;
pub(super) type Sections<'a> = DwarfSections<Cow<'a, [u8]>>;

pub(super) fn bytes(section: &[u8]) -> Bytes<'_> {
    EndianSlice::new(section, LittleEndian)
}

/// The sections of a file.
pub(super) fn sections<'a>(elf: &Elf<'a>) -> Result<Sections<'a>, String> {
    DwarfSections::load(|id| needed(elf, id, Some(id.name())))
}

/// The sections of a file of `-gsplit-dwarf`.
pub(super) fn split_sections<'a>(elf: &Elf<'a>) -> Result<Sections<'a>, String> {
    DwarfSections::load(|id| needed(elf, id, id.dwo_name()))
}

/// A section, if it is one that is needed.
pub(super) fn needed<'a>(
    elf: &Elf<'a>,
    id: SectionId,
    name: Option<&str>,
) -> Result<Cow<'a, [u8]>, String> {
    use SectionId::{DebugLoc, DebugLocLists, DebugMacinfo, DebugMacro, DebugNames, DebugTypes};
    match (name, id) {
        (None, _)
        | (_, DebugLoc | DebugLocLists | DebugMacinfo | DebugMacro | DebugNames | DebugTypes) => {
            Ok((&[][..]).into())
        }
        (Some(name), _) => section(elf, name),
    }
}
