//! Finds or makes the nodes of stacks.

use mallook_format::Site;
use rustc_hash::FxHashMap;

use super::nodes::Nodes;

/// Children of a node that are found by walking: nodes that follow each other in a stack were mostly
/// made together, so they lie together. Further children are found by a hash table.
const FEW: usize = 8;
/// Nodes at the most.
const MOST: usize = u32::MAX as usize - (1 << 10);

/// A node, and how its children are found.
#[derive(Clone, Copy, Default)]
struct Node {
    parent: u32,
    /// Its site, and [`MANY`].
    site: u32,
    /// The child that was found last, 0 for none.
    child: u32,
    /// The next child of its parent, if that has few.
    sibling: u32,
}

/// The node has more than [`FEW`] children, which are in the hash table.
const MANY: u32 = 1 << 31;

impl Node {
    fn site(&self) -> u32 {
        self.site & !MANY
    }
}

/// The trie, as it is built.
pub struct Interner {
    nodes: Vec<Node>,
    /// The children of nodes that have many, by parent and site.
    many: FxHashMap<(u32, u32), u32>,
}

impl Interner {
    pub fn new() -> Interner {
        Interner { nodes: vec![Node::default()], many: FxHashMap::default() }
    }

    /// The node that is `steps` steps nearer to the root.
    pub fn ancestor(&self, node: u32, steps: usize) -> u32 {
        let parent = |node: u32| self.nodes.get(node as usize).map_or(0, |node| node.parent);
        (0..steps).fold(node, |node, _| parent(node))
    }

    /// The child of a node by its site. `None`: there are as many nodes as there can be.
    #[inline]
    pub fn child(&mut self, parent: u32, site: Site, shared: &Nodes) -> Option<u32> {
        let Node { child: first, site: flags, .. } = *self.nodes.get(parent as usize)?;
        let newest = self.nodes.get(first as usize)?;
        if first != 0 && newest.site() == site.0 {
            return Some(first);
        }
        let found = match flags & MANY {
            0 => self.walk(parent, first, site),
            _ => self.many.get(&(parent, site.0)).copied(),
        };
        let Some(found) = found else { return self.add(parent, site, shared) };
        self.nodes[parent as usize].child = found;
        Some(found)
    }

    /// The child of a node that has few, which is moved to the front.
    fn walk(&mut self, parent: u32, first: u32, site: Site) -> Option<u32> {
        let mut before = first;
        while before != 0 {
            let at = self.nodes[before as usize].sibling;
            if at == 0 {
                return None;
            }
            let node = self.nodes[at as usize];
            if node.site() == site.0 && node.parent == parent {
                self.nodes[before as usize].sibling = node.sibling;
                self.nodes[at as usize].sibling = first;
                return Some(at);
            }
            before = at;
        }
        None
    }

    #[cold]
    fn add(&mut self, parent: u32, site: Site, shared: &Nodes) -> Option<u32> {
        let number = self.nodes.len();
        if number >= MOST || !shared.add(number as u32, parent, site) {
            return None;
        }
        let Node { child: first, site: flags, .. } = self.nodes[parent as usize];
        let mut many = flags & MANY != 0;
        if !many {
            let next = |&at: &u32| Some(self.nodes[at as usize].sibling).filter(|&at| at != 0);
            let children = std::iter::successors((first != 0).then_some(first), next);
            let children: Vec<_> = children.collect();
            many = children.len() == FEW;
            if many {
                let site = |at: u32| self.nodes[at as usize].site();
                self.many.extend(children.into_iter().map(|at| ((parent, site(at)), at)));
                self.nodes[parent as usize].site |= MANY;
            }
        }
        if many {
            self.many.insert((parent, site.0), number as u32);
        }
        let sibling = if many { 0 } else { first };
        self.nodes.push(Node { parent, site: site.0, child: 0, sibling });
        self.nodes[parent as usize].child = number as u32;
        Some(number as u32)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Equal paths are one node, different ones are not, however many children a node has.
        #[test]
        fn nodes_are_paths(
            paths in prop::collection::vec(prop::collection::vec(16u32..60, 0..6), 1..300),
        ) {
            let (mut interner, shared) = (Interner::new(), Nodes::new());
            let mut known = HashMap::from([(Vec::new(), 0)]);
            for path in &paths {
                let mut node = 0;
                for (depth, &site) in (1..).zip(path) {
                    node = interner.child(node, Site(site), &shared).unwrap();
                    let first = *known.entry(path[..depth].to_vec()).or_insert(node);
                    prop_assert_eq!(node, first);
                    prop_assert_eq!(interner.ancestor(node, depth), 0);
                    prop_assert_eq!(known[&path[..depth - 1]], interner.ancestor(node, 1));
                    let (parent, own) = shared.get(node).unwrap();
                    prop_assert_eq!((parent, own), (interner.ancestor(node, 1), Site(site)));
                }
            }
            let mut nodes: Vec<u32> = known.into_values().collect();
            nodes.sort_unstable();
            prop_assert!(nodes.into_iter().eq(0..interner.nodes.len() as u32));
        }
    }

    #[test]
    fn a_node_may_have_any_number_of_children() {
        let (mut interner, shared) = (Interner::new(), Nodes::new());
        for _ in 0..2 {
            for site in 16..100_016 {
                assert_eq!(interner.child(0, Site(site), &shared), Some(site - 15));
            }
        }
    }
}
