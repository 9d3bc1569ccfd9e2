//! The costs of places: call stacks, or sizes of threads.

use std::collections::BTreeMap;

use crate::account::{Account, numbered};
use crate::change::{Birth, Death};
use crate::histogram::{class, limit};
use crate::live::Block;
use crate::peak::Peak;
use crate::place::{Place, PlaceId, Places};
use crate::thread::ThreadId;
use crate::thread_accounts::ThreadAccounts;

/// Accounts of places.
#[derive(Clone, Debug, Default)]
pub struct Sites {
    accounts: Vec<Account>,
}

impl Sites {
    #[inline]
    fn account(&mut self, place: PlaceId) -> &mut Account {
        numbered(&mut self.accounts, place.number())
    }

    /// A block is born.
    #[inline]
    pub fn birth(&mut self, birth: &Birth, peak: &Peak) {
        self.account(birth.block.place).birth(birth.block.size, peak);
    }

    /// A block dies.
    #[inline]
    pub fn death(&mut self, death: &Death, is_temporary: bool, peak: &Peak) {
        self.account(death.block.place).death(death, is_temporary, peak);
    }

    /// A block is alive when its process ends.
    #[inline]
    pub fn left(&mut self, block: &Block, peak: &Peak) {
        self.account(block.place).left(block.size, peak);
    }

    /// The accounts of all places by the thread and the size that each of them has; `None` if there are call
    /// stacks.
    fn by_size(&self, places: &Places) -> Option<Vec<(ThreadId, u64, Account)>> {
        let sized = |(number, place): (PlaceId, Place)| {
            let account = self.of(number);
            match place {
                Place::Size(thread, size) | Place::Sizes(thread, size) => {
                    Some(Some((thread, size, account)))
                }
                Place::Stack(..) | Place::Others => (account.born.blocks == 0).then_some(None),
            }
        };
        let all: Option<Vec<_>> = places.iter().map(sized).collect();
        Some(all?.into_iter().flatten().collect())
    }

    /// Accounts of sizes by powers of two, where every place has a size: the largest size of each class, and
    /// the account. `None` if there are call stacks.
    pub fn sizes(&self, places: &Places, peak: &Peak) -> Option<Vec<(u64, Account)>> {
        let mut classes = BTreeMap::<u64, Account>::new();
        for (_, size, account) in self.by_size(places)? {
            classes.entry(limit(class(size))).or_default().add(&account, peak);
        }
        Some(classes.into_iter().collect())
    }

    /// Accounts of threads, where every place has one. `None` if there are call stacks.
    pub fn threads(&self, places: &Places, peak: &Peak) -> Option<ThreadAccounts> {
        let mut accounts = ThreadAccounts::default();
        for (thread, _, account) in self.by_size(places)? {
            accounts.add(thread, &account, peak);
        }
        Some(accounts)
    }

    /// The cost of a place.
    pub fn of(&self, place: PlaceId) -> Account {
        self.accounts.get(place.number()).copied().unwrap_or_default()
    }
}
