//! From an address of code to the module that holds it.

use core::ffi::{c_int, c_void};

use crate::maps;
use crate::module::Module;
use crate::ranges::{Range, Ranges};

/// glibc's `_dl_find_object`.
pub type FindObject = unsafe extern "C" fn(*const c_void, *mut FoundObject) -> c_int;

/// Whose code an address is.
#[derive(Clone, Copy, Debug)]
pub enum Code {
    /// A module's.
    Module(Module),
    /// That of no module, but it can be executed: written by the program itself.
    Written,
    /// None that can be executed.
    None,
    /// It cannot be told.
    Unknown,
}

/// `struct dl_find_object` of `<dlfcn.h>`, since glibc 2.35.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct FoundObject {
    /// Zero.
    pub flags: u64,
    /// The first address of the module.
    pub start: usize,
    /// The address behind its last one.
    pub end: usize,
    /// Its `struct link_map`.
    pub link_map: usize,
    /// Address of its `.eh_frame_hdr`.
    pub index: usize,
    /// For later versions of glibc.
    pub reserved: [u64; 7],
}

/// The module at an address, if the loader knows it.
#[inline(never)]
fn ask_loader(find: FindObject, address: usize) -> Option<Module> {
    let mut found = FoundObject::default();
    // SAFETY: the function takes any address and fills a structure of this layout.
    let result = unsafe { find(address as *const c_void, &mut found) };
    // SAFETY: the module has code on a stack of ours, so it stays; its first page is one of a
    // segment.
    (result == 0).then(|| unsafe { Module::new(found.start, found.index) })
}

/// Which sources may be asked.
#[derive(Clone, Copy, Debug)]
pub struct Sources {
    /// The loader, if it can answer.
    pub loader: Option<FindObject>,
    /// The kernel: system calls are allowed.
    pub kernel: bool,
}

/// Whose code an address is that is on a stack of ours. `ranges` remembers those which the loader
/// does not know.
pub fn find(address: usize, ranges: &Ranges, generation: u32, sources: Sources) -> Code {
    if let Some(find) = sources.loader
        && let Some(module) = ask_loader(find, address)
    {
        return Code::Module(module);
    }
    let range = match ranges.find(address, generation) {
        Some(range) => range,
        None if !sources.kernel => return Code::Unknown,
        None => {
            let Some(mapping) = maps::find(address) else { return Code::None };
            if !mapping.executable {
                return Code::None;
            }
            let range = Range { start: mapping.start, end: mapping.end, file: mapping.file };
            ranges.add(range, generation);
            range
        }
    };
    // SAFETY: the start of the file was mapped and readable in this generation, and code of the
    // file is on a stack of ours, so it stays.
    let module = (range.file != 0).then(|| unsafe { Module::at(range.file) });
    module.flatten().map_or(Code::Written, Code::Module)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Host;
    use crate::tests::Plain;

    #[test]
    fn the_loader_and_the_kernel_agree() {
        let ranges = Ranges::new();
        let both = Sources { loader: Plain.find_object(), kernel: true };
        for address in [find as *const () as usize, libc::malloc as *const () as usize] {
            let Code::Module(by_loader) = find(address, &ranges, 0, both) else { panic!() };
            assert!(ranges.find(address, 0).is_none());
            let kernel = Sources { loader: None, ..both };
            let Code::Module(by_maps) = find(address, &ranges, 0, kernel) else { panic!() };
            assert_eq!(by_loader.index, by_maps.index);
            let none = Sources { loader: None, kernel: false };
            assert!(matches!(find(address, &ranges, 0, none), Code::Module(_)));
            assert!(matches!(find(address, &ranges, 1, none), Code::Unknown));
        }
        let heap = Box::new(7);
        assert!(matches!(find(&raw const *heap as usize, &ranges, 0, both), Code::None));
        assert!(matches!(find(8, &ranges, 0, both), Code::None));
    }
}
