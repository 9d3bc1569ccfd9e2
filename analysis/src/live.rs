//! The memory of one process that is alive: a hash table of addresses, open addressing with linear
//! probing, a line of the cache for each.
//!
//! Allocators reuse addresses: a dead address keeps its room until the table is rebuilt, so that a
//! birth and a death take one lookup each and move nothing.

use std::hash::{BuildHasher, RandomState};

use mallook_reader::Kind;

use crate::place::PlaceId;
use crate::thread::ThreadId;

/// A block of memory that is alive, or was until now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(64))]
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
    /// It is alive.
    pub(crate) is_alive: bool,
}

const _: () = assert!(size_of::<Block>() == 64, "a block is a line of the cache");

/// No block of memory has address 0.
const UNUSED: Block = Block {
    address: 0,
    size: 0,
    birth_ns: 0,
    births: 0,
    ordinal: 0,
    first_size: 0,
    thread: ThreadId::OTHERS,
    place: PlaceId::NONE,
    chain: 0,
    function: Kind::Malloc,
    is_alive: false,
};
/// Blocks of the smallest table.
const LEAST: usize = 1 << 6;

/// The blocks that are alive, by address.
#[derive(Clone, Debug)]
pub struct LiveSet {
    /// A power of two of blocks, of which at least a quarter is unused.
    blocks: Vec<Block>,
    /// Those that have an address, dead or alive.
    used: usize,
    alive: usize,
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
        let seed = RandomState::new().hash_one(0);
        LiveSet { blocks: vec![UNUSED; LEAST], used: 0, alive: 0, seed }
    }

    /// Number of blocks.
    pub fn len(&self) -> usize {
        self.alive
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.alive == 0
    }

    /// The block that starts at an address.
    pub fn get(&self, address: u64) -> Option<&Block> {
        Some(&self.blocks[self.find(address)]).filter(|block| block.is_alive)
    }

    /// The blocks, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter().filter(|block| block.is_alive)
    }

    /// Makes room for a block at an address, which is not 0: the block that was alive there, or a dead one.
    /// Whoever asks writes the new one over it.
    #[inline(always)]
    pub(crate) fn insert(&mut self, address: u64) -> &mut Block {
        let mut place = self.find(address);
        if self.blocks[place].address == 0 {
            place = self.add(place, address);
        }
        let block = &mut self.blocks[place];
        self.alive += usize::from(!block.is_alive);
        block
    }

    /// Uses the unused place for an address that is new; where that is now.
    #[cold]
    #[inline(never)]
    fn add(&mut self, place: usize, address: u64) -> usize {
        self.used += 1;
        if self.used <= self.blocks.len() / 4 * 3 {
            return place;
        }
        self.rebuild();
        self.used += 1;
        self.find(address)
    }

    /// Takes a block out, which is lent: copying it costs more than reading it.
    #[inline(always)]
    pub(crate) fn remove(&mut self, address: u64) -> Option<&Block> {
        let place = self.find(address);
        let block = &mut self.blocks[place];
        if !std::mem::replace(&mut block.is_alive, false) {
            return None;
        }
        self.alive -= 1;
        Some(block)
    }

    /// Brings what is known of an address into the cache of the processor, which would wait for it otherwise.
    #[inline(always)]
    pub(crate) fn fetch(&self, address: u64) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let block: *const Block = &self.blocks[self.home(address)];
            // SAFETY: reads nothing, and the instruction is one of every x86-64.
            unsafe { _mm_prefetch(block.cast(), _MM_HINT_T0) };
        }
    }

    /// The place of the address if no other one has taken that.
    #[inline(always)]
    fn home(&self, address: u64) -> usize {
        // Folded multiplication, as in wyhash.
        const ODD: u128 = 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(address ^ self.seed) * ODD;
        (product >> 64 ^ product) as usize & (self.blocks.len() - 1)
    }

    /// The place of the address, or the unused one that it would take.
    #[inline(always)]
    fn find(&self, address: u64) -> usize {
        let mask = self.blocks.len() - 1;
        let mut place = self.home(address);
        loop {
            let found = self.blocks[place].address;
            if found == address || found == 0 {
                return place;
            }
            place = (place + 1) & mask;
        }
    }

    /// Drops dead addresses, and makes half of the places used at the most.
    #[cold]
    fn rebuild(&mut self) {
        let size = (2 * self.alive).next_power_of_two().max(LEAST);
        let old = std::mem::replace(&mut self.blocks, vec![UNUSED; size]);
        self.used = self.alive;
        for block in old.into_iter().filter(|block| block.is_alive) {
            let place = self.find(block.address);
            self.blocks[place] = block;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn block(address: u64, size: u64) -> Block {
        Block { address, size, is_alive: true, ..UNUSED }
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
                    true => {
                        let room = live.insert(address);
                        let old = room.is_alive.then_some(*room);
                        *room = block;
                        prop_assert_eq!(old, map.insert(address, block));
                    }
                    false => {
                        let old = live.remove(address).map(|old| Block { is_alive: true, ..*old });
                        prop_assert_eq!(old, map.remove(&address));
                    }
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
            *live.insert(address * 16) = block(address * 16, 1);
            live.remove(address * 16);
        }
        assert_eq!(live.blocks.len(), LEAST);
    }
}
