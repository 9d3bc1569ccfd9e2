//! Debug information outside of the file (`-gsplit-dwarf`): a file for each source, or a package.

use std::cell::{Cell, OnceCell};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use addr2line::SplitDwarfLoad;
use addr2line::gimli::{Dwarf, DwarfPackage, UnitRef};

use super::elf::Image;
use super::guard::is_deep;
use super::sections::{Bytes, Sections, bytes, split_sections};

/// The most files that are opened for one module.
const MOST: usize = 4096;

/// Room for files that are opened while others are being read.
pub(super) struct Room<T>(Box<[OnceCell<T>]>);

impl<T> Room<T> {
    pub(super) fn new() -> Room<T> {
        Room((0..MOST).map(|_| OnceCell::new()).collect())
    }
}

/// Where debug information outside of the file comes from.
pub(super) struct Split<'a, 'file> {
    pub package: Option<DwarfPackage<Bytes<'a>>>,
    pub files: &'file Room<Image>,
    pub sections: &'a Room<Sections<'file>>,
    /// Number of files that were opened.
    pub opened: Cell<usize>,
}

impl<'a> Split<'a, '_> {
    /// The debug information of one source, if it is still what the module means.
    pub(super) fn load(&self, load: &SplitDwarfLoad<Bytes<'a>>) -> Option<Arc<Dwarf<Bytes<'a>>>> {
        if let Some(package) = &self.package
            && let Ok(Some(found)) = package.find_cu(load.dwo_id, &load.parent)
        {
            return is_sound(&found).then(|| Arc::new(found));
        }
        let part = |bytes: Bytes<'a>| OsStr::from_bytes(bytes.slice());
        let mut path = load.comp_dir.map_or_else(PathBuf::new, |it| part(it).into());
        path.push(part(load.path?));
        if !path.is_absolute() {
            return None;
        }
        let number = self.opened.replace(self.opened.get() + 1);
        let (file, sections) = (self.files.0.get(number)?, self.sections.0.get(number)?);
        let image = Image::open(&path).ok()?;
        let elf = file.get_or_init(|| image).elf().ok()?;
        let read = split_sections(&elf).ok()?;
        let mut dwarf = sections.get_or_init(|| read).borrow(|section| bytes(section));
        let header = dwarf.units().next().ok()??;
        if dwarf.unit(header).ok()?.dwo_id != Some(load.dwo_id) {
            return None;
        }
        dwarf.make_dwo(&load.parent);
        is_sound(&dwarf).then(|| Arc::new(dwarf))
    }
}

/// The one unit of the file can be read.
fn is_sound(dwarf: &Dwarf<Bytes<'_>>) -> bool {
    let Ok(Some(header)) = dwarf.units().next() else { return false };
    dwarf.unit(header).is_ok_and(|unit| !is_deep(UnitRef::new(dwarf, &unit)))
}
