//! The memory of one process that is alive: a hash table of addresses, open addressing with linear
//! probing, over blocks that lie together.
//!
//! Allocators reuse addresses: a dead address keeps its entry until the table is rebuilt, so that a
//! birth and a death take one lookup each and move nothing.

use std::hash::{BuildHasher, RandomState};

use mallook_reader::Kind;

use crate::place::PlaceId;
use crate::thread::ThreadId;

/// A block of memory that is alive, or was until now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its address.
    pub address: u64,
    /// Its requested size in bytes.
    pub size: u64,
    /// The time of its birth, in Unix nanoseconds.
    pub birth_ns: u64,
    /// Births of the process up to its own one, which counts.
    pub births: u64,
    /// Births of its thread up to its own one, which counts.
    pub ordinal: u64,
    /// The size of the first block of its chain of reallocations.
    pub first_size: u64,
    /// The thread that has made it.
    pub thread: ThreadId,
    /// Where it comes from.
    pub place: PlaceId,
    /// How many blocks of its chain of reallocations were before it.
    pub chain: u32,
    /// The function that has made it.
    pub function: Kind,
}

const _: () = assert!(size_of::<Block>() == 64, "a block is a line of the cache");

/// An entry of the table.
#[derive(Clone, Copy, Debug)]
struct Entry {
    address: u64,
    /// The place of its block, or [`DEAD`].
    slot: u32,
}

/// No block of memory has address 0.
const UNUSED: Entry = Entry { address: 0, slot: DEAD };
const DEAD: u32 = u32::MAX;
/// Entries of the smallest table.
const LEAST: usize = 1 << 8;

/// The blocks that are alive, by address.
#[derive(Clone, Debug)]
pub struct LiveSet {
    /// A power of two of entries, at least half of them unused.
    entries: Vec<Entry>,
    used: usize,
    blocks: Vec<Block>,
    /// Places of blocks that are dead, the last one first.
    free: Vec<u32>,
    /// Random, so that a hostile trace cannot choose addresses with equal hashes.
    seed: u64,
}

impl Default for LiveSet {
    fn default() -> LiveSet {
        LiveSet::new()
    }
}

impl LiveSet {
    /// Nothing is alive.
    pub fn new() -> LiveSet {
        LiveSet {
            entries: vec![UNUSED; LEAST],
            used: 0,
            blocks: Vec::new(),
            free: Vec::new(),
            seed: RandomState::new().hash_one(0),
        }
    }

    /// Number of blocks.
    pub fn len(&self) -> usize {
        self.blocks.len() - self.free.len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The block that starts at an address.
    pub fn get(&self, address: u64) -> Option<&Block> {
        let entry = self.entries[self.find(address)];
        self.blocks.get(entry.slot as usize)
    }

    /// The blocks, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Block> {
        self.entries.iter().filter_map(|entry| self.blocks.get(entry.slot as usize))
    }

    /// Adds a block, whose address is not 0; where it is now, and the block that was at its address.
    #[inline]
    pub fn insert(&mut self, block: Block) -> (&Block, Option<Block>) {
        let place = self.find(block.address);
        let Entry { address, slot } = self.entries[place];
        if let Some(old) = self.blocks.get(slot as usize).copied() {
            self.blocks[slot as usize] = block;
            return (&self.blocks[slot as usize], Some(old));
        }
        let slot = match self.free.pop() {
            Some(slot) => {
                self.blocks[slot as usize] = block;
                slot
            }
            None => {
                self.blocks.push(block);
                (self.blocks.len() - 1) as u32
            }
        };
        self.entries[place] = Entry { address: block.address, slot };
        if address == 0 {
            self.used += 1;
            if self.used > self.entries.len() / 2 {
                self.rebuild();
            }
        }
        (&self.blocks[slot as usize], None)
    }

    /// Takes a block out, which is lent: copying it costs more than reading it.
    #[inline]
    pub fn remove(&mut self, address: u64) -> Option<&Block> {
        let place = self.find(address);
        let entry = &mut self.entries[place];
        let block = self.blocks.get(entry.slot as usize)?;
        self.free.push(entry.slot);
        entry.slot = DEAD;
        Some(block)
    }

    /// The place of the entry of the address, or of the unused one that it would take.
    #[inline]
    fn find(&self, address: u64) -> usize {
        // Folded multiplication, as in wyhash.
        const ODD: u128 = 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(address ^ self.seed) * ODD;
        let mask = self.entries.len() - 1;
        let mut place = (product >> 64 ^ product) as usize & mask;
        while self.entries[place].address != address && self.entries[place].address != 0 {
            place = (place + 1) & mask;
        }
        place
    }

    /// Drops dead addresses, and makes a quarter of the entries used at the most.
    #[cold]
    fn rebuild(&mut self) {
        let alive: Vec<Entry> =
            self.entries.iter().copied().filter(|entry| entry.slot != DEAD).collect();
        let size = (4 * alive.len()).next_power_of_two().max(LEAST);
        self.entries.clear();
        self.entries.resize(size, UNUSED);
        self.entries.shrink_to(size);
        self.used = alive.len();
        for entry in alive {
            let place = self.find(entry.address);
            self.entries[place] = entry;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn block(address: u64, size: u64) -> Block {
        Block {
            address,
            size,
            birth_ns: 0,
            births: 0,
            ordinal: 0,
            first_size: size,
            thread: ThreadId::OTHERS,
            place: PlaceId::NONE,
            chain: 0,
            function: Kind::Malloc,
        }
    }

    proptest! {
        #[test]
        fn a_map_says_the_same(
            steps in prop::collection::vec((any::<bool>(), 1u64..3000, any::<u64>()), 0..5_000),
        ) {
            let (mut live, mut map) = (LiveSet::new(), HashMap::new());
            for (birth, address, size) in steps {
                let address = address * 16;
                let block = block(address, size);
                match birth {
                    true => prop_assert_eq!(live.insert(block).1, map.insert(address, block)),
                    false => prop_assert_eq!(live.remove(address).copied(), map.remove(&address)),
                }
                prop_assert_eq!(live.get(address), map.get(&address));
                prop_assert_eq!(live.len(), map.len());
            }
            let found: HashMap<_, _> = live.iter().map(|block| (block.address, *block)).collect();
            prop_assert_eq!(found, map);
        }
    }

    #[test]
    fn addresses_that_are_never_used_again_take_no_memory() {
        let mut live = LiveSet::new();
        for address in 1..1_000_000 {
            live.insert(block(address * 16, 1));
            live.remove(address * 16);
        }
        assert!(live.entries.len() <= 2 * LEAST && live.blocks.len() == 1);
    }
}
