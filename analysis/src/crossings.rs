//! Who frees whose memory.

use rustc_hash::FxHashMap;

use crate::amount::Amount;
use crate::change::{Analysis, Cause, Death};
use crate::thread::ThreadId;

/// Pairs of threads that are told apart: a damaged trace may invent any number.
const MOST: usize = 1 << 16;

/// Blocks that another thread than theirs has freed.
#[derive(Clone, Debug, Default)]
pub struct Crossings {
    pairs: FxHashMap<(ThreadId, ThreadId), Amount>,
    /// Pairs beyond the bound.
    others: Amount,
}

impl Crossings {
    fn cross(&mut self, pair: (ThreadId, ThreadId), size: u64) {
        let is_full = self.pairs.len() >= MOST;
        match self.pairs.get_mut(&pair) {
            Some(amount) => amount.add(size),
            None if is_full => self.others.add(size),
            None => {
                self.pairs.insert(pair, Amount { bytes: size, blocks: 1 });
            }
        }
    }

    /// Pairs of the thread that made blocks and the one that released them, most blocks first.
    pub fn pairs(&self) -> Vec<((ThreadId, ThreadId), Amount)> {
        let mut all: Vec<_> = self.pairs.iter().map(|(&pair, &amount)| (pair, amount)).collect();
        all.sort_unstable_by_key(|&(pair, amount)| (std::cmp::Reverse(amount.blocks), pair));
        all
    }

    /// The blocks of pairs beyond the bound.
    pub fn others(&self) -> Amount {
        self.others
    }
}

impl Analysis for Crossings {
    #[inline]
    fn death(&mut self, death: &Death) {
        if death.is_crossed() && death.cause != Cause::Replaced {
            self.cross((death.block.thread, death.at.thread), death.block.size);
        }
    }
}
