//! Damaged places of a trace.

use std::fmt;

use mallook_format::HeaderError;

/// Damaged places that are described; the others are only counted.
const MOST_DESCRIBED: usize = 100;

/// A place of a trace that could not be read, or only in part.
///
/// ```
/// use mallook_reader::{DamageKind, Events, Source, Trace};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut bytes = std::fs::read("../tests/golden/v1.trace")?;
/// bytes.truncate(40_000);
/// let trace = Trace::new("truncated".as_ref(), Source::Bytes(&bytes))?;
/// assert_eq!(Events::of(&trace).count(), 35);
/// // Damage shows while the trace is read.
/// let (damage, more) = trace.damage();
/// assert_eq!((damage[0].kind, damage[0].offset), (DamageKind::TruncatedBlock, 40_000));
/// assert_eq!((damage.len(), more), (1, 0));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The kind of damage.
    pub kind: DamageKind,
    /// Its offset in the file, in bytes.
    pub offset: u64,
}

/// A kind of damage, with the values that were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DamageKind {
    /// The header is not that of a trace; blocks follow it all the same.
    Header(HeaderError),
    /// The file is shorter than the ring that its header announces.
    TruncatedRing {
        /// Size of the file, in bytes.
        found: u64,
        /// Size of the header and the ring, in bytes.
        expected: u64,
    },
    /// Blocks that were opened are gone: the file was cut, or has holes.
    MissingBlocks {
        /// Number of missing blocks.
        count: u64,
    },
    /// Call sites that stacks have are not in the file: their addresses are not known.
    MissingSites {
        /// Number of them.
        count: u64,
    },
    /// The trace is a part of another one, which was damaged.
    Original,
    /// The file was removed or replaced while it was read, and too many others were open to keep hold
    /// of it.
    Replaced,
    /// The file ends within its last block.
    TruncatedBlock,
    /// The file does not have the next trace that the header of this one announces.
    NoTrace,
    /// A block without the magic of a block. Its events are read.
    BlockMagic {
        /// The value in place of the magic.
        found: u32,
    },
    /// A block whose first word cannot be the state of a block at this place. Its events are read.
    BlockState {
        /// The first word.
        found: u64,
        /// Position of the block in the file, in blocks.
        block: u64,
    },
    /// Bytes that are no block. They are left out.
    NoBlock,
    /// A block of a kind that this version does not know. It is left out.
    BlockKind {
        /// The raw kind.
        found: u16,
    },
    /// A slot of an unknown kind, or from another use of the block. It is left out.
    Slot {
        /// Both words of the slot.
        found: [u64; 2],
    },
    /// A slot that builds on a call stack which no slot before it defines, or makes one too deep. The
    /// events that refer to it have no stack.
    Stack {
        /// Both words of the slot.
        found: [u64; 2],
    },
}

impl Damage {
    pub(crate) fn new(kind: DamageKind, offset: u64) -> Damage {
        Damage { kind, offset }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "damaged at offset {}: {}", self.offset, self.kind)
    }
}

impl fmt::Display for DamageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DamageKind::Header(error) => {
                write!(f, "found {error}, expected the header of a trace")
            }
            DamageKind::TruncatedRing { found, expected } => {
                write!(f, "found {found} bytes, expected {expected} bytes")
            }
            DamageKind::MissingBlocks { count } => {
                let found = "the end of the file, or holes";
                write!(f, "found {found}, expected {count} more blocks that were opened")
            }
            DamageKind::MissingSites { count } => {
                write!(f, "found no addresses of {count} call sites, expected those of all stacks")
            }
            DamageKind::Original => {
                write!(f, "found a part of a damaged trace, expected one of a sound trace")
            }
            DamageKind::Replaced => {
                write!(f, "found no file or another one, expected the file that was opened")
            }
            DamageKind::TruncatedBlock => {
                write!(f, "found the end of the file, expected the rest of a block")
            }
            DamageKind::NoTrace => {
                write!(f, "found no trace, expected the next one of several in the file")
            }
            DamageKind::BlockMagic { found } => {
                write!(f, "found {found:#x}, expected \"BLK1\", the magic of a block")
            }
            DamageKind::BlockState { found, block } => {
                write!(f, "found {found:#x}, expected the state of block {block}")
            }
            DamageKind::NoBlock => write!(f, "found no block, expected a block, which is left out"),
            DamageKind::BlockKind { found } => {
                write!(f, "found a block of kind {found}, expected a block of events")
            }
            DamageKind::Slot { found: [word0, word1] } => write!(
                f,
                "found {word0:#018x} {word1:#018x}, \
                 expected a slot of a known kind and of this use of the block"
            ),
            DamageKind::Stack { found: [word0, word1] } => write!(
                f,
                "found {word0:#018x} {word1:#018x}, \
                 expected a call stack that follows from the slots before it"
            ),
        }
    }
}

/// The damage of one trace.
#[derive(Debug, Default)]
pub struct DamageList {
    /// The first [`MOST_DESCRIBED`] damaged places, each once.
    pub described: Vec<Damage>,
    /// Number of further damaged places.
    pub more: u64,
}

impl DamageList {
    /// Adds a damaged place, unless it is known.
    pub fn add(&mut self, damage: Damage) {
        if self.described.contains(&damage) {
            return;
        }
        if self.described.len() < MOST_DESCRIBED {
            self.described.push(damage);
        } else {
            self.more += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_and_expected_are_in_the_text() {
        let field = HeaderError::Field { field: "version", offset: 8, found: 7, expected: 1 };
        for (kind, text) in [
            (
                DamageKind::Header(field),
                "found version at offset 8: found 0x7, expected 0x1, \
                 expected the header of a trace",
            ),
            (
                DamageKind::TruncatedRing { found: 5, expected: 6 },
                "found 5 bytes, expected 6 bytes",
            ),
            (
                DamageKind::MissingBlocks { count: 2 },
                "found the end of the file, or holes, expected 2 more blocks that were opened",
            ),
            (DamageKind::TruncatedBlock, "found the end of the file, expected the rest of a block"),
            (
                DamageKind::BlockMagic { found: 16 },
                "found 0x10, expected \"BLK1\", the magic of a block",
            ),
            (
                DamageKind::BlockState { found: 17, block: 3 },
                "found 0x11, expected the state of block 3",
            ),
            (DamageKind::NoBlock, "found no block, expected a block, which is left out"),
            (
                DamageKind::BlockKind { found: 9 },
                "found a block of kind 9, expected a block of events",
            ),
            (
                DamageKind::Slot { found: [1, 2] },
                "found 0x0000000000000001 0x0000000000000002, expected a slot of a known kind and \
                 of this use of the block",
            ),
        ] {
            assert_eq!(Damage::new(kind, 42).to_string(), format!("damaged at offset 42: {text}"));
        }
    }

    #[test]
    fn a_place_is_described_once_and_the_list_is_bounded() {
        let mut list = DamageList::default();
        for offset in (0..150).chain(0..20) {
            list.add(Damage::new(DamageKind::NoBlock, offset));
        }
        assert_eq!((list.described.len(), list.more), (MOST_DESCRIBED, 50));
    }
}
