//! The set of live addresses, and how certain it is.

use std::collections::VecDeque;

use mallook_format::{Kind, REALLOC_FRESH};
use rustc_hash::{FxHashMap, FxHashSet};

use super::address_table::AddressTable;
use crate::decode::Moment;
use crate::trace::Trace;

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
    /// Recording pauses, or has just gone on, or where it does is not known: any moment is possible.
    pauses: bool,
    /// The tick up to which recording has just gone on: clocks that are read early put moments of after a
    /// pause into it.
    resumed_until: Option<u64>,
    /// Where the pauses are cannot be told.
    is_vague: bool,
    /// The addresses that lived at some time up to the end of the last pause, and of which nothing is
    /// known since. They may be dead, and every other address may live.
    before: Option<AddressTable>,
    /// Births of addresses that must have died in a pause.
    unseen_deaths: u64,
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
            pauses: false,
            resumed_until: None,
            is_vague: false,
            before: None,
            unseen_deaths: 0,
        }
    }

    /// The empty set at the start of this trace.
    pub fn of(trace: &Trace) -> LiveSet {
        LiveSet::new(trace.is_complete(), trace.is_coarse()).with_pauses_of(trace)
    }

    /// The set knows whether it can tell where this trace pauses: a ring may have overwritten the
    /// markers, and times of the coarse clock may be those of before a pause.
    pub fn with_pauses_of(mut self, trace: &Trace) -> LiveSet {
        let is_uncertain = trace.ring_blocks().is_some() || trace.is_coarse();
        self.is_vague = trace.pauses() != 0 && is_uncertain;
        self.pauses = self.is_vague;
        self
    }

    /// The number of addresses that live, or may: their end may have fallen into a pause.
    pub fn alive(&self) -> u64 {
        let before = self.before.as_ref().map_or(0, AddressTable::alive);
        (self.addresses.alive() + before) as u64
    }

    /// The number of births at addresses that lived: their deaths fell into pauses.
    pub fn unseen_deaths(&self) -> u64 {
        self.unseen_deaths
    }

    fn lived_before(&self, address: u64) -> bool {
        self.before.as_ref().is_some_and(|before| before.get(address) == Some(true))
    }

    /// Recording has gone on: what is known of an address holds no longer.
    fn forget(&mut self) {
        let known = std::mem::replace(&mut self.addresses, AddressTable::new(true));
        let before = self.before.get_or_insert_with(|| AddressTable::new(false));
        known.living().for_each(|address| _ = before.set(address, true));
        self.pauses = self.is_vague;
        self.resumed_until = None;
        self.unknown_frees.clear();
        self.unsure.clear();
        self.pending.clear();
    }

    /// The birth of the address is not in the trace: it was born before recording began, in the
    /// parent before a fork, or in an allocator that was called directly.
    pub fn is_unknown(&self, address: u64) -> bool {
        self.addresses.keeps()
            && self.addresses.get(address).is_none()
            && !self.lived_before(address)
    }

    /// The moment cannot have happened yet: it is the birth of a live address, or the death of a
    /// dead one.
    pub fn contradicts(&self, moment: &Moment) -> bool {
        moment.has_address() && self.state(moment.address) == Some(moment.kind.is_birth())
    }

    /// Whether the address lives, if that is known.
    pub fn state(&self, address: u64) -> Option<bool> {
        if self.pauses || !self.unsure.is_empty() && self.unsure.contains(&address) {
            return None;
        }
        self.addresses.get(address).or(if self.addresses.keeps() { None } else { Some(false) })
    }

    /// Applies moments up to the first one that is not before `until`, does more than give out or release an
    /// address, or [contradicts](LiveSet::contradicts) the set; their number.
    #[inline]
    pub fn apply_plain(&mut self, moments: &[Moment], until: u64) -> usize {
        // None of them changes that.
        let is_sure = self.unsure.is_empty()
            && self.unknown_frees.is_empty()
            && self.before.is_none()
            && !self.pauses;
        if !is_sure {
            return 0;
        }
        let mut is_applied = |moment: &Moment| {
            // `set` leaves the table as it was where it returns `false`.
            moment.ticks < until
                && PLAIN & 1 << moment.kind as u8 != 0
                && moment.address != 0
                && self.addresses.set(moment.address, moment.kind.is_birth())
        };
        moments.iter().position(|moment| !is_applied(moment)).unwrap_or(moments.len())
    }

    /// Applies the moment and returns `true`, unless it [contradicts](LiveSet::contradicts) the
    /// set.
    pub fn try_apply(&mut self, moment: &Moment) -> bool {
        let possible = !self.contradicts(moment);
        if possible {
            self.apply(moment);
        }
        possible
    }

    /// Applies the birth or death of the moment.
    pub fn apply(&mut self, moment: &Moment) {
        let address = moment.address;
        if self.resumed_until.is_some_and(|until| moment.ticks > until) {
            self.forget();
        }
        let has_place =
            || self.pending.len() < MOST_PENDING || self.pending.contains_key(&moment.tid);
        match moment.kind {
            Kind::Paused => (self.pauses, self.resumed_until) = (true, None),
            Kind::Resumed => {
                (self.pauses, self.resumed_until) =
                    (true, Some(moment.ticks.saturating_add(EARLY)));
            }
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
        } else if !self.addresses.set(address, false) {
            if self.is_unknown(address) {
                self.unknown_frees.push_back(*moment);
            } else if self.take_from_before(address) {
                // It is known to be dead from here on.
                self.addresses.set(address, true);
                self.addresses.set(address, false);
            }
        }
    }

    /// Takes an address out of those that lived before; whether it was one.
    fn take_from_before(&mut self, address: u64) -> bool {
        self.before.as_mut().is_some_and(|before| before.set(address, false))
    }

    /// The address lives from here on.
    fn give_out(&mut self, address: u64) {
        if address != 0 {
            let is_new = self.addresses.set(address, true);
            let was_there = self.take_from_before(address);
            self.unseen_deaths += u64::from(was_there || self.pauses && !is_new);
        }
    }
}
