//! The 16-byte slot.

use bytemuck::{Pod, Zeroable};

use crate::kind::Kind;
use crate::layout::SLOT_SIZE;

/// `aux` of a reallocation of `NULL`: the call has no death.
pub const REALLOC_FRESH: u8 = 1;
/// `aux` of an aligned call whose alignment is no power of two and stands in a
/// [`Kind::WideAlignment`] before it.
pub const WIDE_ALIGNMENT: u8 = 0xff;
/// Bit of `aux` of [`Kind::OperatorDelete`] and [`Kind::OperatorDeleteArray`]: the caller gave a size.
/// The bits below are the binary logarithm of the alignment, 0 for none.
pub const DELETE_SIZED: u8 = 0x80;
/// Position in `aux` of the number of a call stack ([`Kind::has_stack_in_aux`]).
pub const STACK_SHIFT: u32 = 1;
/// Position of the parity bit in word 0.
pub const PARITY_SHIFT: u32 = 54;

const ADDRESS_BITS: u32 = 48;
const ADDRESS_MASK: u64 = (1 << ADDRESS_BITS) - 1;
const KIND_MASK: u64 = 0x3f;
const RESERVED_BIT: u64 = 1 << 55;

/// One 16-byte slot as it stands in the file. All zeros: not written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Slot {
    /// Address, kind, parity, aux.
    pub word0: u64,
    /// Size and ticks.
    pub word1: u64,
}

const _: () = assert!(size_of::<Slot>() == SLOT_SIZE, "the price of one event");

impl Slot {
    /// Word 0 without its parity. `address` must fit 48 bits; higher bits are cut off.
    #[inline(always)]
    pub const fn word0(kind: Kind, aux: u8, address: u64) -> u64 {
        (address & ADDRESS_MASK) | ((kind as u64) << ADDRESS_BITS) | ((aux as u64) << 56)
    }

    /// Word 1. `size` must fit 32 bits; higher bits are cut off.
    #[inline(always)]
    pub const fn word1(size: u64, ticks: u32) -> u64 {
        (size & 0xffff_ffff) | ((ticks as u64) << 32)
    }

    /// A prefix slot that carries `value`, without its parity.
    pub const fn prefix(kind: Kind, aux: u8, value: u64) -> Slot {
        Slot { word0: Slot::word0(kind, aux, value), word1: value >> ADDRESS_BITS }
    }

    /// The value that a prefix slot carries.
    pub const fn value(self) -> u64 {
        self.address() | ((self.word1 & 0xffff) << ADDRESS_BITS)
    }

    /// The raw kind; 0 when the slot is not written.
    pub const fn raw_kind(self) -> u8 {
        ((self.word0 >> ADDRESS_BITS) & KIND_MASK) as u8
    }

    /// The kind; `None` if the slot is not written or its kind is not assigned.
    #[inline]
    pub const fn kind(self) -> Option<Kind> {
        Kind::from_raw(self.raw_kind())
    }

    /// The parity of the use of the block in which the slot was written, 0 or 1.
    pub const fn parity(self) -> u64 {
        (self.word0 >> PARITY_SHIFT) & 1
    }

    /// The reserved bit is zero, as the format demands.
    pub const fn reserved_is_zero(self) -> bool {
        self.word0 & RESERVED_BIT == 0
    }

    /// Parity and reserved bit, in place: the same in all slots of one use of a block.
    pub const fn flags(self) -> u64 {
        self.word0 & (RESERVED_BIT | 1 << PARITY_SHIFT)
    }

    /// The low 48 bits of the address.
    pub const fn address(self) -> u64 {
        self.word0 & ADDRESS_MASK
    }

    /// Alignment or flags, by kind.
    pub const fn aux(self) -> u8 {
        (self.word0 >> 56) as u8
    }

    /// The low 32 bits of the size in bytes.
    pub const fn size(self) -> u32 {
        self.word1 as u32
    }

    /// Ticks since the base.
    pub const fn ticks(self) -> u32 {
        (self.word1 >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn fields_come_back(
            kind in prop::sample::select(&Kind::ALL),
            aux: u8,
            address in 0u64..1 << 48,
            size: u32,
            ticks: u32,
        ) {
            let slot = Slot {
                word0: Slot::word0(kind, aux, address),
                word1: Slot::word1(size.into(), ticks),
            };
            prop_assert_eq!(
                (slot.kind(), slot.aux(), slot.address(), slot.size(), slot.ticks()),
                (Some(kind), aux, address, size, ticks)
            );
            prop_assert_eq!((slot.parity(), slot.reserved_is_zero()), (0, true));
            let odd = Slot { word0: slot.word0 | 1 << PARITY_SHIFT, ..slot };
            prop_assert_eq!((odd.parity(), odd.kind(), odd.aux()), (1, Some(kind), aux));
        }

        #[test]
        fn prefixes_carry_64_bits(value: u64, aux: u8) {
            let slot = Slot::prefix(Kind::Ticks, aux, value);
            prop_assert_eq!((slot.value(), slot.aux(), slot.kind()), (value, aux, Some(Kind::Ticks)));
        }
    }
}
