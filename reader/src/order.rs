//! The order of the moments of one address.

/// A moment of the address, among those of others.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub tid: u32,
    pub is_birth: bool,
    /// Its number, by time, among the moments of all addresses.
    pub place: usize,
    /// That of what its thread does next, whatever the address.
    pub next: usize,
}

/// Moments that are looked at together at the most.
pub const MOST_STEPS: usize = 16;
/// Attempts to put a moment into its place before a search is given up.
const MOST_TRIES: u32 = 300;
/// Moments that are moved across what their threads do next at the most, where there is no order
/// without.
const MOST_MOVED: u32 = 2;

/// What has to happen before the first of some moments, which are given in order of their times: the
/// index of the last of it, 0 if the first one can come first; `None` if no order is possible. And the
/// number of attempts that it took to find out.
///
/// Births and deaths take turns, and those of one thread are in order. A moment whose time is too
/// early belongs to a thread that was held up, and did nothing else meanwhile: of all orders that are
/// possible, one that moves no moment across what its thread does next is taken, or few, and of those
/// the one that departs from the times last. Where there is none, because what has been overtaken
/// cannot be seen yet, it is enough that half of the moments have their places. `alive` says what is
/// before all of them, if that is known.
pub fn before_first(alive: Option<bool>, steps: &[Step]) -> (Option<usize>, u32) {
    let steps = &steps[..steps.len().min(MOST_STEPS)];
    let (all, half) = (steps.len(), steps.len().div_ceil(2));
    let searches = [(0, all), (MOST_MOVED, all), (0, half), (MOST_MOVED, half)];
    let mut tries = 0;
    let found = searches.iter().find_map(|&(moved, enough)| {
        let mut search = Search { steps, enough, tries: MOST_TRIES };
        let found = search.complete(Partial { alive, done: 0, moved, last: 0, before_first: None });
        tries += MOST_TRIES - search.tries;
        found
    });
    (found, tries)
}

struct Search<'a> {
    steps: &'a [Step],
    /// So many must be in order.
    enough: usize,
    tries: u32,
}

/// The beginning of an order.
#[derive(Clone, Copy)]
struct Partial {
    alive: Option<bool>,
    /// A bit for each moment that is in its place.
    done: u32,
    /// Moments that may still be moved across what their threads do next.
    moved: u32,
    /// The last moment, by time, that is in its place.
    last: usize,
    /// The same when the first moment came.
    before_first: Option<usize>,
}

impl Search<'_> {
    /// Puts the other moments into places, depth first, by time; what came before the first one.
    fn complete(&mut self, partial: Partial) -> Option<usize> {
        let steps = self.steps;
        // Those before it are in their places. The others may wait for what cannot be seen yet.
        let start = partial.done.trailing_ones() as usize;
        if start >= self.enough {
            return partial.before_first;
        }
        let is_left = |index: &usize| partial.done & 1 << *index == 0;
        for index in (start..steps.len()).filter(is_left) {
            let step = &steps[index];
            let is_next_of_thread = |earlier: usize| steps[earlier].tid != step.tid;
            let moved = u32::from(step.next < steps[partial.last].place);
            if partial.alive == Some(step.is_birth)
                || moved > partial.moved
                || !(start..index).filter(is_left).all(is_next_of_thread)
            {
                continue;
            }
            self.tries = self.tries.checked_sub(1)?;
            let first = (index == 0).then_some(partial.last);
            let found = self.complete(Partial {
                alive: Some(step.is_birth),
                done: partial.done | 1 << index,
                moved: partial.moved - moved,
                last: partial.last.max(index),
                before_first: partial.before_first.or(first),
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

    /// Of threads and what they do, by time; `None` stands for a moment of another address.
    fn steps(what: &[(u32, Option<bool>)]) -> Vec<Step> {
        let next = |place: usize, tid| {
            let behind = what.iter().skip(place + 1).position(|(other, _)| *other == tid);
            behind.map_or(what.len(), |behind| place + 1 + behind)
        };
        let step = |(place, &(tid, is_birth)): (usize, &(u32, Option<bool>))| {
            is_birth.map(|is_birth| Step { tid, is_birth, place, next: next(place, tid) })
        };
        what.iter().enumerate().filter_map(step).collect()
    }

    fn before(alive: Option<bool>, steps: &[Step]) -> Option<usize> {
        before_first(alive, steps).0
    }

    const BORN: Option<bool> = Some(true);
    const DIES: Option<bool> = Some(false);
    const ELSEWHERE: Option<bool> = None;

    #[test]
    fn what_is_possible_stays() {
        let possible = [(1, BORN), (2, DIES), (2, BORN), (1, DIES), (3, BORN)];
        assert_eq!(before(Some(false), &steps(&possible)), Some(0));
        assert_eq!(before(None, &steps(&possible[1..])), Some(0));
        assert_eq!(before(None, &[]), None);
    }

    /// Either release could be the early one. It is that of the thread which did nothing else.
    #[test]
    fn a_thread_that_was_held_up_did_nothing_else() {
        let busy = |first, second| {
            steps(&[(first, DIES), (second, DIES), (1, ELSEWHERE), (3, BORN), (3, BORN)])
        };
        assert_eq!(before(Some(true), &busy(2, 1)), Some(2));
        assert_eq!(before(Some(true), &busy(1, 2)), Some(0));
    }

    #[test]
    fn a_double_free_is_one() {
        let double = [(1, DIES), (2, DIES), (1, BORN), (1, DIES)];
        assert_eq!(before(Some(false), &steps(&double[1..2])), None);
        assert_eq!(before(Some(true), &steps(&double[..2])), Some(0));
    }
}
