//! Order between threads, repaired by causality.
//!
//! A release is stamped before it happens and a birth after it, so what one thread frees and another
//! gets is in order by itself. But a processor may read its clock early, before the load through
//! which it learned of the address. Then two births or two deaths of that address follow each other,
//! and one of the moments around them has to be put off behind what it has overtaken. That shows when
//! the later moments are known; so all pass through a window of time.

use rustc_hash::FxHashMap;

use crate::Trace;
use crate::decode::{Batch, Moment, Moments};
use crate::heap::{EARLY, Heap};
use crate::merge::Merge;
use crate::order::{self, Step};

/// The unit of [`Moment::late`], in ticks: it can hold [`EARLY`].
const LATE: u64 = EARLY / u8::MAX as u64;
/// Buckets of addresses: many more than there are moments within [`EARLY`].
const BUCKETS: usize = 1 << 14;
/// Moments that are asked for at a time: many more than wait, so that few are moved.
const BATCH: usize = 8192;
/// Moments that wait for later ones at the most.
const MOST_WAITING: usize = 1 << 16;
/// What may be spent on repairs for each moment, in moments looked at, and at once: hostile traces must
/// not take for ever.
const EFFORT: u64 = 256;
const MOST_EFFORT: u64 = 1 << 24;
/// What an attempt to put a moment into its place costs.
const TRY: u64 = 8;
/// Addresses in trouble that are remembered without a look whether that is over.
const MOST_TROUBLES: usize = 64;

/// The moments of a source, in a possible order.
pub struct Settle<M> {
    source: M,
    /// What tells which order is possible; `None` where one thread alone makes it certain.
    several: Option<Several>,
}

/// What several threads have done.
struct Several {
    heap: Heap,
    /// The latest moment of an address in each bucket: the address, and in bit 0 whether it was a
    /// birth.
    latest: Box<[u64; BUCKETS]>,
    /// Addresses with two births or two deaths in a row, and until when their moments may have to
    /// be put off.
    troubles: FxHashMap<u64, u64>,
    /// Moments that may be overtaken by later ones.
    waiting: Vec<Moment>,
    /// What may still be spent on repairs.
    effort: u64,
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
        let several = heap.map(|heap| Several {
            heap,
            latest: Box::new([0; BUCKETS]),
            troubles: FxHashMap::default(),
            waiting: Vec::new(),
            effort: MOST_EFFORT,
        });
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
            self.look_for_trouble(&moments[known..]);
            let settled = start + self.settle(&mut moments[start..], is_all);
            if settled != start || is_all {
                self.waiting.extend(moments.drain(settled..));
                return settled != start;
            }
        }
    }

    /// Finds addresses that are born, or die, twice in a row.
    fn look_for_trouble(&mut self, moments: &[Moment]) {
        for moment in moments.iter().filter(|moment| matters(moment)) {
            let address = moment.address;
            let word = address << 1 | u64::from(moment.kind.is_birth());
            // Fibonacci hashing: the golden ratio's bits spread neighbours.
            let hash = address.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let latest = &mut self.latest[(hash >> (64 - BUCKETS.ilog2())) as usize];
            if *latest == word {
                self.troubles.insert(address, moment.ticks.saturating_add(EARLY));
            }
            *latest = word;
        }
    }

    /// Puts the first moments in order, up to where a later one might have to come before them;
    /// their number. `is_all`: there are no later ones.
    fn settle(&mut self, moments: &mut [Moment], is_all: bool) -> usize {
        let last = moments.last().map_or(0, |last| last.ticks);
        let full = moments.len().saturating_sub(MOST_WAITING);
        let mut first = 0;
        while let Some(moment) = moments.get(first) {
            if !is_all && last.saturating_sub(moment.ticks) <= EARLY && first >= full {
                break;
            }
            if !self.is_in_trouble(moment) && self.heap.try_happen(moment) {
                first += 1;
                continue;
            }
            match self.overtaken(&moments[first..]) {
                Some(place) if place != 0 => put_off(&mut moments[first..=first + place]),
                found => {
                    if found.is_none() {
                        // Others will not help, until something new comes.
                        self.troubles.remove(&moment.address);
                    }
                    self.heap.happen(moment);
                    first += 1;
                }
            }
        }
        self.effort = (self.effort + first as u64 * EFFORT).min(MOST_EFFORT);
        if self.troubles.len() > MOST_TROUBLES {
            let now = moments.get(first).map_or(last, |moment| moment.ticks);
            self.troubles.retain(|_, until| *until >= now);
        }
        first
    }

    /// The place of the last moment that must have happened before the first one, 0 if there is none;
    /// `None` if no order is possible, or too much was spent on others.
    #[cold]
    fn overtaken(&mut self, moments: &[Moment]) -> Option<usize> {
        let can_wait = |first: &&Moment| matters(first) && first.late != u8::MAX;
        let first = moments.first().filter(|first| can_wait(first) && self.effort != 0)?;
        let last = first.ticks.saturating_add(EARLY - u64::from(first.late) * LATE);
        let moments = &moments[..moments.partition_point(|moment| moment.ticks <= last)];
        let mut looks = moments.len() as u64;
        let mut step = |place: usize| {
            let Moment { tid, kind, .. } = moments[place];
            let behind = &moments[place + 1..];
            let idle = behind.iter().position(|next| next.tid == tid).unwrap_or(behind.len());
            looks += idle as u64;
            Step { tid, is_birth: kind.is_birth(), place, next: place + 1 + idle }
        };
        let same =
            |place: &usize| moments[*place].address == first.address && matters(&moments[*place]);
        let steps = (0..moments.len()).filter(same).take(order::MOST_STEPS).map(&mut step);
        let steps = steps.collect::<Vec<_>>();
        let (before, tries) = order::before_first(self.heap.state(first.address), &steps);
        self.effort = self.effort.saturating_sub(looks + u64::from(tries) * TRY);
        before.and_then(|before| steps.get(before)).map(|step| step.place)
    }

    fn is_in_trouble(&self, moment: &Moment) -> bool {
        !self.troubles.is_empty()
            && self.troubles.get(&moment.address).is_some_and(|&until| moment.ticks <= until)
    }
}

/// The order of such moments of one address matters.
fn matters(moment: &Moment) -> bool {
    moment.kind.is_moment() && moment.address != 0
}

/// Moves the first moment behind the last one, and with it what its thread does until then.
fn put_off(moments: &mut [Moment]) {
    let (Some(&Moment { tid, .. }), Some(&until)) = (moments.first(), moments.last()) else {
        return;
    };
    let (mut moved, mut kept): (Vec<_>, Vec<_>) =
        moments.iter().copied().partition(|moment| moment.tid == tid);
    for moment in &mut moved {
        let later = until.ticks.saturating_sub(moment.ticks);
        // Each time counts, so that it comes to an end.
        let late = u8::try_from(later / LATE + 1).unwrap_or(u8::MAX);
        moment.late = moment.late.saturating_add(late);
        moment.ticks = moment.ticks.max(until.ticks);
    }
    kept.append(&mut moved);
    moments.copy_from_slice(&kept);
}

#[cfg(test)]
#[path = "settle_tests.rs"]
mod tests;
