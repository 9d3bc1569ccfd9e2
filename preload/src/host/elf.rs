//! A loaded library, and its symbols, by its hash table.
//!
//! `dlsym` would do, but when it fails it allocates the text of the error, in the middle of our own
//! start; and some symbols are absent on purpose.

use core::ffi::{CStr, c_char};

use super::memory::PAGE;

type Header = libc::Elf64_Phdr;
pub type Symbol = libc::Elf64_Sym;

#[derive(Clone, Copy)]
#[repr(C)]
struct Dynamic {
    tag: i64,
    value: u64,
}

const DT_HASH: i64 = 4;
const DT_STRTAB: i64 = 5;
const DT_SYMTAB: i64 = 6;
const DT_DEBUG: i64 = 21;
const DT_VERSYM: i64 = 0x6fff_fff0;
/// Bit of a symbol's version: it is for programs of old, which ask for it.
const VERSION_HIDDEN: u16 = 0x8000;
const DT_GNU_HASH: i64 = 0x6fff_fef5;
/// The symbol that every copy of this library defines, and nothing else does.
pub const MARK: &CStr = c"mallook_recorder";
/// More entries than this are no dynamic section.
const MOST_ENTRIES: usize = 1 << 12;
const STT_NOTYPE: u8 = 0;
const STT_FUNC: u8 = 2;
const STT_GNU_IFUNC: u8 = 10;

/// A loaded program or library.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Object {
    base: u64,
    dynamic: u64,
    /// Where its path is, 0 if that is not known.
    path: u64,
}

/// Reads a value of a loaded object.
///
/// # Safety
/// `address` is the address of a `T` in its tables.
pub unsafe fn read<T: Copy>(address: u64) -> T {
    // SAFETY: by contract.
    unsafe { core::ptr::read_unaligned(address as *const T) }
}

/// The first program header of a type.
///
/// # Safety
/// `count` headers are at this address.
unsafe fn segment(headers: u64, count: u64, kind: u32) -> Option<Header> {
    let step = size_of::<Header>() as u64;
    // SAFETY: by contract.
    let header = |index: u64| unsafe { read::<Header>(headers + index * step) };
    (0..count).map(header).find(|header| header.p_type == kind)
}

/// The program headers of the file that begins at an address, and their number.
///
/// # Safety
/// Its first page is mapped and readable.
unsafe fn headers_of(start: u64) -> Option<(u64, u64)> {
    // SAFETY: by contract.
    let header: libc::Elf64_Ehdr = unsafe { read(start) };
    let count = u64::from(header.e_phnum);
    let end = header.e_phoff.checked_add(count * size_of::<Header>() as u64)?;
    let is_elf = header.e_ident.starts_with(b"\x7fELF\x02");
    (is_elf && end <= PAGE as u64).then_some((start + header.e_phoff, count))
}

/// The offset that was added to the addresses of the file that begins at an address.
///
/// # Safety
/// An ELF file is loaded there; at least, its first page is readable.
pub unsafe fn bias(start: u64) -> Option<u64> {
    // SAFETY: by contract.
    let (headers, count) = unsafe { headers_of(start) }?;
    // SAFETY: as found.
    let first = unsafe { segment(headers, count, libc::PT_LOAD) }?;
    Some(start.wrapping_sub(first.p_vaddr.wrapping_sub(first.p_offset)))
}

/// The build ID of the file that begins at an address.
///
/// # Safety
/// As [`bias`], and the file stays loaded.
pub unsafe fn build_id(start: u64) -> Option<&'static [u8]> {
    const NT_GNU_BUILD_ID: u32 = 3;
    // SAFETY: by contract.
    let bias = unsafe { bias(start) }?;
    // SAFETY: as above.
    let (headers, count) = unsafe { headers_of(start) }?;
    let step = size_of::<Header>() as u64;
    // SAFETY: as found.
    let each = (0..count).map(|index| unsafe { read::<Header>(headers + index * step) });
    for notes in each.filter(|header| header.p_type == libc::PT_NOTE) {
        let mut at = bias.wrapping_add(notes.p_vaddr);
        let end = at.wrapping_add(notes.p_memsz);
        while at + 16 <= end {
            // SAFETY: within a segment of notes, which is loaded.
            let [name, length, kind] = unsafe { read::<[u32; 3]>(at) };
            let padded = |length: u32| u64::from(length).next_multiple_of(4);
            let bytes = at + 12 + padded(name);
            if bytes.checked_add(length.into()).is_none_or(|bytes_end| bytes_end > end) {
                break;
            }
            // SAFETY: as above: the name comes before the bytes.
            let owner: [u8; 4] = unsafe { read(at + 12) };
            if kind == NT_GNU_BUILD_ID && name == 4 && owner == *b"GNU\0" {
                // SAFETY: as above; it stays by contract.
                return Some(unsafe {
                    core::slice::from_raw_parts(bytes as *const u8, length as usize)
                });
            }
            at = bytes + padded(length);
        }
    }
    None
}

