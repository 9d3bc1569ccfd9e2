//! The set of live addresses, and how certain it is.

use std::collections::VecDeque;

use mallook_format::{Kind, REALLOC_FRESH};
use rustc_hash::{FxHashMap, FxHashSet};

use super::address_table::AddressTable;
use crate::decode::Moment;

/// How much too early a clock may have been read, in ticks: 27 µs at 2.4 GHz. Mostly it is less
/// than 140 ns; under contention for a cache line, 1.7 µs were seen.
pub const EARLY: u64 = 1 << 16;

/// Moments of two threads within this many ticks may have happened in either order, unless
/// causality decides.
const NEAR: u64 = 1 << 13;
/// [`NEAR`] with [`Clock::Coarse`]: most bursts are shorter.
///
/// [`Clock::Coarse`]: mallook_format::Clock::Coarse
const NEAR_COARSE: u64 = 1 << 15;

/// Threads with pending reallocations at the most: a damaged trace may invent any number.
const MOST_PENDING: usize = 1 << 16;

/// Kinds of moments that only give out or release, a bit for each.
const PLAIN: u64 = 1 << Kind::Malloc as u8 | 1 << Kind::Calloc as u8 | 1 << Kind::Free as u8;

/// The addresses that are known to live, and the addresses that are known to be dead.
#[derive(Clone, Debug)]
pub struct LiveSet {
    /// [`NEAR`] or [`NEAR_COARSE`], by the trace's clock.
    near: u64,
    /// The live addresses of a complete trace; of any other one, every address that was ever born.
    addresses: AddressTable,
    /// Recent frees of addresses whose birth is not in the trace, oldest first.
    unknown_frees: VecDeque<Moment>,
    /// Addresses that may live or not: one thread released them and another one gave them out
    /// within [`NEAR`] ticks, and the order of the two is unknown.
    unsure: FxHashSet<u64>,
    /// The death of each thread's pending reallocation: if that fails, the memory lives on.
    pending: FxHashMap<u32, Moment>,
}

impl LiveSet {
    /// The empty set. `complete`: every birth is in the trace; `coarse`: its clock is
    /// [`Clock::Coarse`](mallook_format::Clock::Coarse).
    pub fn new(complete: bool, coarse: bool) -> LiveSet {
        LiveSet {
            near: if coarse { NEAR_COARSE } else { NEAR },
            addresses: AddressTable::new(!complete),
            unknown_frees: VecDeque::new(),
            unsure: FxHashSet::default(),
            pending: FxHashMap::default(),
        }
    }

    /// The number of addresses that live.
    pub fn alive(&self) -> u64 {
        self.addresses.alive() as u64
    }

    /// The birth of the address is not in the trace: it was born before recording began, in the
    /// parent before a fork, or in an allocator that was called directly.
    pub fn is_unknown(&self, address: u64) -> bool {
        self.addresses.keeps() && self.addresses.get(address).is_none()
    }

    /// The moment cannot have happened yet: it is the birth of a live address, or the death of a
    /// dead one.
    pub fn contradicts(&self, moment: &Moment) -> bool {
        moment.has_address() && self.state(moment.address) == Some(moment.kind.is_birth())
    }

    /// Whether the address lives, if that is known.
    pub fn state(&self, address: u64) -> Option<bool> {
        if !self.unsure.is_empty() && self.unsure.contains(&address) {
            return None;
        }
        self.addresses.get(address).or(if self.addresses.keeps() { None } else { Some(false) })
    }

    /// Applies the moment and returns `true`, unless it [contradicts](LiveSet::contradicts) the
    /// set.
    #[inline]
    pub fn try_apply(&mut self, moment: &Moment) -> bool {
        let plain = PLAIN & 1 << moment.kind as u8 != 0;
        let sure = self.unsure.is_empty() && self.unknown_frees.is_empty();
        // `set` leaves the table as it was where it returns `false`.
        plain
            && sure
            && moment.address != 0
            && self.addresses.set(moment.address, moment.kind.is_birth())
            || self.try_apply_slowly(moment)
    }

    /// [`LiveSet::try_apply`] for any moment in any state.
    #[inline(never)]
    fn try_apply_slowly(&mut self, moment: &Moment) -> bool {
        let possible = !self.contradicts(moment);
        if possible {
            self.apply(moment);
        }
        possible
    }

    /// Applies the birth or death of the moment.
    pub fn apply(&mut self, moment: &Moment) {
        let address = moment.address;
        let has_place =
            || self.pending.len() < MOST_PENDING || self.pending.contains_key(&moment.tid);
        match moment.kind {
            kind if kind.second_half().is_some() && has_place() => {
                self.pending.insert(moment.tid, *moment);
            }
            kind if kind.first_half().is_some() && moment.aux & REALLOC_FRESH == 0 => {
                let death = self.pending.remove(&moment.tid);
                let failed = address == 0 && moment.size != 0;
                if let Some(death) = death.filter(|death| failed && death.size == moment.size) {
                    self.give_out(death.address);
                }
            }
            _ => {}
        }
        if !moment.has_address() {
            return;
        }
        if !self.unsure.is_empty() {
            self.unsure.remove(&address);
        }
        let near = self.near;
        let old = |release: &Moment| moment.ticks.saturating_sub(release.ticks) > near;
        while self.unknown_frees.front().is_some_and(old) {
            self.unknown_frees.pop_front();
        }
        if moment.kind.is_birth() {
            let of_another =
                |release: &Moment| release.address == address && release.tid != moment.tid;
            if self.unknown_frees.iter().any(of_another) {
                self.unsure.insert(address);
            }
            self.give_out(address);
        } else if !self.addresses.set(address, false) && self.is_unknown(address) {
            self.unknown_frees.push_back(*moment);
        }
    }

    /// The address lives from here on.
    fn give_out(&mut self, address: u64) {
        if address != 0 {
            self.addresses.set(address, true);
        }
    }
}
