//! The loaded module that holds an address of code, which is on a stack of this process.

use core::ffi::{CStr, c_char, c_void};
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use mallook_unwind::{FindObject, FoundObject};

use super::elf;
use super::mapped_file::MappedFile;
use super::memory::PAGE;
use super::objects::auxiliary;

/// A loaded module.
pub struct Loaded {
    /// Its first address.
    pub start: usize,
    /// The address behind its last one.
    pub end: usize,
    /// The offset subtracted from an address to get the address in the file.
    pub bias: usize,
    path: Path,
}

#[allow(clippy::large_enum_variant, reason = "one at a time, on the stack: nothing allocates")]
enum Path {
    /// Of the loader's list, empty for the program; 0 where it has none.
    Name(usize),
    Mapped(MappedFile),
}

/// Address of glibc's `_dl_find_object`, which takes no lock and allocates nothing; 0 for none. Looked
/// up by name, since a library that is linked to it needs glibc 2.35.
static FIND_OBJECT: AtomicUsize = AtomicUsize::new(0);

/// The name of that function.
pub const NAME: &CStr = c"_dl_find_object";

/// Notes the address of that function.
pub fn set_find_object(address: usize) {
    FIND_OBJECT.store(address, Relaxed);
}

/// That function, if there is one.
pub fn find_object() -> Option<FindObject> {
    let address = FIND_OBJECT.load(Relaxed);
    // SAFETY: 0, or the address of a function of this type.
    unsafe { core::mem::transmute::<usize, Option<FindObject>>(address) }
}

/// The range of the whole program, if this part is its: where there are gaps between its segments,
/// the loader tells each apart.
fn program(bias: usize, part: Range<usize>) -> Option<Range<usize>> {
    type Header = libc::Elf64_Phdr;
    let (headers, count) = (auxiliary(libc::AT_PHDR), auxiliary(libc::AT_PHNUM));
    if headers == 0 {
        return None;
    }
    // SAFETY: the kernel says where the program headers are, and how many.
    let header =
        |index| unsafe { elf::read::<Header>(headers + index * size_of::<Header>() as u64) };
    let loaded = (0..count).map(header).filter(|header| header.p_type == libc::PT_LOAD);
    let (mut start, mut end) = (usize::MAX, 0);
    for Header { p_vaddr, p_memsz, .. } in loaded {
        let first = bias.wrapping_add(p_vaddr as usize);
        start = start.min(first & !(PAGE - 1));
        end = end.max(first.wrapping_add(p_memsz as usize));
    }
    // A loader that was started as a program may not have told the kernel's word.
    let is_its = |place: &usize| (start..end).contains(place);
    [headers as usize, part.start, part.end - 1].iter().all(is_its).then_some(start..end)
}

impl Loaded {
    /// The module that holds an address; `None` if none does. `may_ask`: system calls are allowed.
    pub fn at(address: usize, may_ask: bool) -> Option<Loaded> {
        let mut found = FoundObject::default();
        // SAFETY: the function takes any address and fills a structure of this layout.
        let known = find_object()
            .is_some_and(|find| unsafe { find(address as *const c_void, &mut found) == 0 });
        if known && found.link_map != 0 {
            // SAFETY: the module has code on a stack, so it stays.
            return Some(unsafe { Loaded::found(&found) });
        }
        let file = may_ask.then(|| MappedFile::at(address)).flatten()?;
        // SAFETY: the start of a file that is mapped and readable.
        let bias = unsafe { elf::bias(file.start as u64) }? as usize;
        Some(Loaded { start: file.start, end: file.end, bias, path: Path::Mapped(file) })
    }

    /// The module that the loader has found.
    ///
    /// # Safety
    /// `link_map` is that of a module that stays loaded.
    unsafe fn found(found: &FoundObject) -> Loaded {
        let &FoundObject { start, end, link_map, .. } = found;
        // SAFETY: `struct link_map` begins with `l_addr` and `l_name`.
        let [bias, name] = unsafe { elf::read::<[usize; 2]>(link_map as u64) };
        let listed = Loaded { start, end, bias, path: Path::Name(name) };
        let whole = if listed.path().is_empty() { program(bias, start..end) } else { None };
        let Range { start, end } = whole.unwrap_or(start..end);
        Loaded { start, end, ..listed }
    }

    /// Its path; empty for the program itself, where the loader was asked.
    pub fn path(&self) -> &[u8] {
        match &self.path {
            Path::Name(0) => b"",
            // SAFETY: the loader's string, which lives as long as the module.
            Path::Name(name) => unsafe { CStr::from_ptr(*name as *const c_char) }.to_bytes(),
            Path::Mapped(file) => file.path(),
        }
    }

    /// Its build ID; empty if it has none.
    pub fn build_id(&self) -> &'static [u8] {
        // SAFETY: the first page of a module is that of its file, and the module stays.
        unsafe { elf::build_id(self.start as u64) }.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_up() {
        // SAFETY: a name.
        let place = unsafe { libc::dlsym(libc::RTLD_DEFAULT, NAME.as_ptr()) };
        set_find_object(place as usize);
    }

    #[test]
    fn our_own_program_and_libc() {
        look_up();
        let program = Loaded::at(find_object as *const () as usize, true).unwrap();
        assert!(program.start < program.end && program.path().is_empty());
        let id = program.build_id();
        assert!(id.is_empty() || id.len() == 20, "{id:x?}");
        let libc = Loaded::at(libc::getpid as *const () as usize, true).unwrap();
        assert!(libc.path().ends_with(b"libc.so.6"), "{:?}", libc.path());
        assert_eq!(libc.build_id().len(), 20);
        assert!(Loaded::at(8, true).is_none());
    }

    /// `l_name` of what a loader lists may be no string at all.
    #[test]
    fn a_module_without_a_name() {
        let map = [0x5000usize, 0];
        let link_map = map.as_ptr() as usize;
        let found = FoundObject { start: 0x6000, end: 0x7000, link_map, ..FoundObject::default() };
        // SAFETY: the two words that are read of it.
        let nameless = unsafe { Loaded::found(&found) };
        assert_eq!((nameless.start, nameless.end, nameless.bias), (0x6000, 0x7000, 0x5000));
        assert!(nameless.path().is_empty());
    }

    #[test]
    fn the_kernel_says_the_same_as_the_loader() {
        let address = libc::getpid as *const () as usize;
        look_up();
        let loaded = Loaded::at(address, false).unwrap();
        let file = MappedFile::at(address).unwrap();
        assert_eq!(file.start, loaded.start);
        assert!(file.path().ends_with(b"libc.so.6"));
        // SAFETY: a loaded library.
        assert_eq!(unsafe { elf::bias(file.start as u64) }, Some(loaded.bias as u64));
    }
}
