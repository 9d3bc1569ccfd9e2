//! A loaded module: where its tables for unwinding are.

use crate::bytes::Memory;
use crate::maps;

/// Bytes at the start of a module that hold its ELF header and its program headers.
const HEADERS: usize = 4096;
const PROGRAM_HEADER: usize = 56;
const PT_LOAD: u32 = 1;
const PT_GNU_EH_FRAME: u32 = 0x6474_e550;

/// A loaded module.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// Where the first byte of its file lies.
    start: usize,
    /// Address of its `.eh_frame_hdr`, 0 if it has none.
    pub index: usize,
}

/// A program header, the part that is needed.
struct Segment {
    kind: u32,
    address: usize,
    length: usize,
}

/// Whether an ELF file of 64 bits starts there.
///
/// # Safety
/// A page of it can be read.
unsafe fn is_elf(start: usize) -> bool {
    // SAFETY: by contract.
    let memory = unsafe { Memory::new(start, start.saturating_add(HEADERS)) };
    memory.read::<u32>(start) == Some(u32::from_le_bytes(*b"\x7fELF"))
        && memory.read::<u8>(start.wrapping_add(4)) == Some(2)
}

impl Module {
    /// The module whose file is mapped at `start`, if it is one.
    ///
    /// # Safety
    /// A page at `start` can be read, and if a module lies there it stays.
    pub unsafe fn at(start: usize) -> Option<Module> {
        // SAFETY: by contract.
        if !unsafe { is_elf(start) } {
            return None;
        }
        let mut module = Module { start, index: 0 };
        let segment = module.segments().find(|segment| segment.kind == PT_GNU_EH_FRAME);
        module.index = segment.map_or(0, |segment| segment.address);
        Some(module)
    }

    /// The module at `start`, of which somebody knows the address of its `.eh_frame_hdr`.
    ///
    /// # Safety
    /// A page at `start` can be read, and the module stays.
    pub unsafe fn new(start: usize, index: usize) -> Module {
        // SAFETY: by contract.
        let start = if unsafe { is_elf(start) } { start } else { 0 };
        Module { start, index }
    }

    /// The readable range of the module that holds an address.
    pub fn memory(&self, address: usize) -> Option<Memory<'static>> {
        if self.start == 0 {
            let mapping = maps::find(address).filter(|mapping| mapping.readable)?;
            // SAFETY: the mapping of a module that stays.
            return Some(unsafe { Memory::new(mapping.start, mapping.end) });
        }
        let loaded = self.segments().filter(|segment| segment.kind == PT_LOAD);
        let mut holding =
            loaded.filter(|segment| address.wrapping_sub(segment.address) < segment.length);
        let segment = holding.next()?;
        let end = segment.address.checked_add(segment.length)?;
        // SAFETY: a segment that the loader has mapped; tables for unwinding lie in readable ones.
        Some(unsafe { Memory::new(segment.address, end) })
    }

    fn segments(&self) -> impl Iterator<Item = Segment> {
        // SAFETY: by contract of the constructors.
        let memory = unsafe { Memory::new(self.start, self.start.saturating_add(HEADERS)) };
        let start = self.start;
        let word =
            move |at: usize| memory.read::<u64>(start.wrapping_add(at)).map(|it| it as usize);
        let offset = word(32).unwrap_or(0);
        let count = memory.read::<u16>(start.wrapping_add(56)).unwrap_or(0);
        let headers = (0..usize::from(count)).map_while(move |index| {
            let header = offset.wrapping_add(index * PROGRAM_HEADER);
            let kind = memory.read::<u32>(start.wrapping_add(header))?;
            Some((kind, word(header + 8)?, word(header + 16)?, word(header + 32)?))
        });
        // The segment that holds the start of the file tells what was added to all addresses.
        let mut of_start =
            headers.clone().filter(|&(kind, offset, ..)| kind == PT_LOAD && offset == 0);
        let base = of_start.next().map(|(_, _, address, _)| start.wrapping_sub(address));
        headers.filter_map(move |(kind, _, address, length)| {
            Some(Segment { kind, address: address.wrapping_add(base?), length })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_tables_are_found() {
        let code = maps::find(is_elf as *const () as usize).unwrap();
        // SAFETY: the own module stays.
        let module = unsafe { Module::at(code.file) }.unwrap();
        let memory = module.memory(module.index).unwrap();
        assert_eq!(memory.read::<u8>(module.index), Some(1));
        assert!(module.memory(8).is_none());
        let nothing = vec![0u8; 2 * HEADERS];
        // SAFETY: bytes that can be read.
        assert!(unsafe { Module::at(nothing.as_ptr() as usize) }.is_none());
    }
}
