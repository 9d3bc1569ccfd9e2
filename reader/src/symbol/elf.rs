//! An ELF file, and what tells which build it is.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use memmap2::Mmap;
use object::elf::{EM_X86_64, PF_X, PT_LOAD};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{LittleEndian, Object, ObjectSection};

use super::module::BuildId;

/// The most bytes that a compressed section may claim to have.
const MOST_UNPACKED: u64 = 4 << 30;
const PAGE: u64 = 4096;

pub(super) type Elf<'a> = ElfFile64<'a, LittleEndian>;

/// A regular file, opened for reading. What a trace names may be anything: a pipe that never ends,
/// a device that acts when it is opened.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let not_regular = || io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
    // Devices are not opened at all; what replaces the file in between does not block.
    if !path.metadata()?.is_file() {
        return Err(not_regular());
    }
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
}

/// A mapped ELF file.
pub(super) struct Image {
    pub path: PathBuf,
    map: Mmap,
    /// When its content was written.
    modified: SystemTime,
    /// When anything of it was changed, the content and the name included.
    changed: SystemTime,
}

impl Image {
    pub(super) fn open(path: &Path) -> io::Result<Image> {
        let file = open(path)?;
        let metadata = file.metadata()?;
        let since = |seconds: i64, nanos: i64| {
            let time = Duration::new(seconds.max(0) as u64, nanos.clamp(0, 999_999_999) as u32);
            UNIX_EPOCH.checked_add(time).unwrap_or(UNIX_EPOCH)
        };
        // SAFETY: the bytes are parsed by code that takes any. Linkers and package managers replace
        // files instead of writing into them; one that is written to meanwhile gives wrong bytes,
        // and one that is cut off ends the reader, as it ends every program that maps it.
        let map = unsafe { Mmap::map(&file) }?;
        Ok(Image {
            path: path.to_owned(),
            map,
            modified: since(metadata.mtime(), metadata.mtime_nsec()),
            changed: since(metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    pub(super) fn size(&self) -> u64 {
        self.map.len() as u64
    }

    /// The time of the content, or that of any change.
    pub(super) fn time(&self, of_any_change: bool) -> SystemTime {
        if of_any_change { self.modified.max(self.changed) } else { self.modified }
    }

    pub(super) fn elf(&self) -> Result<Elf<'_>, String> {
        let elf = Elf::parse(&*self.map).map_err(|error| error.to_string())?;
        match elf.elf_header().e_machine(LittleEndian) {
            EM_X86_64 => Ok(elf),
            machine => Err(format!("not for x86-64, but for machine {machine}")),
        }
    }

    /// The checksum of the whole file.
    pub(super) fn checksum(&self) -> u32 {
        crc32fast::hash(&self.map)
    }
}

/// The build ID, if the file has one.
pub(super) fn build_id(elf: &Elf<'_>) -> Option<BuildId> {
    BuildId::new(elf.build_id().ok()??)
}

/// The range that the program headers load, rounded to pages.
pub(super) fn loaded(elf: &Elf<'_>) -> Range<u64> {
    let (mut first, mut last) = (u64::MAX, 0);
    for header in elf.elf_program_headers() {
        if header.p_type(LittleEndian) == PT_LOAD {
            let start = header.p_vaddr(LittleEndian);
            let end = start.saturating_add(header.p_memsz(LittleEndian));
            first = first.min(start / PAGE * PAGE);
            last = last.max(end.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX));
        }
    }
    first..last
}

/// The ranges that hold code.
pub(super) fn executable(elf: &Elf<'_>) -> Vec<Range<u64>> {
    let headers = elf.elf_program_headers().iter();
    let code = headers.filter(|header| {
        header.p_type(LittleEndian) == PT_LOAD && header.p_flags(LittleEndian).contains(PF_X)
    });
    let range = |header: &object::elf::ProgramHeader64<LittleEndian>| {
        let start = header.p_vaddr(LittleEndian);
        start..start.saturating_add(header.p_memsz(LittleEndian))
    };
    code.map(range).collect()
}

/// The content of a section, decompressed; empty if there is none.
pub(super) fn section<'a>(elf: &Elf<'a>, name: &str) -> Result<std::borrow::Cow<'a, [u8]>, String> {
    let Some(section) = elf.section_by_name(name) else { return Ok((&[][..]).into()) };
    let data = section.compressed_data().map_err(|error| format!("{name}: {error}"))?;
    // No compression does better than 1 to 1032 (zlib) on anything but zeros.
    if data.uncompressed_size > MOST_UNPACKED {
        return Err(format!("{name}: {} bytes", data.uncompressed_size));
    }
    data.decompress().map_err(|error| format!("{name}: {error}"))
}

/// There is debug information in it.
pub(super) fn has_debug_info(elf: &Elf<'_>) -> bool {
    let info = elf.section_by_name(".debug_info");
    info.is_some_and(|section| {
        section.compressed_file_range().is_ok_and(|it| it.compressed_size > 0)
    })
}
