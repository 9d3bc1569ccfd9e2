//! Reallocations whose second moment is yet to come.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;

use mallook_format::REALLOC_FRESH;
use rustc_hash::FxHashMap;

use crate::decode::Moment;
use crate::stack::StackId;

/// Pending reallocations of one thread at the most (in nested signal handlers).
const MOST_NESTED: usize = 64;
/// Threads that something is kept of at the most: a damaged trace may invent any number.
pub const MOST_PENDING: usize = 1 << 16;

/// The first moment of a reallocation, and its call stack.
#[derive(Clone, Copy)]
pub struct Half {
    pub death: Moment,
    pub stack: Option<StackId>,
}

/// The first moments of a thread's reallocations: of the innermost, and of those that it interrupted.
struct Nested {
    innermost: Half,
    outer: Vec<Half>,
}

/// The first moments of reallocations by thread.
#[derive(Default)]
pub struct Pending {
    /// The latest one, if its thread is in no other one: its second moment is often the next moment.
    latest: Option<Half>,
    others: FxHashMap<u32, Nested>,
}

impl Pending {
    /// Keeps a first moment until its second one comes. `false` if too many threads are in one.
    #[inline]
    pub fn keep(&mut self, half: Half) -> bool {
        if self.latest.is_none() && self.others.is_empty() {
            self.latest = Some(half);
            return true;
        }
        self.keep_with_others(half)
    }

    #[inline(never)]
    fn keep_with_others(&mut self, half: Half) -> bool {
        if let Some(latest) = self.latest.take() {
            self.keep_other(latest);
        }
        self.keep_other(half)
    }

    fn keep_other(&mut self, half: Half) -> bool {
        let tid = half.death.tid;
        if let Some(calls) = self.others.get_mut(&tid) {
            if calls.outer.len() + 1 == MOST_NESTED {
                // The oldest has lost its other half.
                calls.outer.remove(0);
            }
            calls.outer.push(std::mem::replace(&mut calls.innermost, half));
        } else if self.others.len() < MOST_PENDING {
            self.others.insert(tid, Nested { innermost: half, outer: Vec::new() });
        } else {
            return false;
        }
        true
    }

    /// The first moment of the reallocation that ends with this one.
    #[inline]
    pub fn take(&mut self, birth: &Moment) -> Option<Half> {
        let death = birth.kind.first_half()?;
        if birth.aux & REALLOC_FRESH != 0 {
            return None;
        }
        let is_it = |half: &Half| half.death.kind == death && half.death.size == birth.size;
        match &self.latest {
            Some(latest) if latest.death.tid == birth.tid => self.latest.take_if(|it| is_it(it)),
            _ if self.others.is_empty() => None,
            _ => self.take_other(birth.tid, is_it),
        }
    }

    #[inline(never)]
    fn take_other(&mut self, tid: u32, is_it: impl Fn(&Half) -> bool) -> Option<Half> {
        let Entry::Occupied(mut calls) = self.others.entry(tid) else { return None };
        let found = calls.get().innermost;
        if !is_it(&found) {
            return None;
        }
        match calls.get_mut().outer.pop() {
            Some(outer) => calls.get_mut().innermost = outer,
            None => _ = calls.remove(),
        }
        Some(found)
    }

    /// All that are left, by time.
    pub fn take_rest(&mut self) -> VecDeque<Half> {
        let mut rest: Vec<Half> = (self.others.drain())
            .flat_map(|(_, calls)| calls.outer.into_iter().chain([calls.innermost]))
            .chain(self.latest.take())
            .collect();
        rest.sort_by_key(|Half { death, .. }| (death.ticks, death.tid));
        rest.into()
    }
}
