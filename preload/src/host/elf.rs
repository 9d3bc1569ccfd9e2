//! Looks a symbol up in a loaded library, by its hash table.
//!
//! `dlsym` would do, but when it fails it allocates the text of the error, in the middle of our own
//! start; and some symbols are absent on purpose.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ops::ControlFlow;

type Header = libc::Elf64_Phdr;
type Symbol = libc::Elf64_Sym;

#[derive(Clone, Copy)]
#[repr(C)]
struct Dynamic {
    tag: i64,
    value: u64,
}

const DT_HASH: i64 = 4;
const DT_STRTAB: i64 = 5;
const DT_SYMTAB: i64 = 6;
const DT_GNU_HASH: i64 = 0x6fff_fef5;
const STT_NOTYPE: u8 = 0;
const STT_FUNC: u8 = 2;
const STT_GNU_IFUNC: u8 = 10;

/// A loaded program or library.
pub struct Object<'a> {
    base: u64,
    headers: &'a [Header],
}

/// Reads a value of a loaded object.
///
/// # Safety
/// `address` is the address of a `T` in its tables.
unsafe fn read<T: Copy>(address: u64) -> T {
    // SAFETY: by contract.
    unsafe { core::ptr::read_unaligned(address as *const T) }
}

/// Calls `visit` with every loaded object in load order, until it breaks.
pub fn for_each_object(visit: &mut dyn FnMut(&Object) -> ControlFlow<()>) {
    type Visit<'a> = &'a mut dyn FnMut(&Object) -> ControlFlow<()>;

    unsafe extern "C" fn callback(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        data: *mut c_void,
    ) -> c_int {
        // SAFETY: the loader passes a valid structure.
        let info = unsafe { &*info };
        // SAFETY: the data is the one that is passed below.
        let visit = unsafe { &mut *data.cast::<Visit>() };
        // SAFETY: the loader says where the program headers are and how many.
        let headers =
            unsafe { core::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
        let object = Object { base: info.dlpi_addr, headers };
        c_int::from(visit(&object).is_break())
    }

    let mut visit: Visit = visit;
    // SAFETY: the callback matches the data, and both live until the call returns.
    unsafe { libc::dl_iterate_phdr(Some(callback), (&raw mut visit).cast()) };
}

impl Object<'_> {
    /// Whether the address lies in a segment of the object.
    pub fn contains(&self, address: usize) -> bool {
        self.headers.iter().filter(|header| header.p_type == libc::PT_LOAD).any(|header| {
            let start = self.base.wrapping_add(header.p_vaddr);
            (address as u64).wrapping_sub(start) < header.p_memsz
        })
    }

    /// The address of a function that the object defines.
    pub fn function(&self, name: &CStr) -> Option<usize> {
        let tables = self.tables()?;
        let index = if tables.gnu_hash == 0 {
            tables.find_by_sysv_hash(name)?
        } else {
            tables.find_by_gnu_hash(name)?
        };
        let symbol = tables.symbol(index);
        let address = self.base.wrapping_add(symbol.st_value) as usize;
        if symbol.st_info & 0xf == STT_GNU_IFUNC {
            // SAFETY: the resolver of an indirect function takes nothing on x86-64 and returns the
            // address of the implementation.
            let resolver: extern "C" fn() -> usize = unsafe { core::mem::transmute(address) };
            return Some(resolver());
        }
        Some(address)
    }

    fn tables(&self) -> Option<Tables> {
        let dynamic = self.headers.iter().find(|header| header.p_type == libc::PT_DYNAMIC)?;
        let mut tables = Tables { strings: 0, symbols: 0, gnu_hash: 0, sysv_hash: 0 };
        let mut entry = self.base.wrapping_add(dynamic.p_vaddr);
        loop {
            // SAFETY: the dynamic section is a list of entries that ends with a tag of 0.
            let Dynamic { tag, value } = unsafe { read::<Dynamic>(entry) };
            // glibc has relocated these values in place; musl and the vDSO have not.
            let address = if value < self.base { self.base + value } else { value };
            match tag {
                0 => break,
                DT_STRTAB => tables.strings = address,
                DT_SYMTAB => tables.symbols = address,
                DT_GNU_HASH => tables.gnu_hash = address,
                DT_HASH => tables.sysv_hash = address,
                _ => {}
            }
            entry += size_of::<Dynamic>() as u64;
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
    gnu_hash: u64,
    sysv_hash: u64,
}

impl Tables {
    fn symbol(&self, index: u32) -> Symbol {
        // SAFETY: indices come from the object's hash table.
        unsafe { read(self.symbols + u64::from(index) * size_of::<Symbol>() as u64) }
    }

    /// Whether the symbol defines a function of this name.
    fn defines(&self, index: u32, name: &CStr) -> bool {
        let symbol = self.symbol(index);
        let text = (self.strings + u64::from(symbol.st_name)) as *const c_char;
        let defined = symbol.st_shndx != 0 && symbol.st_value != 0;
        let function = matches!(symbol.st_info & 0xf, STT_NOTYPE | STT_FUNC | STT_GNU_IFUNC);
        // SAFETY: names of symbols are C strings in the string table.
        defined && function && unsafe { CStr::from_ptr(text) } == name
    }

    /// See the GNU hash section of the System V ABI's supplement, or binutils' `elflink.c`.
    fn find_by_gnu_hash(&self, name: &CStr) -> Option<u32> {
        // SAFETY: a table starts with four words.
        let [buckets, first, filter_words, _] = unsafe { read::<[u32; 4]>(self.gnu_hash) };
        let hash = name
            .to_bytes()
            .iter()
            .fold(5381u32, |hash, &byte| hash.wrapping_mul(33).wrapping_add(byte.into()));
        let bucket_table = self.gnu_hash + 16 + u64::from(filter_words) * 8;
        let chain_table = bucket_table + u64::from(buckets) * 4;
        let bucket = u64::from(hash.checked_rem(buckets)?);
        // SAFETY: within the bucket table.
        let mut index: u32 = unsafe { read(bucket_table + bucket * 4) };
        if index < first {
            return None;
        }
        loop {
            // SAFETY: chains have an entry for each hashed symbol and end with an odd one.
            let entry: u32 = unsafe { read(chain_table + u64::from(index - first) * 4) };
            if entry | 1 == hash | 1 && self.defines(index, name) {
                return Some(index);
            }
            if entry & 1 != 0 {
                return None;
            }
            index += 1;
        }
    }

    /// System V ABI, "Hash Table": the chain table has as many entries as there are symbols.
    fn find_by_sysv_hash(&self, name: &CStr) -> Option<u32> {
        // SAFETY: a table starts with two words.
        let [_, symbols] = unsafe { read::<[u32; 2]>(self.sysv_hash) };
        (1..symbols).find(|&index| self.defines(index, name))
    }
}
