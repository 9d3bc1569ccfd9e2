//! The costs of call stacks.

use rustc_hash::FxHashMap;

use crate::event::{Call, Event, EventKind};
use crate::stack::StackId;

/// A cost of allocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cost {
    /// Their number.
    Allocations,
    /// The bytes that they asked for.
    Bytes,
    /// The bytes of them that lived at the moment when the most bytes did.
    Peak,
    /// The bytes of them that live at the end.
    Live,
    /// The number of those that their thread has freed before its next allocation. What was reallocated is
    /// none of them.
    Temporary,
}

/// A call stack of one of several traces, or that there is none.
type Of = (u32, Option<StackId>);

/// The costs of the call stacks of events, which are given in order of time.
///
/// ```
/// use mallook_reader::{Cost, Costs, Events, Trace};
///
/// # fn main() -> Result<(), mallook_reader::Error> {
/// let trace = Trace::open("../tests/golden/v1.trace".as_ref())?;
/// let sum = |cost| {
///     let mut costs = Costs::new(cost);
///     Events::of(&trace).for_each(|event| costs.add(&event, true));
///     costs.by_stack().into_iter().map(|(_, _, cost)| cost).sum::<u64>()
/// };
/// assert_eq!((sum(Cost::Allocations), sum(Cost::Live)), (16, 288));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Costs {
    cost: Cost,
    /// The place of each stack among the sums.
    places: FxHashMap<Of, u32>,
    sums: Vec<Sum>,
    /// Blocks of memory by trace and address: their size, and the place of their stack.
    live: FxHashMap<(u32, u64), (u64, u32)>,
    /// The last allocation of each thread that lives: its address, and the place of its stack.
    last: FxHashMap<(u32, u32), (u64, u32)>,
    /// The thread that has made the last block of such an address.
    makers: FxHashMap<(u32, u64), u32>,
    /// Number of changes of what lives, and of those up to the peak.
    changes: u64,
    peak_change: u64,
    all: u64,
    peak: u64,
}

/// The sum of a stack.
#[derive(Clone, Copy, Debug)]
struct Sum {
    of: Of,
    now: u64,
    at_peak: u64,
    /// The number of its last change.
    changed: u64,
}

/// Threads whose last call is known, at the most: a damaged trace may invent any number.
const MOST_THREADS: usize = 1 << 16;

impl Costs {
    /// No costs so far.
    pub fn new(cost: Cost) -> Costs {
        Costs {
            cost,
            places: FxHashMap::default(),
            sums: Vec::new(),
            live: FxHashMap::default(),
            last: FxHashMap::default(),
            makers: FxHashMap::default(),
            changes: 0,
            peak_change: 0,
            all: 0,
            peak: 0,
        }
    }

    /// Adds what an event costs. An allocation that is not `wanted` costs nothing.
    pub fn add(&mut self, event: &Event, wanted: bool) {
        let EventKind::Call(call) = &event.kind else { return };
        if call.failed() {
            return;
        }
        let is_birth = call.kind.is_birth() && call.address().is_some_and(|address| address != 0);
        match self.cost {
            Cost::Allocations | Cost::Bytes if is_birth && wanted => {
                let place = self.place((event.trace, event.stack)) as usize;
                let one = if self.cost == Cost::Bytes { call.size().unwrap_or(0) } else { 1 };
                self.sums[place].now = self.sums[place].now.saturating_add(one);
            }
            Cost::Allocations | Cost::Bytes => {}
            Cost::Peak | Cost::Live => self.add_living(event, call, is_birth && wanted),
            Cost::Temporary => self.add_temporary(event, call, is_birth && wanted),
        }
    }

    fn place(&mut self, of: Of) -> u32 {
        let next = self.sums.len() as u32;
        let place = *self.places.entry(of).or_insert(next);
        if place == next {
            self.sums.push(Sum { of, now: 0, at_peak: 0, changed: 0 });
        }
        place
    }

    fn add_living(&mut self, event: &Event, call: &Call, is_born: bool) {
        let dead = released(call).and_then(|address| self.live.remove(&(event.trace, address)));
        if let Some((size, place)) = dead {
            self.change(place, size, false);
        }
        let Some(address) = call.address().filter(|_| is_born) else { return };
        let size = call.size().unwrap_or(0);
        let place = self.place((event.trace, event.stack));
        // A release that is not in the trace.
        if let Some((size, place)) = self.live.insert((event.trace, address), (size, place)) {
            self.change(place, size, false);
        }
        self.change(place, size, true);
    }

    /// The bytes of a stack become more or fewer.
    fn change(&mut self, place: u32, size: u64, more: bool) {
        self.changes += 1;
        let sum = &mut self.sums[place as usize];
        if sum.changed <= self.peak_change {
            sum.at_peak = sum.now;
        }
        sum.changed = self.changes;
        let by = |all: u64| if more { all.saturating_add(size) } else { all.saturating_sub(size) };
        (sum.now, self.all) = (by(sum.now), by(self.all));
        if self.all > self.peak {
            (self.peak, self.peak_change) = (self.all, self.changes);
        }
    }

