//! Call stacks: the slots that define them in blocks of events, and the slots of sites and modules
//! in blocks of their own.

use crate::kind::Kind;
use crate::raw::raw_enum;
use crate::slot::Slot;

/// A call site: its number in the trace. A stack is a row of sites from the outermost frame on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Site(pub u32);

impl Site {
    /// No site.
    pub const NONE: Site = Site(0);
    /// In the place of the outermost frames of a stack that is too deep.
    pub const CUT: Site = Site(1);
    /// In the place of the outer frames where a step cannot be right: the stack does not grow, or
    /// leaves its memory.
    pub const BROKEN: Site = Site(2);
    /// In the place of a frame whose site could not be recorded.
    pub const UNLISTED: Site = Site(3);
    /// The first number of a site that has a slot of its own.
    pub const FIRST: Site = Site(16);
    /// Bits of a site.
    pub const BITS: u32 = 20;
    /// The number of sites that a trace can have.
    pub const COUNT: u32 = 1 << Site::BITS;

    /// It stands for an address, and has a slot.
    pub const fn is_listed(self) -> bool {
        self.0 >= Site::FIRST.0
    }
}

/// The largest number of frames of a stack.
pub const MAX_DEPTH: usize = 2048;
/// The largest number of frames that a stack can keep of the last one.
pub const MAX_KEEP: usize = 2047;
/// The largest number of a stack in a block; numbers go round from 1.
pub const MAX_STACK: u8 = 127;
/// Sites in a slot of [`Kind::Stack`].
pub const STACK_SITES: usize = 5;
/// Sites in a slot of [`Kind::StackMore`].
pub const MORE_SITES: usize = 6;
/// Bytes in a slot of [`Kind::ModuleMore`].
pub const MODULE_BYTES: usize = 14;
/// The largest number of slots of [`Kind::ModuleMore`] of a module.
pub const MAX_MODULE_SLOTS: usize = 255;

raw_enum! {
    /// The attributes of a site besides its address.
    pub enum SiteKind: u8 {
        /// A frame like most.
        Call = 0,
        /// A frame that the kernel has made for a signal: the next one outward was interrupted.
        Signal = 1,
        /// Code without unwind tables, taken to keep a frame pointer: what is outside of it is a guess.
        Guessed = 2,
        /// The outermost frame: the stack is complete.
        Outermost = 3,
        /// Nothing says how to go on outward from there: the stack is not complete.
        NoRule = 4,
    }
}

/// The last slot of a stack: what it shares with the stack before it, and its innermost sites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StackSlot {
    /// The number by which later events name the stack, from 1 to [`MAX_STACK`]. 0: a stack apart,
    /// of the next moment alone, to which no later slot refers.
    pub number: u8,
    /// Outer frames that it shares with the last stack, at most [`MAX_KEEP`].
    pub keep: u16,
    /// The innermost frames, from the outermost of them on; [`Site::NONE`] after the last.
    pub sites: [Site; STACK_SITES],
}

const SITE_MASK: u64 = (1 << Site::BITS) - 1;
const KEEP_BITS: u32 = 11;

/// The 120 free bits of a slot: address, word 1, aux.
fn pack(kind: Kind, bits: u128) -> Slot {
    let (address, word1, aux) = (bits as u64, (bits >> 48) as u64, (bits >> 112) as u8);
    Slot { word0: Slot::word0(kind, aux, address), word1 }
}

fn unpack(slot: Slot) -> u128 {
    u128::from(slot.address()) | u128::from(slot.word1) << 48 | u128::from(slot.aux()) << 112
}

fn pack_sites(sites: &[Site]) -> u128 {
    let each = sites.iter().rev();
    each.fold(0, |bits, site| bits << Site::BITS | u128::from(u64::from(site.0) & SITE_MASK))
}

fn unpack_sites<const COUNT: usize>(bits: u128) -> [Site; COUNT] {
    core::array::from_fn(|index| {
        Site(((bits >> (index as u32 * Site::BITS)) as u64 & SITE_MASK) as u32)
    })
}

impl StackSlot {
    /// As a slot, without parity.
    pub fn slot(&self) -> Slot {
        let counts = u128::from(self.keep & ((1 << KEEP_BITS) - 1))
            | u128::from(self.number & MAX_STACK) << KEEP_BITS;
        pack(Kind::Stack, pack_sites(&self.sites) | counts << (STACK_SITES as u32 * Site::BITS))
    }

    /// The content of a slot of [`Kind::Stack`].
    pub fn of(slot: Slot) -> StackSlot {
        let bits = unpack(slot);
        let counts = (bits >> (STACK_SITES as u32 * Site::BITS)) as u32;
        StackSlot {
            number: (counts >> KEEP_BITS) as u8 & MAX_STACK,
            keep: counts as u16 & ((1 << KEEP_BITS) - 1),
            sites: unpack_sites(bits),
        }
    }
}

/// A slot of [`Kind::StackMore`].
pub fn stack_more(sites: &[Site; MORE_SITES]) -> Slot {
    pack(Kind::StackMore, pack_sites(sites))
}

/// The sites of a slot of [`Kind::StackMore`].
pub fn sites_of_more(slot: Slot) -> [Site; MORE_SITES] {
    unpack_sites(unpack(slot))
}

