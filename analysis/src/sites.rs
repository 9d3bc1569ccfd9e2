//! What each place has cost: call stacks, or sizes of threads.

use crate::account::Account;
use crate::change::{Birth, Death};
use crate::live::Block;
use crate::peak::Peak;
use crate::place::PlaceId;

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

    /// What a place has cost.
    pub fn of(&self, place: PlaceId) -> Account {
        self.accounts.get(place.number()).copied().unwrap_or_default()
    }
}
