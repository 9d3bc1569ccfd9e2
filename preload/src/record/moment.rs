//! A moment with all its fields, and the slots that it takes.

use mallook_format::{Kind, SLOT_SIZE, Slot, WIDE_ALIGNMENT};

use super::thread_buffer::slot_at;

const SIZE_BITS: u32 = 32;
const ADDRESS_BITS: u32 = 48;
const ADDRESS_MASK: u64 = (1 << ADDRESS_BITS) - 1;

/// Whether one slot holds these fields.
#[inline(always)]
pub fn fits(address: usize, size: usize) -> bool {
    (size as u64 >> SIZE_BITS) | (address as u64 >> ADDRESS_BITS) == 0
}

/// An event with all its fields, of any width.
pub struct Moment {
    /// Word 0 without address and parity.
    pub head: u64,
    pub address: u64,
    pub size: u64,
    /// In bytes, if it is no power of two.
    pub alignment: u64,
}

impl Moment {
    /// Kind and `aux`.
    pub fn head(&self) -> Slot {
        Slot { word0: self.head, word1: 0 }
    }

    /// Whether one slot holds it.
    fn fits(&self) -> bool {
        self.head().aux() != WIDE_ALIGNMENT && fits(self.address as usize, self.size as usize)
    }

    /// The prefixes that it needs: kind and value.
    fn prefixes(&self) -> impl Iterator<Item = (Kind, u64)> {
        let wide = |needed: bool, kind, value| needed.then_some((kind, value));
        [
            wide(self.head().aux() == WIDE_ALIGNMENT, Kind::WideAlignment, self.alignment),
            wide(self.size >> SIZE_BITS != 0, Kind::WideSize, self.size),
            wide(self.address >> ADDRESS_BITS != 0, Kind::WideAddress, self.address),
        ]
        .into_iter()
        .flatten()
    }

    /// Number of slots that it takes.
    pub fn slots(&self) -> usize {
        if self.fits() { 1 } else { self.prefixes().count() + 1 }
    }

    /// Fills that many slots, which were reserved, from `first` on.
    pub fn write(&self, slots: usize, first: usize, parity_bits: u64, ticks: u32) {
        let mut cursor = first;
        if slots != 1 {
            for (kind, value) in self.prefixes() {
                let slot = Slot::prefix(kind, 0, value);
                slot_at(cursor).commit(slot.word0 | parity_bits, slot.word1);
                cursor += SLOT_SIZE;
            }
        }
        let word0 = self.head | self.address & ADDRESS_MASK | parity_bits;
        slot_at(cursor).commit(word0, Slot::word1(self.size, ticks));
    }
}
