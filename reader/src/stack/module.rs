//! Modules of a process: the program itself, and its shared libraries.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use mallook_format::{MODULE_BYTES, ModuleField, ModuleSlot, Slot, field_of_more};

/// Unit of a module's length, in bytes.
const PAGE: u64 = 4096;

/// A program or a shared library, where it was in the memory of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// Its file; that of the program itself is the one that the trace's header has.
    pub path: PathBuf,
    /// Its build ID; empty if it has none.
    pub build_id: Vec<u8>,
    /// Its first address.
    pub start: u64,
    /// The address after its last one.
    pub end: u64,
    /// The offset subtracted from an address to get the address in the file.
    pub bias: u64,
    /// How often modules had gone when it was first seen.
    pub generation: u32,
    /// When it was first seen, in nanoseconds of `CLOCK_MONOTONIC`.
    pub seen_ns: u64,
}

impl Module {
    /// The address in the module's file, as its symbol table has it.
    pub fn address_in_file(&self, address: u64) -> u64 {
        address.wrapping_sub(self.bias)
    }

    pub(super) fn contains(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }
}

/// A module, as its slots are read.
pub struct Parts {
    pub number: u32,
    module: Module,
    /// Slots that are yet to come.
    left: u8,
    build_id: Vec<u8>,
    path: Vec<u8>,
}

impl Parts {
    pub fn of(slot: &ModuleSlot) -> Parts {
        let end = slot.start.saturating_add(u64::from(slot.pages) * PAGE);
        Parts {
            number: slot.module,
            module: Module { start: slot.start, end, ..Module::default() },
            left: slot.more,
            build_id: Vec::new(),
            path: Vec::new(),
        }
    }

    /// Takes one more slot; `false` if it is none of the module's.
    pub fn add(&mut self, slot: Slot) -> bool {
        let Some(left) = self.left.checked_sub(1) else { return false };
        self.left = left;
        let Some((field, bytes)) = field_of_more(slot) else { return true };
        let word = |at: usize| {
            let eight = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
            u64::from_le_bytes(eight.unwrap_or_default())
        };
        match field {
            ModuleField::Bias => self.module.bias = word(0),
            ModuleField::Seen => {
                (self.module.generation, self.module.seen_ns) = (word(0) as u32, word(4));
            }
            ModuleField::BuildId => self.build_id.extend(bytes),
            ModuleField::Path => self.path.extend(bytes),
        }
        true
    }

    /// The module, if all of its slots were there. `program`: the path of the program itself.
    pub fn whole(self, program: &[u8]) -> Option<Module> {
        if self.left != 0 {
            return None;
        }
        let (length, id) = self.build_id.split_first().unwrap_or((&0, &[]));
        let build_id = id.get(..usize::from(*length)).unwrap_or(id).to_vec();
        let end = self.path.iter().position(|&byte| byte == 0).unwrap_or(self.path.len());
        let path = if end == 0 { program } else { &self.path[..end] };
        let path = PathBuf::from(OsString::from_vec(path.to_vec()));
        Some(Module { path, build_id, ..self.module })
    }
}

const _: () = assert!(MODULE_BYTES >= 12, "a generation and a time are one slot");
