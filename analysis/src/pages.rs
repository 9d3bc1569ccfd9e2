//! The pages of memory that blocks lie in.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Size of a page in bytes.
pub const PAGE: u64 = 4096;
/// Blocks of this size have memory of their own, if they start as what mmap(2) returns does.
const LEAST_MAPPED: u64 = 128 << 10;
/// Blocks of this size always have.
const ALWAYS_MAPPED: u64 = 32 << 20;

/// The use of a page that blocks do not fill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// Bytes of blocks in it.
    pub bytes: u64,
    /// Blocks that have bytes in it.
    pub blocks: u64,
}

/// The pages of one process.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    /// Pages that hold a part of a block's beginning or end.
    edges: HashMap<u64, Use, Seed>,
    /// Bytes of blocks that share pages with others.
    pub live: u64,
    /// Pages with at least one byte of those.
    pub held: u64,
    /// Bytes of blocks with memory of their own, and pages of those.
    pub mapped: u64,
    /// The pages of those.
    pub mapped_pages: u64,
}

/// The block has memory of its own: by its size, and by where glibc and others put such ones.
pub fn is_mapped(address: u64, size: u64) -> bool {
    size >= ALWAYS_MAPPED || size >= LEAST_MAPPED && matches!(address % PAGE, 0 | 16)
}

/// The first and the last page of a block, each with the bytes of the block in it, and the number of
/// pages in between. A block of no bytes takes one.
fn span(address: u64, size: u64) -> ((u64, u64), Option<(u64, u64)>, u64) {
    let end = address.saturating_add(size.max(1));
    let (first, last) = (address / PAGE, (end - 1) / PAGE);
    if first == last {
        return ((first, end - address), None, 0);
    }
    let in_first = (first + 1) * PAGE - address;
    ((first, in_first), Some((last, end - last * PAGE)), last - first - 1)
}

impl Pages {
    /// A block is born.
    pub fn add(&mut self, address: u64, size: u64) {
        if is_mapped(address, size) {
            self.mapped = self.mapped.saturating_add(size);
            self.mapped_pages = self.mapped_pages.saturating_add(pages_of(address, size));
            return;
        }
        let (first, last, between) = span(address, size);
        self.live += size;
        self.held += between;
        for (page, bytes) in [first].into_iter().chain(last) {
            let edge = self.edges.entry(page).or_default();
            self.held += u64::from(edge.blocks == 0);
            edge.blocks += 1;
            edge.bytes += bytes;
        }
    }

    /// A block dies that was added.
    pub fn remove(&mut self, address: u64, size: u64) {
        if is_mapped(address, size) {
            self.mapped = self.mapped.saturating_sub(size);
            self.mapped_pages = self.mapped_pages.saturating_sub(pages_of(address, size));
            return;
        }
        let (first, last, between) = span(address, size);
        self.live = self.live.saturating_sub(size);
        self.held = self.held.saturating_sub(between);
        for (page, bytes) in [first].into_iter().chain(last) {
            let Some(edge) = self.edges.get_mut(&page) else { continue };
            edge.blocks = edge.blocks.saturating_sub(1);
            edge.bytes = edge.bytes.saturating_sub(bytes);
            if edge.blocks == 0 {
                self.edges.remove(&page);
                self.held = self.held.saturating_sub(1);
            }
        }
    }

    /// The pages at the edges of a block, which others may share, and their use.
    pub fn edges_of(&self, address: u64, size: u64) -> impl Iterator<Item = (u64, Use)> {
        let (first, last, _) = span(address, size);
        let pages = [first].into_iter().chain(last);
        pages.filter_map(|(page, _)| Some((page, *self.edges.get(&page)?)))
    }

    /// The use of every page that blocks do not fill alone.
    pub fn shared(&self) -> impl Iterator<Item = Use> {
        self.edges.values().copied()
    }
}

fn pages_of(address: u64, size: u64) -> u64 {
    let (_, last, between) = span(address, size);
    between + 1 + u64::from(last.is_some())
}

/// Folded multiplication, as in wyhash, with a random seed: a hostile trace cannot choose pages with
/// equal hashes.
#[derive(Clone, Debug)]
struct Seed(u64);

impl Default for Seed {
    fn default() -> Seed {
        Seed(RandomState::new().hash_one(0))
    }
}

impl BuildHasher for Seed {
    type Hasher = Folded;

    fn build_hasher(&self) -> Folded {
        Folded(self.0)
    }
}

struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        const ODD: u128 = 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(word ^ self.0) * ODD;
        self.0 = (product >> 64 ^ product) as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The same as a map of all bytes.
        #[test]
        fn pages_are_those_of_the_bytes(
            steps in prop::collection::vec((0u64..40, 0u64..9000, any::<bool>()), 0..60),
        ) {
            let (mut pages, mut live) = (Pages::default(), BTreeMap::<u64, u64>::new());
            for (place, size, dies) in steps {
                // Blocks do not overlap.
                let address = 0x10_0000 + place * 10_007;
                match (live.get(&address).copied(), dies) {
                    (Some(old), true) => {
                        pages.remove(address, old);
                        live.remove(&address);
                    }
                    (None, false) => {
                        pages.add(address, size);
                        live.insert(address, size);
                    }
                    _ => {}
                }
                let mut bytes = BTreeMap::<u64, u64>::new();
                for (&address, &size) in &live {
                    for byte in address..address + size.max(1) {
                        *bytes.entry(byte / PAGE).or_default() += 1;
                    }
                }
                prop_assert_eq!(pages.held, bytes.len() as u64);
                prop_assert_eq!(pages.live, live.values().sum::<u64>());
                for (&address, &size) in &live {
                    for (page, used) in pages.edges_of(address, size) {
                        prop_assert_eq!(used.bytes, bytes[&page]);
                    }
                }
            }
        }
    }

    #[test]
    fn large_blocks_stand_apart() {
        let mut pages = Pages::default();
        pages.add(0x7f00_0000_0010, 1 << 20);
        pages.add(0x1000, 1 << 40);
        assert_eq!((pages.held, pages.live), (0, 0));
        pages.remove(0x1000, 1 << 40);
        assert_eq!((pages.mapped, pages.mapped_pages), (1 << 20, 257));
        pages.remove(0x7f00_0000_0010, 1 << 20);
        assert_eq!((pages.mapped, pages.mapped_pages), (0, 0));
    }
}
