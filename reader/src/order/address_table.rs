//! A hash table of addresses, each alive or dead: open addressing with linear probing.
//!
//! A birth and a death each take one lookup. Allocators reuse addresses, so a dead address keeps
//! its entry until the table is rebuilt.

use std::hash::{BuildHasher, RandomState};

/// Flag of an entry: the address lives. No address of a program has this bit.
const ALIVE: u64 = 1 << 63;
/// An unused entry; no block of memory has address 0.
const UNUSED: u64 = 0;
/// Entries of the smallest table.
const LEAST: usize = 1 << 10;

/// AddressTable other than 0, without bit 63.
#[derive(Clone, Debug)]
pub struct AddressTable {
    /// A power of two of entries, at least half of them unused.
    entries: Vec<u64>,
    used: usize,
    /// Dead addresses keep their entries in a rebuild.
    keep: bool,
    /// Random, so that a hostile trace cannot choose addresses with equal hashes.
    seed: u64,
}

impl AddressTable {
    /// An empty table. `keep`: dead addresses stay in the table for good.
    pub fn new(keep: bool) -> AddressTable {
        let seed = RandomState::new().hash_one(0);
        AddressTable { entries: vec![UNUSED; LEAST], used: 0, keep, seed }
    }

    /// The number of addresses that live, which are counted when somebody asks.
    pub fn alive(&self) -> usize {
        self.living().count()
    }

    /// The addresses that live, in no order.
    pub fn living(&self) -> impl Iterator<Item = u64> {
        self.entries.iter().filter(|&&entry| entry & ALIVE != 0).map(|entry| entry & !ALIVE)
    }

    /// Dead addresses stay in the table for good.
    pub fn keeps(&self) -> bool {
        self.keep
    }

    /// Whether the address lives; `None` if it is not in the table.
    pub fn get(&self, address: u64) -> Option<bool> {
        match self.entries[self.place(address)] {
            UNUSED => None,
            entry => Some(entry & ALIVE != 0),
        }
    }

    /// Sets whether the address lives. `false` if that changes nothing; an unknown address counts
    /// as dead.
    #[inline]
    pub fn set(&mut self, address: u64, alive: bool) -> bool {
        let place = self.place(address);
        let entry = self.entries[place];
        if entry == UNUSED {
            if alive {
                self.add(place, address);
            }
            return alive;
        }
        // Without a branch on birth or death, which no processor can predict.
        let now = u64::from(alive) << ALIVE.ilog2();
        self.entries[place] = entry & !ALIVE | now;
        (entry ^ now) & ALIVE != 0
    }

    #[cold]
    fn add(&mut self, place: usize, address: u64) {
        self.entries[place] = address | ALIVE;
        self.used += 1;
        if self.used > self.entries.len() / 2 {
            self.rebuild();
        }
    }

    /// The entry of the address, or the unused one that it would take.
    #[inline]
    fn place(&self, address: u64) -> usize {
        // Folded multiplication, as in wyhash.
        const ODD: u128 = 0x9e37_79b9_7f4a_7c15;
        let product = u128::from((address | ALIVE) ^ self.seed) * ODD;
        let mask = self.entries.len() - 1;
        let mut place = (product >> 64 ^ product) as usize & mask;
        loop {
            let entry = self.entries[place];
            if (entry ^ address) & !ALIVE == 0 || entry == UNUSED {
                return place;
            }
            place = (place + 1) & mask;
        }
    }

    /// Doubles the free entries; drops dead addresses unless they are kept.
    #[cold]
    fn rebuild(&mut self) {
        let kept = |entry: &u64| *entry != UNUSED && (self.keep || entry & ALIVE != 0);
        let old: Vec<u64> = self.entries.iter().copied().filter(kept).collect();
        let size = (4 * old.len()).next_power_of_two().max(LEAST);
        self.entries.clear();
        self.entries.resize(size, UNUSED);
        self.used = old.len();
        for entry in old {
            let place = self.place(entry & !ALIVE);
            self.entries[place] = entry;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_map_says_the_same(
            keep: bool,
            steps in prop::collection::vec((any::<bool>(), 1u64..3000), 0..20_000),
        ) {
            let mut table = AddressTable::new(keep);
            let mut map = HashMap::new();
            for (birth, address) in steps {
                let address = address * 16;
                let lived = map.get(&address) == Some(&true);
                prop_assert_eq!(table.set(address, birth), birth != lived);
                if birth || lived {
                    map.insert(address, birth);
                }
            }
            prop_assert_eq!(table.alive(), map.values().filter(|&&alive| alive).count());
            for address in (1..3000).map(|number| number * 16) {
                match (table.get(address), map.get(&address)) {
                    // It was forgotten.
                    (None, Some(false)) => prop_assert!(!keep),
                    (found, expected) => prop_assert_eq!(found, expected.copied()),
                }
            }
        }
    }

    #[test]
    fn the_dead_are_forgotten() {
        let mut table = AddressTable::new(false);
        for address in (1..1_000_000).map(|number| number << 4) {
            table.set(address, true);
            assert!(table.set(address, false));
        }
        assert!(table.entries.len() <= 2 * LEAST);
    }
}
