//! The threads of a trace: their names, and how much each has recorded.

use mallook_format::{BLOCK_SIZE, SLOT_SIZE};
use rustc_hash::FxHashMap;

use crate::decode;

/// Threads whose names and numbers are kept; of further ones only the sum and their number. A
/// damaged trace may invent millions.
const MOST_NAMED: usize = 1 << 16;
/// No thread ID of Linux is larger (`PID_MAX_LIMIT`).
const MOST_IDS: usize = 1 << 22;

const _: () = assert!(MOST_NAMED * 2 * SLOT_SIZE < 256 * BLOCK_SIZE, "bounded by a small trace");

/// The threads of a trace.
#[derive(Default)]
pub struct Threads {
    named: FxHashMap<u32, ([u64; 2], u64)>,
    /// The IDs of further threads, a bit for each.
    further: Vec<u64>,
    /// Call moments of further threads.
    pub others: u64,
}

impl Threads {
    /// Adds call moments of a thread.
    pub fn add(&mut self, tid: u32, name: impl FnOnce() -> [u64; 2], moments: u64) {
        if let Some((_, known)) = self.named.get_mut(&tid) {
            *known += moments;
        } else if self.named.len() < MOST_NAMED {
            self.named.insert(tid, (name(), moments));
        } else {
            self.others += moments;
            self.further.resize(MOST_IDS / 64, 0);
            if let Some(word) = self.further.get_mut(tid as usize / 64) {
                *word |= 1 << (tid % 64);
            }
        }
    }

    /// Adds the threads of a later part of the trace.
    pub fn append(&mut self, later: Threads) {
        for (tid, (name, moments)) in later.named {
            self.add(tid, || name, moments);
        }
        self.others += later.others;
        if !later.further.is_empty() {
            self.further.resize(MOST_IDS / 64, 0);
            self.further.iter_mut().zip(later.further).for_each(|(word, more)| *word |= more);
        }
    }

    /// The names of the named threads, as blocks have them.
    pub fn names(self) -> FxHashMap<u32, [u64; 2]> {
        self.named.into_iter().map(|(tid, (name, _))| (tid, name)).collect()
    }

    /// Number of further threads.
    pub fn further(&self) -> u64 {
        let all: u64 = self.further.iter().map(|word| u64::from(word.count_ones())).sum();
        let is_further = |tid: &u32| {
            self.further.get(*tid as usize / 64).is_some_and(|word| word >> (tid % 64) & 1 != 0)
        };
        all - self.named.keys().copied().filter(is_further).count() as u64
    }

    /// The named threads: ID, name and call moments, by ID.
    pub fn named(self) -> Vec<(u32, String, u64)> {
        let named = self.named.into_iter();
        let mut all: Vec<_> = named
            .map(|(tid, (name, moments))| (tid, decode::thread_name(&name), moments))
            .collect();
        all.sort_unstable_by_key(|(tid, ..)| *tid);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_beyond_the_bound_are_counted() {
        let most = MOST_NAMED as u32;
        let name = || [u64::from_le_bytes(*b"thread\0\0"), 0];
        let mut threads = Threads::default();
        for tid in (0..most + 10).chain(0..most + 20) {
            threads.add(tid, name, 1);
        }
        let mut other = Threads::default();
        other.add(most + 30, name, 5);
        other.add(3, name, 5);
        threads.append(other);
        assert_eq!((threads.further(), threads.others), (21, 35));
        let named = threads.named();
        assert_eq!((named.len(), &named[3]), (MOST_NAMED, &(3, "thread".to_owned(), 7)));
    }
}