/// A slot of [`Kind::Site`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SiteSlot {
    /// Its number.
    pub site: Site,
    /// The address to look up in tables of symbols: the return address minus one, or the address at
    /// which a signal has interrupted the code.
    pub address: u64,
    /// Raw [`SiteKind`].
    pub kind: u8,
    /// The number of its module, 0 for none.
    pub module: u32,
}

impl SiteSlot {
    /// As a slot, without parity.
    pub fn slot(&self) -> Slot {
        let word1 = u64::from(self.site.0) & SITE_MASK | u64::from(self.module) << 32;
        Slot { word0: Slot::word0(Kind::Site, self.kind, self.address), word1 }
    }

    /// The content of a slot of [`Kind::Site`].
    pub fn of(slot: Slot) -> SiteSlot {
        SiteSlot {
            site: Site((slot.word1 & SITE_MASK) as u32),
            address: slot.address(),
            kind: slot.aux(),
            module: (slot.word1 >> 32) as u32,
        }
    }
}

/// A slot of [`Kind::Module`], which is followed by its [`Kind::ModuleMore`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModuleSlot {
    /// Its number, from 1 on.
    pub module: u32,
    /// Address of its first byte in memory.
    pub start: u64,
    /// Its length in memory, in pages of 4 KiB.
    pub pages: u32,
    /// Number of slots of [`Kind::ModuleMore`] that follow.
    pub more: u8,
}

impl ModuleSlot {
    /// As a slot, without parity.
    pub fn slot(&self) -> Slot {
        let word1 = u64::from(self.module) << 32 | u64::from(self.pages);
        Slot { word0: Slot::word0(Kind::Module, self.more, self.start), word1 }
    }

    /// The content of a slot of [`Kind::Module`].
    pub fn of(slot: Slot) -> ModuleSlot {
        ModuleSlot {
            module: (slot.word1 >> 32) as u32,
            start: slot.address(),
            pages: slot.word1 as u32,
            more: slot.aux(),
        }
    }
}

raw_enum! {
    /// The field of a module that a slot of [`Kind::ModuleMore`] carries a part of.
    pub enum ModuleField: u8 {
        /// Eight bytes: what is to be subtracted from an address to have that of the file.
        Bias = 1,
        /// How often modules had gone when this one was first seen, 32 bits, and `CLOCK_MONOTONIC`
        /// then, in nanoseconds, 64 bits.
        Seen = 2,
        /// The build ID, 14 bytes a slot; the first byte of the first slot is its length.
        BuildId = 3,
        /// The path, 14 bytes a slot, padded with zeros; empty for the program itself.
        Path = 4,
    }
}

/// A slot of [`Kind::ModuleMore`].
pub fn module_more(field: ModuleField, bytes: &[u8; MODULE_BYTES]) -> Slot {
    let (low, high) = bytes.split_at(6);
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    Slot { word0: Slot::word0(Kind::ModuleMore, field as u8, word(low)), word1: word(high) }
}

/// The field and the bytes of a slot of [`Kind::ModuleMore`]; `None` if the field is not known.
pub fn field_of_more(slot: Slot) -> Option<(ModuleField, [u8; MODULE_BYTES])> {
    let mut bytes = [0; MODULE_BYTES];
    bytes[..6].copy_from_slice(&slot.address().to_le_bytes()[..6]);
    bytes[6..].copy_from_slice(&slot.word1.to_le_bytes());
    Some((ModuleField::from_raw(slot.aux())?, bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn site() -> impl Strategy<Value = Site> {
        (0..Site::COUNT).prop_map(Site)
    }

    proptest! {
        #[test]
        fn stacks_come_back(
            number in 0..=MAX_STACK,
            keep in 0..=MAX_KEEP as u16,
            sites in prop::array::uniform5(site()),
            more in prop::array::uniform6(site()),
        ) {
            let stack = StackSlot { number, keep, sites };
            prop_assert_eq!(StackSlot::of(stack.slot()), stack);
            prop_assert_eq!(stack.slot().kind(), Some(Kind::Stack));
            prop_assert_eq!((stack.slot().parity(), stack.slot().reserved_is_zero()), (0, true));
            prop_assert_eq!(sites_of_more(stack_more(&more)), more);
            prop_assert_eq!(stack_more(&more).kind(), Some(Kind::StackMore));
        }

        #[test]
        fn sites_and_modules_come_back(
            site in site(),
            address in 0u64..1 << 48,
            kind: u8,
            module: u32,
            pages: u32,
            bytes: [u8; MODULE_BYTES],
        ) {
            let listed = SiteSlot { site, address, kind, module };
            prop_assert_eq!(SiteSlot::of(listed.slot()), listed);
            let there = ModuleSlot { module, start: address, pages, more: kind };
            prop_assert_eq!(ModuleSlot::of(there.slot()), there);
            for field in ModuleField::ALL {
                let slot = module_more(field, &bytes);
                prop_assert_eq!(field_of_more(slot), Some((field, bytes)));
                prop_assert_eq!((slot.kind(), slot.parity()), (Some(Kind::ModuleMore), 0));
            }
        }
    }
}
