//! The trie of the stacks of a trace, which is there as long as someone has a number of it.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mallook_format::Site;

use super::dictionary::{Dictionary, Paths};
use super::interner::Interner;
use super::nodes::Nodes;

/// The call stacks of events that were read, as paths of call sites. It needs no trace: one that is being
/// written is opened again and again, and the stacks that were found stay.
pub struct Trie {
    nodes: Nodes,
    interner: Mutex<Interner>,
}

impl Default for Trie {
    fn default() -> Trie {
        Trie { nodes: Nodes::new(), interner: Mutex::new(Interner::new()) }
    }
}

impl Trie {
    /// The stack without its innermost frame, and the site of that.
    pub(super) fn get(&self, stack: u32) -> Option<(u32, Site)> {
        self.nodes.get(stack)
    }

    /// The stacks of a block that is decoded now.
    pub(crate) fn of_block(&self) -> Dictionary<Interning<'_>> {
        let interner = self.interner.lock().unwrap_or_else(PoisonError::into_inner);
        Dictionary::new(Interning { interner, nodes: &self.nodes })
    }
}

impl fmt::Debug for Trie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trie").finish_non_exhaustive()
    }
}

/// Makes nodes of the stacks of a block.
pub struct Interning<'a> {
    interner: MutexGuard<'a, Interner>,
    nodes: &'a Nodes,
}

impl Paths for Interning<'_> {
    #[inline]
    fn outer(&mut self, stack: u32, drop: usize, keep: usize) -> u32 {
        if keep == 0 { 0 } else { self.interner.ancestor(stack, drop) }
    }

    #[inline]
    fn inner(&mut self, stack: u32, site: Site) -> Option<u32> {
        self.interner.child(stack, site, self.nodes)
    }
}
