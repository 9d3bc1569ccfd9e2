//! Threads, and who frees whose memory.

use rustc_hash::FxHashMap;

use crate::account::Account;
use crate::amount::Amount;
use crate::change::{Birth, Cause, Death};
use crate::live::Block;
use crate::peak::Peak;
use crate::thread::ThreadId;

/// Pairs of threads that are told apart: a damaged trace may invent any number.
const MOST: usize = 1 << 16;

/// Accounts of threads, and blocks that another thread than theirs has freed.
#[derive(Clone, Debug, Default)]
pub struct Crossings {
    accounts: Vec<Account>,
    pairs: FxHashMap<(ThreadId, ThreadId), Amount>,
    /// Pairs beyond the bound.
    others: Amount,
}

impl Crossings {
    #[inline]
    fn account(&mut self, thread: ThreadId) -> &mut Account {
        let number = thread.number();
        if number >= self.accounts.len() {
            self.accounts.resize(number + 1, Account::default());
        }
        &mut self.accounts[number]
    }

    /// A block is born.
    #[inline]
    pub fn birth(&mut self, birth: &Birth, peak: &Peak) {
        self.account(birth.at.thread).birth(birth.block.size, peak);
    }

    /// A block dies.
    #[inline]
    pub fn death(&mut self, death: &Death, is_temporary: bool, peak: &Peak) {
        self.account(death.block.thread).death(death, is_temporary, peak);
        if death.is_crossed() && death.cause != Cause::Replaced {
            self.cross((death.block.thread, death.at.thread), death.block.size);
        }
    }

    /// A block is alive when its process ends.
    #[inline]
    pub fn left(&mut self, block: &Block, peak: &Peak) {
        self.account(block.thread).left(block.size, peak);
    }

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

    /// What the blocks of a thread have cost.
    pub fn of(&self, thread: ThreadId) -> Account {
        self.accounts.get(thread.number()).copied().unwrap_or_default()
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
