//! The table of sites: from an address to its site and its rule. Lock-free, 8 bytes a slot.
//!
//! Open addressing with linear probing. The 47 bits of an address go through a bijection
//! (multiplication by an odd number); the upper `n` bits are the home slot in a table of `2^n`, so
//! that the rest and the distance from home tell the address exactly:
//!
//! ```text
//!  63                    n+17     n+13           10          0
//! | lower 47-n bits      | distance | site        | rule     |
//! ```
//!
//! A table that is full is copied into one of twice the size, which is then published; old ones
//! stay where they are, since somebody may be reading. What is put into an old one meanwhile is
//! lost, and found out again.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Bits of an address in the lower half of the address space.
pub const ADDRESS_BITS: u32 = 47;
/// Bits above an address in a word.
const REST: u32 = 64 - ADDRESS_BITS;
const DISTANCE_BITS: u32 = 4;
const DISTANCES: usize = 1 << DISTANCE_BITS;
/// Bits of the number of a rule.
pub const RULE_BITS: u32 = 10;
/// The first table has `2^SMALLEST` slots, which leave room for the rest of an address.
pub const SMALLEST: u32 = 15;
/// No table has more than `2^LARGEST` slots.
const LARGEST: u32 = 21;
/// An odd number: 2^64 divided by the golden ratio, in the bits of an address.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
/// Low bits of the published word that hold the size.
const SIZE_BITS: usize = 64;

/// A site's number and its rule's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The number of the site.
    pub site: u32,
    /// The number of the rule.
    pub rule: u32,
}

impl Entry {
    #[inline(always)]
    fn of(payload: u64) -> Entry {
        Entry { site: (payload >> RULE_BITS) as u32, rule: payload as u32 & RULES }
    }
}

/// The table. All zero is one without slots.
#[derive(Debug)]
pub struct Table {
    /// The address of the slots and, in its low bits, the logarithm of their number.
    published: AtomicUsize,
}

/// The slots as they are published, for several looks.
#[derive(Clone, Copy)]
pub struct View {
    slots: *const AtomicU64,
    bits: u32,
    factor: u64,
}

/// The factor of the addresses of a generation. An address of another one matches an entry that was
/// added too late only by chance.
pub fn factor(generation: u32) -> u64 {
    (FACTOR ^ u64::from(generation).wrapping_mul(0xd1b5_4a32_d192_ed02)) << REST
}

#[inline(always)]
fn hash(address: usize, factor: u64) -> u64 {
    (address as u64).wrapping_mul(factor)
}

impl View {
    /// Whether there are no slots.
    #[inline(always)]
    pub fn is_none(self) -> bool {
        self.slots.is_null()
    }

    /// How far a slot's upper half is from its end.
    #[inline(always)]
    fn payload_bits(self) -> u32 {
        REST - DISTANCE_BITS + self.bits
    }

    #[inline(always)]
    fn slot(&self, home: usize, distance: usize) -> &AtomicU64 {
        let place = (home + distance) & ((1 << self.bits) - 1);
        // SAFETY: there are `2^bits` slots, in memory that is never given back.
        unsafe { &*self.slots.wrapping_add(place) }
    }

    /// The entry of an address. There must be slots.
    #[inline(always)]
    pub fn find(&self, address: usize) -> Option<Entry> {
        let hash = hash(address, self.factor);
        let home = (hash >> (64 - self.bits)) as usize;
        let payload = 1u64 << self.payload_bits();
        let wanted = hash << self.bits;
        // SAFETY: there are `2^bits` slots, in memory that is never given back.
        let first = unsafe { &*self.slots.wrapping_add(home) };
        let rest = first.load(Ordering::Relaxed) ^ wanted;
        if rest < payload {
            return Some(Entry::of(rest));
        }
        self.find_behind(home, wanted)
    }

    /// As [`View::find`], if the home slot has another address.
    #[inline(never)]
    fn find_behind(&self, home: usize, mut wanted: u64) -> Option<Entry> {
        let payload = 1u64 << self.payload_bits();
        for distance in 0..DISTANCES {
            let word = self.slot(home, distance).load(Ordering::Relaxed);
            let rest = word ^ wanted;
            if rest < payload {
                return Some(Entry::of(rest));
            }
            if word == 0 {
                return None;
            }
            wanted += payload;
        }
        None
    }

    /// Puts an entry into a free slot near its home; `false` if there is none.
    fn put(&self, hash: u64, entry: Entry) -> bool {
        let home = (hash >> (64 - self.bits)) as usize;
        let payload = u64::from(entry.site) << RULE_BITS | u64::from(entry.rule);
        let step = 1u64 << self.payload_bits();
        if payload >= step {
            return false;
        }
        let mut word = hash << self.bits | payload;
        for distance in 0..DISTANCES {
            let slot = self.slot(home, distance);
            // Relaxed: a word is all that there is to an entry.
            match slot.compare_exchange(0, word, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                // Somebody else found the same out, or had another number for it.
                Err(there) if there ^ word < step => return true,
                Err(_) => word += step,
            }
        }
        false
    }

    /// Calls `visit` with every entry and its hash.
    fn each(&self, mut visit: impl FnMut(u64, Entry)) {
        for place in 0..1usize << self.bits {
            let word = self.slot(place, 0).load(Ordering::Relaxed);
            if word == 0 {
                continue;
            }
            let distance = (word >> self.payload_bits()) as usize & (DISTANCES - 1);
            let home = place.wrapping_sub(distance) & ((1 << self.bits) - 1);
            let lower = word >> (self.payload_bits() + DISTANCE_BITS);
            let hash = (home as u64) << (64 - self.bits) | lower << REST;
            let payload = word & ((1 << self.payload_bits()) - 1);
            visit(hash, Entry::of(payload));
        }
    }
}

