//! The order of the moments of one address: depth-first search with bounded discrepancies.
//!
//! Births and deaths of an address take turns, and the moments of one thread stay in order. Among
//! the orders that satisfy both, the search prefers few *discrepancies*. A moment whose time is too
//! early belongs to a thread that was held up and did nothing else meanwhile; a discrepancy is a
//! moment that is moved behind the next moment of its own thread, whatever the address. Orders with
//! equally few discrepancies are tried by time, so the first one found departs from the times last.

/// A moment of the address, among the moments of all addresses.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    pub tid: u32,
    pub is_birth: bool,
    /// Its position by time among the moments of all addresses.
    pub place: usize,
    /// The position of its thread's next moment, whatever the address.
    pub next: usize,
}

/// Candidates of one search at the most.
pub const MOST_CANDIDATES: usize = 16;
/// Moves of one search at the most.
const MOST_TRIES: u32 = 300;
/// Discrepancies at the most.
const MOST_MOVED: u32 = 2;

/// The result of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The last candidate that has to happen before the first one, 0 if the first one comes first;
    /// `None` if there is no possible order.
    pub last_before: Option<usize>,
    /// Number of moves that were tried.
    pub tries: u32,
}

/// Finds the candidate up to which others must happen before the first one. Candidates are given by
/// time; `alive` is the state of the address before them, if it is known.
///
/// A moment that explains the contradiction may be too late to be seen yet. So where there is no
/// order of all candidates, an order of half of them is enough.
pub fn find(alive: Option<bool>, candidates: &[Candidate]) -> Found {
    let candidates = &candidates[..candidates.len().min(MOST_CANDIDATES)];
    let (all, half) = (candidates.len(), candidates.len().div_ceil(2));
    let searches = [(0, all), (MOST_MOVED, all), (0, half), (MOST_MOVED, half)];
    let mut tries = 0;
    let last_before = searches.iter().find_map(|&(moved, enough)| {
        let mut search = Search { candidates, enough, tries: MOST_TRIES };
        let found = search.complete(Partial { alive, done: 0, moved, last: 0, last_before: None });
        tries += MOST_TRIES - search.tries;
        found
    });
    Found { last_before, tries }
}

struct Search<'a> {
    candidates: &'a [Candidate],
    /// The length of the order at which the search ends.
    enough: usize,
    /// Moves that are left.
    tries: u32,
}

/// The beginning of an order.
#[derive(Clone, Copy)]
struct Partial {
    alive: Option<bool>,
    /// A bit for each candidate in it.
    done: u32,
    /// Discrepancies that are left.
    moved: u32,
    /// The last candidate in it, by time.
    last: usize,
    /// The value of `last` when candidate 0 came.
    last_before: Option<usize>,
}

impl Search<'_> {
    /// Appends the other candidates, depth first, by time; returns [`Found::last_before`].
    fn complete(&mut self, partial: Partial) -> Option<usize> {
        let candidates = self.candidates;
        // All candidates before `start` are in the order.
        let start = partial.done.trailing_ones() as usize;
        if start >= self.enough {
            return partial.last_before;
        }
        let is_left = |index: &usize| partial.done & 1 << *index == 0;
        for index in (start..candidates.len()).filter(is_left) {
            let candidate = &candidates[index];
            let is_of_another = |earlier: usize| candidates[earlier].tid != candidate.tid;
            let moved = u32::from(candidate.next < candidates[partial.last].place);
            if partial.alive == Some(candidate.is_birth)
                || moved > partial.moved
                || !(start..index).filter(is_left).all(is_of_another)
            {
                continue;
            }
            self.tries = self.tries.checked_sub(1)?;
            let first = (index == 0).then_some(partial.last);
            let found = self.complete(Partial {
                alive: Some(candidate.is_birth),
                done: partial.done | 1 << index,
                moved: partial.moved - moved,
                last: partial.last.max(index),
                last_before: partial.last_before.or(first),
            });
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The candidates among moments that are given by time, as thread and birth or death; `None`
    /// stands for a moment of another address.
    fn candidates(moments: &[(u32, Option<bool>)]) -> Vec<Candidate> {
        let next = |place: usize, tid| {
            let idle = moments.iter().skip(place + 1).position(|(other, _)| *other == tid);
            idle.map_or(moments.len(), |idle| place + 1 + idle)
        };
        let candidate = |(place, &(tid, is_birth)): (usize, &(u32, Option<bool>))| {
            is_birth.map(|is_birth| Candidate { tid, is_birth, place, next: next(place, tid) })
        };
        moments.iter().enumerate().filter_map(candidate).collect()
    }

    fn before(alive: Option<bool>, candidates: &[Candidate]) -> Option<usize> {
        find(alive, candidates).last_before
    }

    const BORN: Option<bool> = Some(true);
    const DIES: Option<bool> = Some(false);
    const ELSEWHERE: Option<bool> = None;

    #[test]
    fn what_is_possible_stays() {
        let possible = [(1, BORN), (2, DIES), (2, BORN), (1, DIES), (3, BORN)];
        assert_eq!(before(Some(false), &candidates(&possible)), Some(0));
        assert_eq!(before(None, &candidates(&possible[1..])), Some(0));
        assert_eq!(before(None, &[]), None);
    }

    /// Either release could be the early one: the thread that did nothing else made it.
    #[test]
    fn a_thread_that_was_held_up_did_nothing_else() {
        let busy = |first, second| {
            candidates(&[(first, DIES), (second, DIES), (1, ELSEWHERE), (3, BORN), (3, BORN)])
        };
        assert_eq!(before(Some(true), &busy(2, 1)), Some(2));
        assert_eq!(before(Some(true), &busy(1, 2)), Some(0));
    }

    #[test]
    fn a_double_free_is_one() {
        let double = [(1, DIES), (2, DIES), (1, BORN), (1, DIES)];
        assert_eq!(before(Some(false), &candidates(&double[1..2])), None);
        assert_eq!(before(Some(true), &candidates(&double[..2])), Some(0));
    }
}
