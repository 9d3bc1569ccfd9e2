//! Order between threads, repaired by causality.
//!
//! A release is stamped before it happens and a birth after it, so what one thread frees and another
//! gets is in order by itself. But a processor may read its clock early, before the load through
//! which it learned of the address. So moments pass through a window of about two microseconds, and
//! one that cannot have happened yet is put off behind the one that it has overtaken.

use crate::Trace;
use crate::decode::{Batch, Moment, Moments};
use crate::heap::Heap;
use crate::merge::Merge;

/// What contradicts the moments before it has overtaken another one, perhaps by more than
/// [`Heap::early`]: on a busy host it can take microseconds to read what another processor has just
/// written. It may have overtaken what comes within so many times that.
const FAR: u64 = 16;
/// A moment is put off so many times at the most.
const MOST_DELAYS: u8 = 4;
/// Buckets of addresses: many more than there are moments within [`Heap::early`].
const BUCKETS: usize = 1 << 12;
/// Moments that are asked for at a time.
const BATCH: usize = 1024;
/// Moments that wait for later ones at the most; no processor makes more within [`Heap::early`].
const MOST_WAITING: usize = 1 << 16;

/// The last moment of an address of the bucket.
#[derive(Clone, Copy, Default)]
struct Bucket {
    tid: u32,
    ticks: u64,
    /// Up to here, several threads had moments within [`Heap::early`].
    shared_until: u64,
}

/// The moments of a source, in a possible order.
pub struct Settle<M> {
    source: M,
    /// What tells which order is possible; `None` where one thread alone makes it certain.
    several: Option<Several>,
}

/// What several threads have done.
struct Several {
    heap: Heap,
    buckets: Box<[Bucket; BUCKETS]>,
    /// Moments that may be overtaken by later ones.
    waiting: Vec<Moment>,
}

impl<M: Moments> Moments for Settle<M> {
    fn more(&mut self, batch: &mut Batch) -> bool {
        match &mut self.several {
            None => self.source.more(batch),
            Some(several) => several.more(&mut self.source, batch),
        }
    }
}

impl<'a> Settle<Merge<'a>> {
    /// All moments of a trace.
    pub fn of(trace: &'a Trace<'a>) -> Settle<Merge<'a>> {
        let heap =
            (!trace.has_one_writer()).then(|| Heap::new(trace.is_complete(), trace.is_coarse()));
        Settle::new(Merge::new(trace), heap)
    }
}

impl<M: Moments> Settle<M> {
    /// `heap`: what lives, unless one thread alone makes the order certain.
    pub fn new(source: M, heap: Option<Heap>) -> Settle<M> {
        let buckets = || Box::new([Bucket::default(); BUCKETS]);
        let several = heap.map(|heap| Several { heap, buckets: buckets(), waiting: Vec::new() });
        Settle { source, several }
    }

    pub fn source_mut(&mut self) -> &mut M {
        &mut self.source
    }
}

impl Several {
    /// As [`Moments::more`]. Moments are put in order where they are going to be.
    fn more(&mut self, source: &mut impl Moments, batch: &mut Batch) -> bool {
        let start = batch.moments.len();
        batch.moments.append(&mut self.waiting);
        loop {
            let known = batch.moments.len();
            while batch.moments.len() < known + BATCH && source.more(batch) {}
            let moments = &mut batch.moments;
            let is_all = moments.len() < known + BATCH;
            self.look_for_sharing(&moments[known..]);
            let settled = start + self.settle(&mut moments[start..], is_all);
            if settled != start || is_all {
                self.waiting.extend(moments.drain(settled..));
                return settled != start;
            }
        }
    }

    /// Finds addresses that several threads have had within a short time.
    fn look_for_sharing(&mut self, moments: &[Moment]) {
        let early = self.heap.early;
        for moment in moments {
            let bucket = &mut self.buckets[bucket(moment.address)];
            let soon = moment.ticks.saturating_sub(bucket.ticks) <= early;
            let shared = soon & (bucket.tid != moment.tid);
            // Without a branch: which thread is next is as good as random.
            bucket.shared_until = bucket.shared_until.max(moment.ticks * u64::from(shared));
            (bucket.tid, bucket.ticks) = (moment.tid, moment.ticks);
        }
    }

