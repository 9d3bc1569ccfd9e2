//! The question: addresses of code, and the module that they lie in.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::time::SystemTime;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The build ID of a file: a hash over its content that the linker put in, or a random number.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BuildId(Box<[u8]>);

impl BuildId {
    /// The most bytes of a build ID; linkers make 8 to 32.
    pub const MOST: usize = 64;

    /// None if there are no bytes, or more than [`BuildId::MOST`].
    pub fn new(bytes: &[u8]) -> Option<BuildId> {
        (1..=BuildId::MOST).contains(&bytes.len()).then(|| BuildId(bytes.into()))
    }

    /// The ID that these hexadecimal digits spell.
    pub fn from_hex(digits: &str) -> Option<BuildId> {
        if !digits.len().is_multiple_of(2) || !digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        {
            return None;
        }
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).ok();
        let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
        BuildId::new(&bytes?)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BuildId({self})")
    }
}

impl Serialize for BuildId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BuildId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<BuildId, D::Error> {
        let digits = String::deserialize(deserializer)?;
        BuildId::from_hex(&digits).ok_or_else(|| D::Error::custom("no build ID"))
    }
}

/// A file that was mapped into the traced process, as the process saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its path; `[vdso]` for the kernel's own; empty for memory that is no file.
    pub path: PathBuf,
    /// Its build ID. None: it had none, so a file that has one is another file.
    pub build_id: Option<BuildId>,
    /// The offset that was added to the addresses of the file.
    pub bias: u64,
    /// Where it lay. An address outside gets no name.
    pub ranges: Vec<Range<u64>>,
    /// Number of the epoch in which it lay there: another module may have its addresses later.
    pub generation: u32,
    /// When it was seen: a file without a build ID that was changed later is taken for another one.
    pub seen: Option<SystemTime>,
}

impl Module {
    /// The address as it is written in the file, if it lies in the module.
    pub fn offset_of(&self, address: u64) -> Option<u64> {
        let inside = self.ranges.iter().any(|range| range.contains(&address));
        inside.then(|| address.wrapping_sub(self.bias))
    }
}

/// An address of code in the traced process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CodeAddress {
    /// The address.
    pub value: u64,
    /// The instruction at the address was interrupted; else the one before it is a call that
    /// returns to it.
    pub interrupted: bool,
}

impl CodeAddress {
    /// A return address.
    pub const fn returned_to(value: u64) -> CodeAddress {
        CodeAddress { value, interrupted: false }
    }

    /// The address of an instruction that a signal interrupted.
    pub const fn interrupted(value: u64) -> CodeAddress {
        CodeAddress { value, interrupted: true }
    }

    /// An address within the instruction that is meant: a call may be the last one of its function.
    pub const fn within(self) -> u64 {
        if self.interrupted { self.value } else { self.value.wrapping_sub(1) }
    }
}

/// A process whose code was made while it ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JitProcess {
    /// Its ID, in its own name space: the name of its map carries that.
    pub pid: u32,
    /// When it started: a map that is older belongs to another process with this ID.
    pub started: Option<SystemTime>,
    /// When it was seen last: a map that was begun later belongs to another process with this ID.
    pub ended: Option<SystemTime>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_ids_are_hexadecimal() {
        let id = BuildId::new(&[0x0f, 0xa0, 1]).unwrap();
        assert_eq!(id.to_string(), "0fa001");
        assert_eq!(BuildId::from_hex("0fA001"), Some(id));
        for nonsense in ["", "0", "0g", "+1", "ü", &"00".repeat(65)] {
            assert_eq!(BuildId::from_hex(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn addresses_outside_have_no_offset() {
        let module = Module {
            path: "/m".into(),
            build_id: None,
            bias: 0x10_000,
            ranges: vec![0x11_000..0x12_000, 0x14_000..0x15_000],
            generation: 0,
            seen: None,
        };
        assert_eq!(module.offset_of(0x11_000), Some(0x1000));
        assert_eq!(module.offset_of(0x14_fff), Some(0x4fff));
        assert_eq!(module.offset_of(0x12_000), None);
        assert_eq!(CodeAddress::returned_to(0).within(), u64::MAX);
    }
}
