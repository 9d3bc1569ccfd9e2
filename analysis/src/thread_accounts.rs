//! The cost of each thread.

use crate::account::{Account, numbered};
use crate::change::{Birth, Death};
use crate::live::Block;
use crate::peak::Peak;
use crate::thread::ThreadId;

/// Accounts of the threads that have made blocks.
#[derive(Clone, Debug, Default)]
pub struct ThreadAccounts {
    accounts: Vec<Account>,
}

impl ThreadAccounts {
    #[inline]
    fn account(&mut self, thread: ThreadId) -> &mut Account {
        numbered(&mut self.accounts, thread.number())
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
    }

    /// A block is alive when its process ends.
    #[inline]
    pub fn left(&mut self, block: &Block, peak: &Peak) {
        self.account(block.thread).left(block.size, peak);
    }

    /// Takes the account of some blocks of a thread into that of all of them; the pass is over.
    pub(crate) fn add(&mut self, thread: ThreadId, part: &Account, peak: &Peak) {
        self.account(thread).add(part, peak);
    }

    /// The cost of the blocks of a thread.
    pub fn of(&self, thread: ThreadId) -> Account {
        self.accounts.get(thread.number()).copied().unwrap_or_default()
    }
}