    fn add_temporary(&mut self, event: &Event, call: &Call, is_born: bool) {
        let (trace, tid) = (event.trace, event.tid);
        if let Some(address) = released(call)
            && let Some(maker) = self.makers.remove(&(trace, address))
            && let Some((_, place)) = self.last.remove(&(trace, maker))
        {
            // A reallocation to nothing frees.
            let is_freed = call.kind.is_death() || call.address() == Some(0);
            let is_temporary = maker == tid && is_freed;
            self.sums[place as usize].now += u64::from(is_temporary);
        }
        let new = call.address().filter(|&address| call.kind.is_birth() && address != 0);
        let Some(address) = new else { return };
        // Only the last allocation of each thread may be one.
        if let Some((before, _)) = self.last.remove(&(trace, tid)) {
            self.makers.remove(&(trace, before));
        }
        if is_born && self.last.len() < MOST_THREADS {
            let place = self.place((trace, event.stack));
            self.last.insert((trace, tid), (address, place));
            if let Some(maker) = self.makers.insert((trace, address), tid) {
                self.last.remove(&(trace, maker));
            }
        }
    }

    /// The costs that are not 0: of each call stack, and of the calls of each trace without one.
    pub fn by_stack(&self) -> Vec<(u32, Option<StackId>, u64)> {
        let cost = |sum: &Sum| match self.cost {
            Cost::Peak if sum.changed > self.peak_change => sum.at_peak,
            _ => sum.now,
        };
        let all = self.sums.iter().map(|sum| (sum.of.0, sum.of.1, cost(sum)));
        all.filter(|(_, _, cost)| *cost != 0).collect()
    }
}

/// The address that a call has released.
fn released(call: &Call) -> Option<u64> {
    match call.kind.is_death() {
        true => call.address(),
        // What is not known of a call that never ended is taken to live.
        false => call.old_address().filter(|_| call.address().is_some()),
    }
}

#[cfg(test)]
mod tests {
    use mallook_format::Kind;
    use proptest::prelude::*;

    use super::*;

    fn event(tid: u32, stack: u32, call: Call) -> Event {
        let kind = EventKind::Call(call);
        Event { time_ns: 0, pid: 1, tid, trace: 0, stack: StackId::new(stack), kind }
    }

    fn costs(cost: Cost, events: &[Event]) -> Vec<(u32, u64)> {
        let mut costs = Costs::new(cost);
        events.iter().for_each(|event| costs.add(event, true));
        let number = |stack: Option<StackId>| stack.map_or(0, StackId::number);
        let mut all: Vec<_> =
            costs.by_stack().into_iter().map(|(_, stack, cost)| (number(stack), cost)).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn each_cost() {
        let born = |tid, stack, address: u64, size: u64| {
            event(tid, stack, Call::plain(Kind::Malloc, address, size, true))
        };
        let freed = |tid, address: u64| event(tid, 0, Call::plain(Kind::Free, address, 0, false));
        let moved = |stack, old: u64, new: u64, size: u64| {
            let call = Call::new(Kind::Realloc).with_address(new).with_size(size);
            event(1, stack, call.with_old_address(old))
        };
        let events = [
            born(1, 7, 0x10, 100),
            born(1, 8, 0x20, 10),
            freed(1, 0x20),
            born(1, 8, 0x20, 50),
            born(2, 9, 0x30, 1),
            freed(1, 0x20),
            moved(8, 0x10, 0x40, 120),
            moved(8, 0x40, 0, 77),
            born(2, 9, 0, 1000),
        ];
        let more = [
            born(1, 7, 0x50, 1),
            born(1, 8, 0x60, 1),
            freed(1, 0x50),
            freed(1, 0x60),
            born(1, 7, 0x50, 1),
            freed(2, 0x50),
            born(1, 7, 0x50, 1),
            moved(8, 0x50, 0x50, 2),
            moved(8, 0x50, 0, 0),
        ];
        let more = [&events[..], &more].concat();
        assert_eq!(costs(Cost::Allocations, &events), [(7, 1), (8, 3), (9, 1)]);
        assert_eq!(costs(Cost::Bytes, &events), [(7, 100), (8, 180), (9, 1)]);
        assert_eq!(costs(Cost::Peak, &events), [(7, 100), (8, 50), (9, 1)]);
        // The last reallocation failed.
        assert_eq!(costs(Cost::Live, &events), [(8, 120), (9, 1)]);
        // Another thread came between, which does not matter.
        assert_eq!(costs(Cost::Temporary, &events), [(8, 2)]);
        // The release of another block does not matter either; one by another thread does, and what is
        // reallocated is grown.
        assert_eq!(costs(Cost::Temporary, &more), [(8, 4)]);
    }

    proptest! {
        /// The peak, against the definition.
        #[test]
        fn the_peak_is_that_of_a_replay(
            steps in prop::collection::vec((1u32..5, 0u64..12, 1u64..1000, any::<bool>()), 1..200),
        ) {
            let event = |&(stack, address, size, birth): &(u32, u64, u64, bool)| {
                let kind = if birth { Kind::Malloc } else { Kind::Free };
                event(1, stack, Call::plain(kind, 16 + address, size, birth))
            };
            let events: Vec<_> = steps.iter().map(event).collect();
            let mut best = (0, Vec::new());
            for end in 1..=events.len() {
                let live = costs(Cost::Live, &events[..end]);
                let sum: u64 = live.iter().map(|(_, size)| size).sum();
                if sum > best.0 {
                    best = (sum, live);
                }
            }
            prop_assert_eq!(costs(Cost::Peak, &events), best.1);
        }
    }
}
