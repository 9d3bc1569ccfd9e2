//! Which addresses live, as far as the events tell.

use std::collections::VecDeque;

use mallook_format::{Kind, REALLOC_FRESH};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::addresses::Addresses;
use crate::decode::Moment;

/// How much too early a clock may have been read, in ticks: 27 µs at 2.4 GHz. Mostly it is less than
/// 140 ns, but where processors fight for a line of memory, 1.7 µs were seen.
pub const EARLY: u64 = 1 << 16;

/// What two threads do within so many ticks may have happened in either order, if nothing tells.
const NEAR: u64 = 1 << 13;
/// The same with [`Clock::Coarse`]: most bursts are shorter.
///
/// [`Clock::Coarse`]: mallook_format::Clock::Coarse
const NEAR_COARSE: u64 = 1 << 15;

/// Kinds of moments that only give out or release, a bit for each.
const PLAIN: u64 = 1 << Kind::Malloc as u8 | 1 << Kind::Calloc as u8 | 1 << Kind::Free as u8;

/// The addresses that live, and those of which it is known that they do not.
#[derive(Clone, Debug)]
pub struct Heap {
    /// [`NEAR`], or what it is for the trace's clock.
    near: u64,
    /// Every address that was ever born, or those that live when none can have been born unseen.
    addresses: Addresses,
    /// The latest releases of what was born unseen.
    strangers: VecDeque<Moment>,
    /// Addresses that may live or not: they were released by one thread and given out by another
    /// at nearly the same time, and nothing tells which of the two came first.
    unsure: FxHashSet<u64>,
    /// The death of the reallocation that is under way in each thread: if that fails, the memory
    /// lives on.
    under_way: FxHashMap<u32, Moment>,
}

impl Heap {
    /// `complete`: whatever lives was born within the trace.
    pub fn new(complete: bool, coarse: bool) -> Heap {
        Heap {
            near: if coarse { NEAR_COARSE } else { NEAR },
            addresses: Addresses::new(!complete),
            strangers: VecDeque::new(),
            unsure: FxHashSet::default(),
            under_way: FxHashMap::default(),
        }
    }

    /// The number of addresses that live.
    pub fn alive(&self) -> u64 {
        self.addresses.alive() as u64
    }

    /// The memory may have been born before the trace, or elsewhere.
    pub fn is_stranger(&self, address: u64) -> bool {
        self.addresses.keeps() && self.addresses.get(address).is_none()
    }

    /// The moment cannot have happened yet: it gives out what lives, or releases what does not.
    pub fn contradicts(&self, moment: &Moment) -> bool {
        let matters = moment.address != 0 && moment.kind.is_moment();
        matters && self.state(moment.address) == Some(moment.kind.is_birth())
    }

    /// Whether the address lives, if that is known.
    pub fn state(&self, address: u64) -> Option<bool> {
        if !self.unsure.is_empty() && self.unsure.contains(&address) {
            return None;
        }
        self.addresses.get(address).or(if self.addresses.keeps() { None } else { Some(false) })
    }

    /// As [`Heap::happen`], unless the moment [contradicts](Heap::contradicts) what has happened:
    /// `false`.
    #[inline]
    pub fn try_happen(&mut self, moment: &Moment) -> bool {
        let plain = PLAIN & 1 << moment.kind as u8 != 0;
        let sure = self.unsure.is_empty() && self.strangers.is_empty();
        // Where nothing changes, nothing has been done either.
        plain
            && sure
            && moment.address != 0
            && self.addresses.set(moment.address, moment.kind.is_birth())
            || self.try_happen_oddly(moment)
    }

    /// As [`Heap::try_happen`], for any moment and in any state.
    #[inline(never)]
    fn try_happen_oddly(&mut self, moment: &Moment) -> bool {
        let possible = !self.contradicts(moment);
        if possible {
            self.happen(moment);
        }
        possible
    }

    /// Takes note of what the moment gives out or releases.
    pub fn happen(&mut self, moment: &Moment) {
        let address = moment.address;
        match moment.kind {
            Kind::ReallocDeath | Kind::ReallocarrayDeath => {
                self.under_way.insert(moment.tid, *moment);
            }
            Kind::Realloc | Kind::Reallocarray if moment.aux & REALLOC_FRESH == 0 => {
                let death = self.under_way.remove(&moment.tid);
                let failed = address == 0 && moment.size != 0;
                if let Some(death) = death.filter(|death| failed && death.size == moment.size) {
                    self.give_out(death.address);
                }
            }
            _ => {}
        }
        if address == 0 || !moment.kind.is_moment() {
            return;
        }
        if !self.unsure.is_empty() {
            self.unsure.remove(&address);
        }
        let near = self.near;
        let old = |release: &Moment| moment.ticks.saturating_sub(release.ticks) > near;
        while self.strangers.front().is_some_and(old) {
            self.strangers.pop_front();
        }
        if moment.kind.is_birth() {
            let of_another =
                |release: &Moment| release.address == address && release.tid != moment.tid;
            if self.strangers.iter().any(of_another) {
                self.unsure.insert(address);
            }
            self.give_out(address);
        } else if !self.addresses.set(address, false) && self.is_stranger(address) {
            self.strangers.push_back(*moment);
        }
    }

    /// Memory lives from here on.
    fn give_out(&mut self, address: u64) {
        if address != 0 {
            self.addresses.set(address, true);
        }
    }
}
