//! Which addresses live, as far as the events tell.

use rustc_hash::FxHashSet;

use crate::decode::Moment;

/// The addresses that live, and those of which it is known that they do not.
#[derive(Clone, Debug)]
pub struct Heap {
    alive: FxHashSet<u64>,
    /// Every address that was ever born; `None` when none can have been born unseen.
    born: Option<FxHashSet<u64>>,
}

impl Heap {
    /// `complete`: whatever lives was born within the trace.
    pub fn new(complete: bool) -> Heap {
        let born = (!complete).then(FxHashSet::default);
        Heap { alive: FxHashSet::default(), born }
    }

    /// The moment cannot have happened yet: it gives out what lives, or releases what does not.
    pub fn contradicts(&self, moment: &Moment) -> bool {
        match moment.address {
            0 => false,
            address if moment.kind.is_birth() => self.alive.contains(&address),
            address if moment.kind.is_death() => {
                let known = self.born.as_ref().is_none_or(|born| born.contains(&address));
                known && !self.alive.contains(&address)
            }
            _ => false,
        }
    }

    /// Memory lives from here on.
    pub fn give_out(&mut self, address: u64) {
        if address != 0 {
            self.alive.insert(address);
            if let Some(born) = &mut self.born {
                born.insert(address);
            }
        }
    }

    /// Memory is dead from here on.
    pub fn release(&mut self, address: u64) {
        self.alive.remove(&address);
    }
}