    /// Puts the first moments in order, up to where a later one might have to come before them;
    /// their number. `is_all`: there are no later ones.
    fn settle(&mut self, moments: &mut [Moment], is_all: bool) -> usize {
        let early = self.heap.early;
        let last = moments.last().map_or(0, |last| last.ticks);
        let certain = match is_all {
            true => moments.len(),
            false => moments
                .partition_point(|moment| last.saturating_sub(moment.ticks) > early)
                .max(moments.len().saturating_sub(MOST_WAITING)),
        };
        let enough = is_all || moments.len() >= MOST_WAITING;
        let mut first = 0;
        while first < certain {
            let moment = &moments[first];
            let patient = moment.delays < MOST_DELAYS;
            let shared = self.buckets[bucket(moment.address)].shared_until >= moment.ticks;
            let mut behind = None;
            if shared && patient {
                behind = overtaken(&self.heap, &moments[first..], early);
            }
            if behind.is_none() && !self.heap.try_happen(moment) {
                let far = FAR * early;
                if patient && !enough && last.saturating_sub(moment.ticks) <= far {
                    // What it has overtaken may still come.
                    return first;
                }
                if patient {
                    behind = overtaken(&self.heap, &moments[first..], far);
                }
                if behind.is_none() {
                    self.heap.happen(moment);
                }
            }
            match behind {
                None => first += 1,
                Some(place) => {
                    put_off(&mut moments[first..=first + place]);
                    if first + place >= certain {
                        // What has come forward may have overtaken others.
                        return first;
                    }
                }
            }
        }
        first
    }
}

/// Moves the first moment behind the last one, and with it what its thread does until then.
fn put_off(moments: &mut [Moment]) {
    let (Some(&Moment { tid, .. }), Some(&until)) = (moments.first(), moments.last()) else {
        return;
    };
    let (mut moved, mut kept): (Vec<_>, Vec<_>) =
        moments.iter().copied().partition(|moment| moment.tid == tid);
    for moment in &mut moved {
        moment.ticks = moment.ticks.max(until.ticks);
        moment.delays += 1;
    }
    kept.append(&mut moved);
    moments.copy_from_slice(&kept);
}

/// The bucket of an address.
#[inline]
fn bucket(address: u64) -> usize {
    // Fibonacci hashing: the golden ratio's bits spread neighbours.
    (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BUCKETS.ilog2())) as usize
}

