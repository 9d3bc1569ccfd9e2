//! The header of a block.

use bytemuck::{Pod, Zeroable};

use crate::layout::{BLOCK_HEADER_SIZE, until_zero};
use crate::raw::raw_enum;

/// Marks a block that has been used, in the low half of [`BlockHeader::ident`]: `"BLK1"`.
pub const BLOCK_MAGIC: u32 = u32::from_le_bytes(*b"BLK1");

raw_enum! {
    /// The kind of the contents of a block.
    pub enum BlockKind: u16 {
        /// Slots of moments, markers and prefixes.
        Events = 1,
        /// Slots of call sites and modules.
        Sites = 2,
    }
}

raw_enum! {
    /// The progress of the present use of a block.
    pub enum Phase: u8 {
        /// Never used, or finished: it may be taken.
        Closed = 0,
        /// Taken; its header is being written. Nothing in it is to be read.
        Preparing = 1,
        /// A thread writes into it.
        Open = 2,
    }
}

/// The first word of a block, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The number of the claim, as handed out by the cursor; 61 bits.
    pub sequence: u64,
    /// The parity of the present use, 0 or 1.
    pub parity: u64,
    /// The progress of that use.
    pub phase: Phase,
}

impl State {
    /// Takes the word apart; `None` if the phase is not assigned.
    pub const fn from_word(word: u64) -> Option<State> {
        let Some(phase) = Phase::from_raw((word & 3) as u8) else { return None };
        Some(State { sequence: word >> 3, parity: (word >> 2) & 1, phase })
    }

    /// Puts the word together. The sequence must fit 61 bits.
    pub const fn word(self) -> u64 {
        (self.sequence << 3) | (self.parity << 2) | self.phase as u64
    }

    /// The same use in another phase.
    pub const fn with_phase(self, phase: Phase) -> State {
        State { phase, ..self }
    }
}

/// The 128 bytes at the start of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockHeader {
    /// Sequence, parity and phase ([`State`]); 0 when the block was never used.
    pub state: u64,
    /// Call moments ever written, up to the end of the last use with parity 0 and 1.
    pub totals: [u64; 2],
    /// [`BLOCK_MAGIC`] in bits 0..32, [`BlockKind`] in bits 32..48, the rest reserved.
    pub ident: u64,
    /// Base of the ticks of the slots, in units of the header's clock.
    pub base_ticks: u64,
    /// `CLOCK_MONOTONIC` nanoseconds at `base_ticks`.
    pub base_ns: u64,
    /// Thread ID in bits 0..32; bits 32..64 are the recorder's own.
    pub owner: u64,
    /// The thread's name, padded with zeros.
    pub name: [u64; 2],
    /// Zero.
    pub reserved: [u64; 7],
}

const _: () = assert!(size_of::<BlockHeader>() == BLOCK_HEADER_SIZE, "slots start after it");

impl BlockHeader {
    /// `ident` of a block of events.
    pub const EVENTS: u64 = BlockHeader::ident(BlockKind::Events);

    /// `ident` of a block of this kind.
    pub const fn ident(kind: BlockKind) -> u64 {
        BLOCK_MAGIC as u64 | (kind as u64) << 32
    }

    /// The thread that the block was claimed by.
    pub const fn tid(&self) -> u32 {
        self.owner as u32
    }

    /// The block starts with the magic.
    pub const fn has_magic(&self) -> bool {
        self.ident as u32 == BLOCK_MAGIC
    }

    /// The raw [`BlockKind`].
    pub const fn raw_kind(&self) -> u16 {
        (self.ident >> 32) as u16
    }

    /// The bytes of the thread's name up to the first zero.
    pub fn name(&self) -> &[u8] {
        let bytes: &[u8; 16] = bytemuck::cast_ref(&self.name);
        until_zero(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_word_comes_back() {
        for word in [0, 1, 2, 4, 5, 6, 0xdead_beec, u64::MAX - 1] {
            assert_eq!(State::from_word(word).map(State::word), Some(word));
        }
        assert_eq!(State::from_word(u64::MAX), None);
    }
}
