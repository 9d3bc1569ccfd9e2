//! The threads of all processes, numbered as they come.

use rustc_hash::FxHashMap;

/// A thread of one of the traces, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThreadId(u32);

impl ThreadId {
    /// All threads beyond the 65 535 that are told apart.
    pub const OTHERS: ThreadId = ThreadId(0);

    /// The number, from 0 on without gaps.
    pub fn number(self) -> usize {
        self.0 as usize
    }
}

/// A thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thread {
    /// The position of its trace.
    pub trace: u32,
    /// Its ID.
    pub tid: u32,
    /// Blocks that it has made.
    pub births: u64,
}

/// Threads that are told apart: a damaged trace may invent any number.
const MOST: usize = 1 << 16;

/// The threads that have made calls.
#[derive(Clone, Debug)]
pub struct Threads {
    threads: Vec<Thread>,
    numbers: FxHashMap<(u32, u32), ThreadId>,
    /// The last threads that were asked for, by the end of their IDs.
    recent: [(u32, u32, ThreadId); RECENT],
    /// No more are told apart.
    are_all: bool,
}

/// Threads that take turns are found without the map.
const RECENT: usize = 64;

impl Default for Threads {
    fn default() -> Threads {
        let others = Thread { trace: u32::MAX, tid: 0, births: 0 };
        Threads {
            threads: vec![others],
            numbers: FxHashMap::default(),
            recent: [(u32::MAX, 0, ThreadId::OTHERS); RECENT],
            are_all: false,
        }
    }
}

impl Threads {
    /// The same with the same numbers, none of which has made anything; further ones are not told apart.
    pub(crate) fn again(&self) -> Threads {
        let mut threads = Threads { are_all: true, ..self.clone() };
        threads.threads.iter_mut().for_each(|thread| thread.births = 0);
        threads
    }

    /// The thread with this number.
    #[inline]
    pub fn get(&self, thread: ThreadId) -> &Thread {
        &self.threads[thread.number()]
    }

    /// All of them, by number, the first one for [`ThreadId::OTHERS`].
    pub fn iter(&self) -> impl Iterator<Item = (ThreadId, &Thread)> {
        (0..).map(ThreadId).zip(&self.threads)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, thread: ThreadId) -> &mut Thread {
        &mut self.threads[thread.number()]
    }

    /// The number of a thread.
    #[inline]
    pub(crate) fn number(&mut self, trace: u32, tid: u32) -> ThreadId {
        let recent = self.recent[tid as usize % RECENT];
        if (recent.0, recent.1) == (trace, tid) {
            return recent.2;
        }
        let number = self.find(trace, tid);
        self.recent[tid as usize % RECENT] = (trace, tid, number);
        number
    }

    #[inline(never)]
    fn find(&mut self, trace: u32, tid: u32) -> ThreadId {
        if let Some(&number) = self.numbers.get(&(trace, tid)) {
            return number;
        }
        if self.are_all || self.threads.len() >= MOST {
            return ThreadId::OTHERS;
        }
        let number = ThreadId(self.threads.len() as u32);
        self.threads.push(Thread { trace, tid, births: 0 });
        self.numbers.insert((trace, tid), number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_beyond_the_bound_are_one() {
        let mut threads = Threads::default();
        for tid in 0..2 * MOST as u32 {
            let number = threads.number(3, tid);
            assert_eq!(number == ThreadId::OTHERS, tid as usize >= MOST - 1);
        }
        let first = threads.number(3, 0);
        assert_eq!((threads.get(first).trace, threads.get(first).tid), (3, 0));
    }
}
