//! Order between threads, repaired by causality.
//!
//! A release is stamped before it happens and a birth after it, so what one thread frees and another
//! gets is in order by itself. But a processor may read its clock early, before the load through
//! which it learned of the address. So moments pass through a window of about two microseconds, and
//! one that cannot have happened yet is put off behind the one that it has overtaken.

use crate::Trace;
use crate::decode::{Moment, Moments};
use crate::heap::Heap;
use crate::merge::Merge;

/// A moment is put off so many times at the most.
const MOST_DELAYS: u8 = 4;
/// Buckets of addresses: many more than there are moments within [`Heap::early`].
const BUCKETS: usize = 1 << 12;
/// Moments that are asked for at a time.
const BATCH: usize = 1024;

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
    moments: Vec<Moment>,
    /// The first one that was not handed on.
    first: usize,
    /// What may have been overtaken by those before this one is here too.
    certain: usize,
    /// What tells which order is possible; `None` where one thread alone makes it certain.
    several: Option<Several>,
}

impl<M: Moments> Moments for Settle<M> {
    fn more(&mut self, moments: &mut Vec<Moment>) -> bool {
        if self.several.is_none() {
            return self.source.more(moments);
        }
        let before = moments.len();
        while moments.len() < before + BATCH
            && let Some(moment) = self.next()
        {
            moments.push(moment);
        }
        moments.len() > before
    }
}

/// What several threads have done.
struct Several {
    heap: Heap,
    buckets: Box<[Bucket; BUCKETS]>,
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
        let several = heap.map(|heap| Several { heap, buckets: buckets() });
        Settle { source, moments: Vec::new(), first: 0, certain: 0, several }
    }

    pub fn source_mut(&mut self) -> &mut M {
        &mut self.source
    }

    /// The next moment.
    #[inline]
    fn next(&mut self) -> Option<Moment> {
        loop {
            if self.first == self.certain {
                self.fill();
            }
            let first = *self.moments.get(self.first)?;
            if let Some(several) = &mut self.several {
                if several.buckets[bucket(first.address)].shared_until >= first.ticks
                    && first.delays < MOST_DELAYS
                    && let Some(place) = overtaken(&several.heap, &self.moments[self.first..])
                {
                    self.put_off(self.first + place);
                    continue;
                }
                several.heap.happen(&first);
            }
            self.first += 1;
            return Some(first);
        }
    }

    /// Lets more moments in, until one is certain or there are no more now.
    #[inline(never)]
    fn fill(&mut self) {
        self.moments.drain(..self.first);
        (self.first, self.certain) = (0, 0);
        while self.certain == 0 {
            let known = self.moments.len();
            while self.moments.len() < known + BATCH && self.source.more(&mut self.moments) {}
            let Some(several) = &mut self.several else {
                self.certain = self.moments.len();
                return;
            };
            let early = several.heap.early;
            for moment in &self.moments[known..] {
                let bucket = &mut several.buckets[bucket(moment.address)];
                if bucket.tid != moment.tid && moment.ticks.saturating_sub(bucket.ticks) <= early {
                    bucket.shared_until = moment.ticks;
                }
                (bucket.tid, bucket.ticks) = (moment.tid, moment.ticks);
            }
            if self.moments.len() < known + BATCH {
                self.certain = self.moments.len();
                return;
            }
            let last = self.moments.last().map_or(0, |last| last.ticks);
            self.certain =
                self.moments.partition_point(|moment| last.saturating_sub(moment.ticks) > early);
        }
    }

    /// Moves the first moment behind the one at `place`, and with it what its thread does until
    /// then.
    fn put_off(&mut self, place: usize) {
        let Some(moments) = self.moments.get_mut(self.first..=place) else { return };
        let (Some(&Moment { tid, .. }), Some(&until)) = (moments.first(), moments.last()) else {
            return;
        };
        let (mut moved, mut kept): (Vec<_>, Vec<_>) =
            moments.iter().copied().partition(|moment| moment.tid == tid);
        for moment in &mut moved {
            moment.ticks = moment.ticks.max(until.ticks);
            moment.time_ns = moment.time_ns.max(until.time_ns);
            moment.delays += 1;
        }
        kept.append(&mut moved);
        moments.copy_from_slice(&kept);
        if place >= self.certain {
            // What has come forward may have overtaken others.
            self.certain = self.first;
        }
    }
}

/// The bucket of an address.
#[inline]
fn bucket(address: u64) -> usize {
    // Fibonacci hashing: the golden ratio's bits spread neighbours.
    (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BUCKETS.ilog2())) as usize
}

/// The place of the moment that must have happened before the first one, if there is one.
fn overtaken(heap: &Heap, moments: &[Moment]) -> Option<usize> {
    let (first, behind) = moments.split_first()?;
    if first.address == 0 || !first.kind.is_moment() {
        return None;
    }
    let contradicted = heap.contradicts(first);
    let mut like_it = None;
    let last = first.ticks.saturating_add(heap.early);
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