/// Bits of a rule's number.
const RULES: u32 = (1 << RULE_BITS) - 1;

impl Table {
    /// A table without slots.
    pub const fn new() -> Table {
        Table { published: AtomicUsize::new(0) }
    }

    /// The slots of the present.
    #[inline(always)]
    pub fn view(&self, generation: u32) -> View {
        // Acquire: with the release in `grow`, so that the copied slots are seen.
        let word = self.published.load(Ordering::Acquire);
        let bits = word & (SIZE_BITS - 1);
        let slots = (word - bits) as *const AtomicU64;
        View { slots, bits: bits as u32, factor: factor(generation) }
    }

    /// Whether an address has an entry.
    #[inline(never)]
    pub fn has(&self, generation: u32, address: usize) -> bool {
        let view = self.view(generation);
        !view.is_none() && view.find(address).is_some()
    }

    /// Adds an entry, in a larger table if need be, for which `memory` is asked. `false` if there
    /// is no room.
    pub fn add(
        &self,
        generation: u32,
        address: usize,
        entry: Entry,
        memory: &dyn Fn(usize) -> *mut u8,
    ) -> bool {
        let hash = hash(address, factor(generation));
        for _ in 0..4 {
            let view = self.view(generation);
            if !view.is_none() && view.put(hash, entry) {
                return true;
            }
            if !self.grow(view, memory) {
                return false;
            }
        }
        false
    }

    /// Makes the first slots, if there are none.
    pub fn start(&self, memory: &dyn Fn(usize) -> *mut u8) {
        let view = self.view(0);
        if view.is_none() {
            self.grow(view, memory);
        }
    }

    #[inline(never)]
    fn grow(&self, old: View, memory: &dyn Fn(usize) -> *mut u8) -> bool {
        let bits = if old.is_none() { SMALLEST } else { old.bits + 1 };
        if bits > LARGEST {
            return false;
        }
        let slots = memory(size_of::<AtomicU64>() << bits) as *const AtomicU64;
        if slots.is_null() || !(slots as usize).is_multiple_of(SIZE_BITS) {
            return false;
        }
        let new = View { slots, bits, factor: 0 };
        if !old.is_none() {
            // An entry that finds no room is found out again.
            old.each(|hash, entry| _ = new.put(hash, entry));
        }
        let before = if old.is_none() { 0 } else { old.slots as usize | old.bits as usize };
        let after = slots as usize | bits as usize;
        // Release: with the acquire in `view`. If another one was faster, its table is as good.
        let _ =
            self.published.compare_exchange(before, after, Ordering::Release, Ordering::Relaxed);
        true
    }

    /// Forgets all entries, those apart that are being added.
    pub fn clear(&self) {
        let view = self.view(0);
        if view.is_none() {
            return;
        }
        for place in 0..1usize << view.bits {
            let slot = view.slot(place, 0);
            if slot.load(Ordering::Relaxed) != 0 {
                slot.store(0, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn memory(bytes: usize) -> *mut u8 {
        let zeros = vec![0u64; bytes / 8 + 512].leak();
        let start = zeros.as_mut_ptr() as usize;
        start.next_multiple_of(4096) as *mut u8
    }

    fn nothing(_: usize) -> *mut u8 {
        core::ptr::null_mut()
    }

    #[test]
    fn the_bijection_is_one() {
        // An odd factor has an inverse modulo 2^47.
        assert!((0..1000).all(|generation| factor(generation) >> REST & 1 == 1));
        const { assert!(REST - DISTANCE_BITS + SMALLEST >= RULE_BITS + 18) };
    }

    #[test]
    fn a_hundred_thousand_addresses() {
        let table = Table::new();
        let mut expected = HashMap::new();
        let mut address = 0x5555_5555_0000usize;
        for site in 16..100_016u32 {
            address = if site % 1000 == 0 {
                address ^ 0x2aaa_0000_0000
            } else {
                address + 1 + site as usize % 37
            };
            let entry = Entry { site, rule: site * 7 % 1023 };
            if expected.insert(address, entry).is_none() {
                assert!(table.add(5, address, entry, &memory));
            }
        }
        let view = table.view(5);
        let found = expected.iter().filter(|(address, entry)| {
            let found = view.find(**address);
            assert!(found.is_none() || found == Some(**entry));
            found.is_some()
        });
        // A few are lost when tables grow.
        assert!(found.count() > expected.len() * 999 / 1000);
        for address in expected.keys() {
            let next = address + 1;
            if !expected.contains_key(&next) {
                assert_eq!(view.find(next), None);
            }
            assert_eq!(table.view(6).find(*address), None);
        }
        table.clear();
        assert!(expected.keys().all(|address| table.view(5).find(*address).is_none()));
    }

    #[test]
    fn without_memory_nothing_is_kept() {
        let table = Table::new();
        let entry = Entry { site: 16, rule: 0 };
        assert!(!table.add(0, 100, entry, &nothing));
        assert!(table.view(0).is_none());
        assert!(table.add(0, 100, entry, &memory));
        let full = (0..1 << 20).find(|&at| !table.add(0, at * 64, entry, &nothing));
        assert!(full.is_some_and(|at| at > 10_000));
        assert_eq!(table.view(0).find(100), Some(entry));
    }
}
