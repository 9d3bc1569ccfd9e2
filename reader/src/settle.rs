//! Order between threads, repaired by causality.
//!
//! A release is stamped before it happens and a birth after it, so what one thread frees and another
//! gets is in order by itself. But a processor may read its clock early, before the load through
//! which it learned of the address. So moments pass through a window of about two microseconds, and
//! one that cannot have happened yet is put off behind the one that it has overtaken.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use crate::decode::Moment;
use crate::heap::{EARLY, Heap};

/// A moment is put off so many times at the most.
const MOST_DELAYS: u8 = 4;

/// Where moments come from, in order of time.
pub trait Moments {
    /// The next moment.
    fn peek(&mut self) -> Option<Moment>;
    /// Goes on to the one after it.
    fn advance(&mut self);
}

/// A moment in the window.
#[derive(Clone, Copy)]
struct Pending {
    moment: Moment,
    delays: u8,
}

/// Which threads have moments of an address in the window.
struct Users {
    tid: u32,
    moments: u32,
    /// There was another thread.
    several: bool,
}

/// The moments of a source, in a possible order.
pub struct Settle<M> {
    source: M,
    /// What lives, unless one thread alone makes the order certain.
    heap: Option<Heap>,
    window: VecDeque<Pending>,
    users: FxHashMap<u64, Users>,
    repairs: u64,
}

impl<M: Moments> Settle<M> {
    pub fn new(source: M, heap: Option<Heap>) -> Settle<M> {
        let (window, users) = (VecDeque::new(), FxHashMap::default());
        Settle { source, heap, window, users, repairs: 0 }
    }

    /// Moments that were put off so far.
    pub fn repairs(&self) -> u64 {
        self.repairs
    }

    pub fn source_mut(&mut self) -> &mut M {
        &mut self.source
    }

    /// The memory of a failed reallocation lives on.
    pub fn revive(&mut self, address: u64) {
        if let Some(heap) = &mut self.heap {
            heap.give_out(address);
        }
    }

    /// The next moment.
    pub fn next(&mut self) -> Option<Moment> {
        if self.heap.is_none() {
            let moment = self.source.peek()?;
            self.source.advance();
            return Some(moment);
        }
        loop {
            self.fill();
            let first = *self.window.front()?;
            if first.delays < MOST_DELAYS
                && let Some(place) = self.overtaken(&first.moment)
            {
                self.put_off(place);
                continue;
            }
            self.window.pop_front();
            self.leave(&first.moment);
            self.heap.as_mut()?.happen(&first.moment);
            return Some(first.moment);
        }
    }

    /// Lets everything into the window that the first moment may have overtaken.
    fn fill(&mut self) {
        while let Some(moment) = self.source.peek() {
            let first = self.window.front().map_or(moment.ticks, |first| first.moment.ticks);
            if moment.ticks > first.saturating_add(EARLY) {
                break;
            }
            self.source.advance();
            self.window.push_back(Pending { moment, delays: 0 });
            if moment.kind.is_moment() {
                let tid = moment.tid;
                let users = self.users.entry(moment.address);
                let users = users.or_insert(Users { tid, moments: 0, several: false });
                users.moments += 1;
                users.several |= users.tid != tid;
            }
        }
    }

    fn leave(&mut self, moment: &Moment) {
        if moment.kind.is_moment()
            && let Some(users) = self.users.get_mut(&moment.address)
        {
            users.moments -= 1;
            if users.moments == 0 {
                self.users.remove(&moment.address);
            }
        }
    }

    /// The place of the moment that must have happened before the first one, if there is one.
    fn overtaken(&self, first: &Moment) -> Option<usize> {
        if first.address == 0
            || !first.kind.is_moment()
            || !self.users.get(&first.address).is_some_and(|users| users.several)
        {
            return None;
        }
        let contradicted = self.heap.as_ref()?.contradicts(first);
        let mut like_it = None;
        for (place, Pending { moment, .. }) in self.window.iter().enumerate().skip(1) {
            if moment.address != first.address || !moment.kind.is_moment() {
                continue;
            }
            // A thread's own moments are in order.
            if moment.tid == first.tid {
                return None;
            }
            let opposite = moment.kind.is_birth() != first.kind.is_birth();
            match like_it {
                // It gives out what lives, or releases what is dead: the opposite comes first.
                _ if opposite && contradicted => return Some(place),
                // Two births or two deaths in a row, and what the second thread does next with the
                // address comes after its own moment: the first one comes after both.
                Some(tid) if opposite => return (moment.tid == tid).then_some(place),
                None if opposite => return None,
                _ => like_it = Some(moment.tid),
            }
        }
        None
    }

    /// Moves the first moment behind the one at `place`, and with it what its thread does until
    /// then.
    fn put_off(&mut self, place: usize) {
        let Some(until) = self.window.get(place).map(|pending| pending.moment.ticks) else {
            return;
        };
        let Some(tid) = self.window.front().map(|first| first.moment.tid) else { return };
        let (mut moved, kept): (Vec<_>, Vec<_>) =
            self.window.drain(..=place).partition(|pending| pending.moment.tid == tid);
        for pending in &mut moved {
            pending.moment.ticks = pending.moment.ticks.max(until);
            pending.delays += 1;
        }
        for pending in kept.into_iter().chain(moved).rev() {
            self.window.push_front(pending);
        }
        self.repairs += 1;
    }
}