/// The address of our own dynamic section.
fn own_dynamic() -> u64 {
    let place: u64;
    // SAFETY: computes an address; the linker defines the symbol in every dynamic object.
    unsafe {
        core::arch::asm!(
            ".hidden _DYNAMIC",
            "lea {}, [rip + _DYNAMIC]",
            out(reg) place,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    place
}

impl Object {
    /// The object with this dynamic section, if there is one.
    ///
    /// # Safety
    /// It is loaded at `base`, and its path is a string that lives as long, or 0.
    pub unsafe fn new(base: u64, dynamic: u64, path: u64) -> Option<Object> {
        (dynamic != 0).then_some(Object { base, dynamic, path })
    }

    /// The object whose file begins at this address, if it is not 0.
    ///
    /// # Safety
    /// An ELF file is loaded there.
    pub unsafe fn at(address: u64) -> Option<Object> {
        if address == 0 {
            return None;
        }
        // SAFETY: by contract.
        let header: libc::Elf64_Ehdr = unsafe { read(address) };
        let headers = address.wrapping_add(header.e_phoff);
        // SAFETY: as above: the first segment holds them.
        let find = |kind| unsafe { segment(headers, header.e_phnum.into(), kind) };
        let base = address.wrapping_sub(find(libc::PT_LOAD)?.p_vaddr);
        let dynamic = base.wrapping_add(find(libc::PT_DYNAMIC)?.p_vaddr);
        Some(Object { base, dynamic, path: 0 })
    }

    /// The object that has its program headers at this address, if that is not 0.
    ///
    /// # Safety
    /// `count` headers are there, and the object is loaded.
    pub unsafe fn of_headers(headers: u64, count: u64) -> Option<Object> {
        // SAFETY: by contract.
        let find = |kind| unsafe { segment(headers, count, kind) };
        if headers == 0 {
            return None;
        }
        if let Some(own) = find(libc::PT_PHDR) {
            let base = headers.wrapping_sub(own.p_vaddr);
            let dynamic = base.wrapping_add(find(libc::PT_DYNAMIC)?.p_vaddr);
            return Some(Object { base, dynamic, path: 0 });
        }
        // musl's loader, started as a program, does not say where its headers lie: behind the
        // header of the file.
        let start = headers.wrapping_sub(size_of::<libc::Elf64_Ehdr>() as u64);
        if !start.is_multiple_of(PAGE as u64) {
            return None;
        }
        // SAFETY: within the page that the headers are in.
        let magic: [u8; 4] = unsafe { read(start) };
        // SAFETY: as that of an ELF file.
        if magic == *b"\x7fELF" { unsafe { Object::at(start) } } else { None }
    }

    /// Its path as the loader has it, empty for the program.
    pub fn path(&self) -> &'static [u8] {
        if self.path == 0 {
            return b"";
        }
        // SAFETY: by contract of `new`.
        unsafe { CStr::from_ptr(self.path as *const c_char) }.to_bytes()
    }

    /// It is this library.
    pub fn is_ours(&self) -> bool {
        self.dynamic == own_dynamic()
    }

    /// It is this library or a copy of it.
    pub fn is_recorder(&self) -> bool {
        self.is_ours() || self.function(MARK).is_some()
    }

    /// Where the object says that the loader keeps its list for debuggers.
    pub fn debug(&self) -> Option<u64> {
        self.entries().find(|entry| entry.tag == DT_DEBUG && entry.value != 0).map(|it| it.value)
    }

    /// Address of its symbols of this name, of all versions.
    pub fn symbols_of(&self, name: &CStr, visit: &mut dyn FnMut(*mut Symbol)) {
        let Some(tables) = self.tables() else { return };
        tables.each(name, &mut |index| {
            visit(tables.place(index) as *mut Symbol);
            false
        });
    }

    /// The address that a value of a symbol stands for.
    pub fn address(&self, value: u64) -> u64 {
        self.base.wrapping_add(value)
    }

    /// The value of a symbol that stands for this address.
    pub fn value(&self, address: u64) -> u64 {
        address.wrapping_sub(self.base)
    }

    /// The address of a function that the object defines.
    pub fn function(&self, name: &CStr) -> Option<usize> {
        let tables = self.tables()?;
        let symbol = tables.symbol(tables.find(name)?);
        let address = self.base.wrapping_add(symbol.st_value) as usize;
        if symbol.st_info & 0xf == STT_GNU_IFUNC {
            // SAFETY: the resolver of an indirect function takes nothing on x86-64 and returns the
            // address of the implementation.
            let resolver: extern "C" fn() -> usize = unsafe { core::mem::transmute(address) };
            return Some(resolver());
        }
        Some(address)
    }

    fn entries(&self) -> impl Iterator<Item = Dynamic> {
        let step = size_of::<Dynamic>();
        (0..MOST_ENTRIES)
            // SAFETY: the dynamic section is a list of entries that ends with a tag of 0.
            .map(move |index| unsafe { read::<Dynamic>(self.dynamic + (index * step) as u64) })
            .take_while(|entry| entry.tag != 0)
    }

    fn tables(&self) -> Option<Tables> {
        let mut tables = Tables { strings: 0, symbols: 0, versions: 0, gnu_hash: 0, sysv_hash: 0 };
        for Dynamic { tag, value } in self.entries() {
            // glibc has relocated these values in place; musl and the vDSO have not.
            let address = if value < self.base { self.base + value } else { value };
            match tag {
                DT_STRTAB => tables.strings = address,
                DT_SYMTAB => tables.symbols = address,
                DT_VERSYM => tables.versions = address,
                DT_GNU_HASH => tables.gnu_hash = address,
                DT_HASH => tables.sysv_hash = address,
                _ => {}
            }
        }
        let usable = tables.strings != 0
            && tables.symbols != 0
            && (tables.gnu_hash != 0 || tables.sysv_hash != 0);
        usable.then_some(tables)
    }
}

/// Addresses of an object's tables; 0 where there is none.
struct Tables {
    strings: u64,
    symbols: u64,
    versions: u64,
    gnu_hash: u64,
    sysv_hash: u64,
}

impl Tables {
    fn place(&self, index: u32) -> u64 {
        self.symbols + u64::from(index) * size_of::<Symbol>() as u64
    }

    fn symbol(&self, index: u32) -> Symbol {
        // SAFETY: indices come from the object's hash table.
        unsafe { read(self.place(index)) }
    }

    /// Whether the symbol defines a function of this name.
    fn defines(&self, index: u32, name: &CStr) -> bool {
        let symbol = self.symbol(index);
        let text = (self.strings + u64::from(symbol.st_name)) as *const c_char;
        let function = matches!(symbol.st_info & 0xf, STT_NOTYPE | STT_FUNC | STT_GNU_IFUNC);
        let defined = symbol.st_shndx != 0 && symbol.st_value != 0;
        // SAFETY: names of symbols are C strings in the string table.
        defined && function && unsafe { CStr::from_ptr(text) } == name
    }

    /// The symbol that new programs are bound to; one for old programs if there is no other.
    fn find(&self, name: &CStr) -> Option<u32> {
        let mut found = None;
        self.each(name, &mut |index| {
            let is_default = self.version(index) & VERSION_HIDDEN == 0;
            if is_default || found.is_none() {
                found = Some(index);
            }
            is_default
        });
        found
    }

    fn version(&self, index: u32) -> u16 {
        if self.versions == 0 {
            return 0;
        }
        // SAFETY: the table has as many entries as there are symbols.
        unsafe { read(self.versions + u64::from(index) * size_of::<u16>() as u64) }
    }

    /// Calls `visit` with each symbol of this name, until it returns `true`.
    fn each(&self, name: &CStr, visit: &mut dyn FnMut(u32) -> bool) {
        if self.gnu_hash == 0 {
            self.each_by_sysv_hash(name, visit);
        } else {
            self.each_by_gnu_hash(name, visit);
        }
    }

    /// See the GNU hash section of the System V ABI's supplement, or binutils' `elflink.c`.
    fn each_by_gnu_hash(&self, name: &CStr, visit: &mut dyn FnMut(u32) -> bool) {
        // SAFETY: a table starts with four words.
        let [buckets, first, filter_words, shift] = unsafe { read::<[u32; 4]>(self.gnu_hash) };
        if buckets == 0 || filter_words == 0 {
            return;
        }
        let hash = gnu_hash(name);
        let word = u64::from(hash / 64 % filter_words);
        // SAFETY: within the filter.
        let filter: u64 = unsafe { read(self.gnu_hash + 16 + word * 8) };
        let bits = 1 << (hash % 64) | 1 << (hash.checked_shr(shift).unwrap_or(0) % 64);
        if filter & bits != bits {
            return;
        }
        let bucket_table = self.gnu_hash + 16 + u64::from(filter_words) * 8;
        let chain_table = bucket_table + u64::from(buckets) * 4;
        let bucket = u64::from(hash % buckets);
        // SAFETY: within the bucket table.
        let mut index: u32 = unsafe { read(bucket_table + bucket * 4) };
        if index < first {
            return;
        }
        loop {
            // SAFETY: chains have an entry for each hashed symbol and end with an odd one.
            let entry: u32 = unsafe { read(chain_table + u64::from(index - first) * 4) };
            let found = entry | 1 == hash | 1 && self.defines(index, name);
            if found && visit(index) || entry & 1 != 0 {
                return;
            }
            index = index.wrapping_add(1);
        }
    }

    /// System V ABI, "Hash Table": the chain table has as many entries as there are symbols.
    fn each_by_sysv_hash(&self, name: &CStr, visit: &mut dyn FnMut(u32) -> bool) {
        // SAFETY: a table starts with two words.
        let [_, symbols] = unsafe { read::<[u32; 2]>(self.sysv_hash) };
        let _ = (1..symbols).any(|index| self.defines(index, name) && visit(index));
    }
}

fn gnu_hash(name: &CStr) -> u32 {
    let step = |hash: u32, &byte: &u8| hash.wrapping_mul(33).wrapping_add(byte.into());
    name.to_bytes().iter().fold(5381, step)
}