/// The place of the moment that must have happened before the first one, if there is one within so
/// many ticks.
fn overtaken(heap: &Heap, moments: &[Moment], window: u64) -> Option<usize> {
    let (first, behind) = moments.split_first()?;
    if first.address == 0 || !first.kind.is_moment() {
        return None;
    }
    let contradicted = heap.contradicts(first);
    let mut like_it = None;
    let last = first.ticks.saturating_add(window);
    let behind = (1..).zip(behind).take_while(|(_, moment)| moment.ticks <= last);
    for (place, moment) in behind {
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

#[cfg(test)]
mod tests {
    use mallook_format::Kind;
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;

    use super::*;

    struct Given(std::vec::IntoIter<Moment>);

    impl Moments for Given {
        fn more(&mut self, batch: &mut Batch) -> bool {
            let before = batch.moments.len();
            batch.moments.extend(self.0.by_ref().take(7));
            batch.moments.len() > before
        }
    }

    /// How much too early a clock is read here, in ticks: about what was seen.
    const WRONG: u64 = 400;

    /// What happens in truth: a thread, whether it would rather give out or release, which address,
    /// the ticks that pass, and how much too early its clock is.
    type Step = (u32, bool, usize, u64, u64);

    /// A possible history of four addresses that threads hand to each other, stamped with clocks
    /// that are early, in order of the stamps.
    fn stamped(steps: &[Step]) -> Vec<Moment> {
        let (mut time, mut live) = (1 << 20, [false; 4]);
        let mut last = [0; 4];
        let mut moments = Vec::new();
        for &(tid, birth, place, passed, wrong) in steps {
            let places = (0..4).map(|next| (place + next) % 4);
            let Some(place) = places.into_iter().find(|&place| live[place] != birth) else {
                continue;
            };
            live[place] = birth;
            time += passed;
            let thread = &mut last[tid as usize];
            // The clock of a thread never goes back.
            *thread = (time - wrong).max(*thread);
            moments.push(Moment {
                ticks: *thread,
                address: 0x1000 + 16 * place as u64,
                size: 1,
                tid,
                kind: if birth { Kind::Malloc } else { Kind::Free },
                aux: 0,
                delays: 0,
            });
        }
        moments.sort_by_key(|moment| moment.ticks);
        moments
    }

    /// A thread that releases what another one has just given out, and whose clock is so early, among
    /// others that do something else.
    fn handed_over(wrong: u64, others: u64) -> Vec<Moment> {
        let moment = |(ticks, tid, address, kind)| Moment {
            ticks: (1 << 20) + ticks,
            address,
            size: 1,
            tid,
            kind,
            aux: 0,
            delays: 0,
        };
        let other = |n: u64| {
            let kind = if n.is_multiple_of(2) { Kind::Malloc } else { Kind::Free };
            (n * 200, 3, 0x9000, kind)
        };
        let mut moments: Vec<_> = (0..others).map(other).map(moment).collect();
        let (birth, life) = (others * 100, 300);
        moments.push(moment((birth, 1, 0x1000, Kind::Malloc)));
        moments.push(moment((birth + life - wrong, 2, 0x1000, Kind::Free)));
        moments.push(moment((birth + 2 * life, 1, 0x1000, Kind::Malloc)));
        moments.sort_by_key(|moment| moment.ticks);
        moments
    }

    #[test]
    fn a_clock_that_is_much_too_early_is_put_right_by_the_contradiction() {
        for wrong in [0, 400, 4_000, 10_000, 50_000] {
            for others in [600, 5_000] {
                let before = handed_over(wrong, others);
                assert_eq!(contradictions(&before), if wrong < 300 { 0 } else { 2 });
                let after = settled(before.clone());
                assert_eq!(contradictions(&after), 0, "{wrong} ticks early, {others} others");
                assert_eq!(after.len(), before.len());
            }
        }
    }

    fn settled(moments: Vec<Moment>) -> Vec<Moment> {
        let heap = Some(Heap::new(true, false));
        let mut settle = Settle::new(Given(moments.into_iter()), heap);
        let mut batch = Batch::default();
        while settle.more(&mut batch) {}
        batch.moments
    }

    fn contradictions(moments: &[Moment]) -> usize {
        let mut heap = Heap::new(true, false);
        let wrong = |moment: &&Moment| {
            let wrong = heap.contradicts(moment);
            heap.happen(moment);
            wrong
        };
        moments.iter().filter(wrong).count()
    }

    #[test]
    fn early_clocks_are_put_right() {
        let step = (0u32..4, any::<bool>(), 0usize..4, 250u64..2000, 0..WRONG);
        let histories = prop::collection::vec(step, 0..300);
        let mut repaired = 0;
        TestRunner::deterministic()
            .run(&histories, |steps| {
                let before = stamped(&steps);
                let after = settled(before.clone());
                prop_assert_eq!(contradictions(&after), 0);
                let of_thread = |moments: &[Moment], tid| {
                    let own = moments.iter().filter(|moment| moment.tid == tid);
                    own.map(|moment| (moment.address, moment.kind)).collect::<Vec<_>>()
                };
                for tid in 0..4 {
                    prop_assert_eq!(of_thread(&before, tid), of_thread(&after, tid));
                }
                prop_assert!(after.is_sorted_by_key(|moment| moment.ticks));
                Ok(())
            })
            .unwrap();
        for wrong in 1..50 {
            // A release that is stamped before the birth that it follows.
            let steps = [(0, true, 0, 1000, 0), (1, false, 0, 250, 250 + wrong)];
            let before = stamped(&steps);
            repaired += contradictions(&before) - contradictions(&settled(before));
        }
        assert_eq!(repaired, 49);
    }
}
