//! Which addresses live, as far as the events tell.

use std::collections::VecDeque;

use rustc_hash::FxHashSet;

use crate::decode::Moment;

/// How much too early a clock may have been read, in ticks. Up to 140 ns were seen, between two
/// virtual processors that hand memory to each other.
pub const EARLY: u64 = 1 << 12;

/// The addresses that live, and those of which it is known that they do not.
#[derive(Clone, Debug)]
pub struct Heap {
    alive: FxHashSet<u64>,
    /// Every address that was ever born; `None` when none can have been born unseen.
    born: Option<FxHashSet<u64>>,
    /// The latest releases of what was born unseen.
    strangers: VecDeque<Moment>,
    /// Addresses that may live or not: they were released by one thread and given out by another
    /// at nearly the same time, and nothing tells which of the two came first.
    unsure: FxHashSet<u64>,
}

impl Heap {
    /// `complete`: whatever lives was born within the trace.
    pub fn new(complete: bool) -> Heap {
        let born = (!complete).then(FxHashSet::default);
        let (alive, unsure) = (FxHashSet::default(), FxHashSet::default());
        Heap { alive, born, strangers: VecDeque::new(), unsure }
    }

    /// The number of addresses that live.
    pub fn alive(&self) -> u64 {
        self.alive.len() as u64
    }

    /// The memory may have been born before the trace, or elsewhere.
    pub fn is_stranger(&self, address: u64) -> bool {
        self.born.as_ref().is_some_and(|born| !born.contains(&address))
    }

    /// The moment cannot have happened yet: it gives out what lives, or releases what does not.
    pub fn contradicts(&self, moment: &Moment) -> bool {
        let address = moment.address;
        if address == 0 || !moment.kind.is_moment() {
            return false;
        }
        let alive = self.alive.contains(&address);
        alive == moment.kind.is_birth()
            && (alive || !self.is_stranger(address))
            && (self.unsure.is_empty() || !self.unsure.contains(&address))
    }

    /// Takes note of what the moment gives out or releases.
    pub fn happen(&mut self, moment: &Moment) {
        let address = moment.address;
        if address == 0 || !moment.kind.is_moment() {
            return;
        }
        if !self.unsure.is_empty() {
            self.unsure.remove(&address);
        }
        if moment.kind.is_birth() {
            let overtaken = |release: &Moment| {
                release.address == address
                    && release.tid != moment.tid
                    && moment.ticks.saturating_sub(release.ticks) <= EARLY
            };
            if self.is_stranger(address) && self.strangers.iter().any(overtaken) {
                self.unsure.insert(address);
            }
            self.give_out(address);
        } else if !self.alive.remove(&address) && self.is_stranger(address) {
            let old = |first: &Moment| moment.ticks.saturating_sub(first.ticks) > EARLY;
            while self.strangers.front().is_some_and(old) {
                self.strangers.pop_front();
            }
            self.strangers.push_back(*moment);
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
}
