//! What each place has cost: call stacks, or sizes of threads.

use std::collections::BTreeMap;

use crate::account::Account;
use crate::change::{Birth, Death};
use crate::histogram::{class, limit};
use crate::live::Block;
use crate::peak::Peak;
use crate::place::{Place, PlaceId, Places};

/// Accounts of places.
#[derive(Clone, Debug, Default)]
pub struct Sites {
    accounts: Vec<Account>,
}

impl Sites {
    #[inline]
    fn account(&mut self, place: PlaceId) -> &mut Account {
        let number = place.number();
        if number >= self.accounts.len() {
            self.accounts.resize(number + 1, Account::default());
        }
        &mut self.accounts[number]
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

    /// Accounts of sizes by powers of two, where every place has a size: the largest size of each class, and
    /// the account. `None` if there are call stacks.
    pub fn sizes(&self, places: &Places, peak: &Peak) -> Option<Vec<(u64, Account)>> {
        let mut classes = BTreeMap::<u64, Account>::new();
        for (number, place) in places.iter() {
            let account = self.of(number);
            let size = match place {
                Place::Size(_, size) | Place::Sizes(_, size) => size,
                Place::Stack(..) | Place::Others if account.born.blocks == 0 => continue,
                Place::Stack(..) | Place::Others => return None,
            };
            classes.entry(limit(class(size))).or_default().add(&account, peak);
        }
        Some(classes.into_iter().collect())
    }

    /// What a place has cost.
    pub fn of(&self, place: PlaceId) -> Account {
        self.accounts.get(place.number()).copied().unwrap_or_default()
    }
}
