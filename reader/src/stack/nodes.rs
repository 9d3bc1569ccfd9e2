//! The nodes of the trie, for all threads: one adds, the others read.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use mallook_format::Site;

/// The binary logarithm of the number of nodes in the first chunk; each chunk has twice as many as the
/// one before it.
const FIRST: u32 = 10;
const CHUNKS: usize = (u32::BITS - FIRST) as usize;

/// Nodes by number, from 1 on; 0 is the root, of which all outermost frames are children.
///
/// They are only ever added. A number comes to another thread through a channel or a lock, which makes
/// its node visible there.
pub struct Nodes {
    chunks: [OnceLock<Box<[AtomicU64]>>; CHUNKS],
}

/// The chunk of a node, and its place there.
fn place(node: u32) -> (usize, usize) {
    let shifted = u64::from(node) + (1 << FIRST);
    let chunk = shifted.ilog2() - FIRST;
    (chunk as usize, (shifted - (1 << (chunk + FIRST))) as usize)
}

impl Nodes {
    pub fn new() -> Nodes {
        Nodes { chunks: [const { OnceLock::new() }; CHUNKS] }
    }

    /// Adds a node. `false`: there are as many as there can be.
    pub fn add(&self, node: u32, parent: u32, site: Site) -> bool {
        let (number, place) = place(node);
        let Some(chunk) = self.chunks.get(number) else { return false };
        let length = 1_usize << (FIRST as usize + number);
        let chunk = chunk.get_or_init(|| (0..length).map(|_| AtomicU64::new(0)).collect());
        if let Some(word) = chunk.get(place) {
            // Relaxed: what brings the number to another thread publishes the node.
            word.store(u64::from(parent) << 32 | u64::from(site.0), Relaxed);
        }
        true
    }

    /// The parent and the site of a node.
    pub fn get(&self, node: u32) -> Option<(u32, Site)> {
        let (chunk, place) = place(node);
        let word = self.chunks.get(chunk)?.get()?.get(place)?.load(Relaxed);
        (word != 0).then_some(((word >> 32) as u32, Site(word as u32)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_follow_each_other() {
        let first = 1 << FIRST;
        for (node, expected) in [
            (0, (0, 0)),
            (first - 1, (0, first as usize - 1)),
            (first, (1, 0)),
            (3 * first - 1, (1, 2 * first as usize - 1)),
            (3 * first, (2, 0)),
        ] {
            assert_eq!(place(node), expected, "{node}");
        }
        assert!(place(u32::MAX).0 >= CHUNKS, "the last numbers have no place");
        assert!(place(u32::MAX - first).0 < CHUNKS);
        let nodes = Nodes::new();
        assert!((1..5_000).all(|node| nodes.add(node, node - 1, Site(node))));
        assert!((1..5_000).all(|node| nodes.get(node) == Some((node - 1, Site(node)))));
        assert_eq!((nodes.get(0), nodes.get(5_000), nodes.get(u32::MAX)), (None, None, None));
        assert!(!nodes.add(u32::MAX, 1, Site(16)));
    }
}
