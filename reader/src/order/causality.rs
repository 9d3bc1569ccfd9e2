//! Repairs the order between threads by causality.
//!
//! A death is stamped before the memory is released and a birth after it was given out, so the
//! times of an address that passes from thread to thread are in order by themselves. But a
//! processor may read its clock early, before the load that brought it the address. Then two births
//! or two deaths of that address follow each other, and one of the moments around them has to be
//! moved behind the moments that it has overtaken. That shows when later moments are known, so all
//! moments pass through a window of [`EARLY`] ticks.
//!
//! An example that was recorded: thread 2 freed the block that thread 1 got at tick 74 294, but its
//! processor read the clock 4141 ticks early.
//!
//! ```text
//!   ticks  thread  call      address         ticks  thread  call      address
//!       0     1    malloc    lives               0     1    malloc    lives
//!   2 000     1    free      dead            2 000     1    free      dead
//!  70 153     2    free      dead twice     70 423     1    malloc    lives
//!  70 423     1    malloc    lives          72 677     1    free      dead
//!  72 677     1    free      dead           72 897     1    malloc    lives
//!  72 897     1    malloc    lives          74 147     1    free      dead
//!  74 147     1    free      dead           74 294     1    malloc    lives
//!  74 294     1    malloc    lives          74 294     2    free      dead        <- moved
//! 333 406     1    malloc    lives twice   333 406     1    malloc    lives
//! ```
//!
//! The moments of thread 1 take turns as they are, so the free of thread 2 fits only after the last
//! birth before the second contradiction. It gets the time of that birth.

use rustc_hash::FxHashMap;

use super::live_set::{EARLY, LiveSet};
use super::merge::Merge;
use super::search::{self, Candidate, Found};
use crate::decode::{Batch, Moment, Moments};
use crate::stack::Stacks;
use crate::trace::Trace;

/// The unit of [`Moment::late`], in ticks: it can hold [`EARLY`].
const LATE: u64 = EARLY / u8::MAX as u64;
/// Buckets of addresses: many more than there are moments within [`EARLY`]. A small trace takes fewer,
/// as thousands may be open.
const BUCKETS: usize = 1 << 14;
const LEAST_BUCKETS: usize = 1 << 6;
/// Moments that are read at a time: many more than wait, so few are copied.
const BATCH: usize = 8192;
/// Moments that wait for later ones at the most.
const MOST_WAITING: usize = 1 << 16;
/// The budget for repairs, in moments looked at: the share of each moment, and the maximum. It
/// bounds the time that a hostile trace takes.
const EFFORT: u64 = 256;
const MOST_EFFORT: u64 = 1 << 24;
/// The cost of one move of a search.
const TRY: u64 = 8;
/// Suspect addresses that are kept without checking whether they still are.
const MOST_SUSPECTS: usize = 64;

/// The moments of a source in a possible order.
pub struct Causality<M> {
    source: M,
    /// `None` where one thread has made all moments, whose order is certain.
    repair: Option<Repair>,
}

/// The state of the repair.
struct Repair {
    live: LiveSet,
    /// The latest moment of an address in each bucket: the address, and in bit 0 whether it was a
    /// birth. Empty before the first moment.
    latest: Vec<u64>,
    /// Addresses with two births or two deaths in a row, each with the tick up to which its moments
    /// may have to be moved.
    suspects: FxHashMap<u64, u64>,
    /// Moments that later ones may have to precede.
    waiting: Vec<Moment>,
    /// The rest of the budget for repairs.
    effort: u64,
}

impl<M: Moments> Moments for Causality<M> {
    fn more(&mut self, batch: &mut Batch) -> bool {
        match &mut self.repair {
            None => self.source.more(batch),
            Some(repair) => repair.more(&mut self.source, batch),
        }
    }
}

impl<'a> Causality<Merge<'a>> {
    /// All moments of a trace; with their stacks, if these are wanted.
    pub fn of(trace: &'a Trace<'a>, stacks: Option<&'a Stacks<'a>>) -> Causality<Merge<'a>> {
        let live = || LiveSet::of(trace);
        Causality::new(Merge::of(trace, stacks), (!trace.has_one_writer()).then(live))
    }
}

impl<M: Moments> Causality<M> {
    /// `live`: the live addresses before the first moment; `None` if one thread made all moments.
    pub fn new(source: M, live: Option<LiveSet>) -> Causality<M> {
        let repair = live.map(|live| Repair {
            live,
            latest: Vec::new(),
            suspects: FxHashMap::default(),
            waiting: Vec::new(),
            effort: MOST_EFFORT,
        });
        Causality { source, repair }
    }

    pub fn source_mut(&mut self) -> &mut M {
        &mut self.source
    }
}

impl Repair {
    /// [`Moments::more`], in place: the moments are reordered within the batch.
    fn more(&mut self, source: &mut impl Moments, batch: &mut Batch) -> bool {
        let start = batch.moments.len();
        batch.moments.append(&mut self.waiting);
        loop {
            let known = batch.moments.len();
            while batch.moments.len() < known + BATCH && source.more(batch) {}
            let moments = &mut batch.moments;
            let is_dry = moments.len() < known + BATCH;
            let is_all = is_dry && !source.goes_on();
            self.find_suspects(&moments[known..], is_all);
            let ordered = start + self.order(&mut moments[start..], is_all);
            if ordered != start || is_dry {
                self.waiting.extend(moments.drain(ordered..));
                return ordered != start;
            }
        }
    }

    /// Finds addresses with two births or two deaths in a row. `is_all`: there are no later moments.
    fn find_suspects(&mut self, moments: &[Moment], is_all: bool) {
        let enough = (4 * moments.len()).next_power_of_two().clamp(LEAST_BUCKETS, BUCKETS);
        let buckets = if is_all { enough } else { BUCKETS };
        if self.latest.len() < buckets {
            self.latest = vec![0; buckets];
        }
        let shift = 64 - self.latest.len().ilog2();
        let latest = &mut self.latest[..];
        for moment in moments.iter().filter(|moment| moment.has_address()) {
            let address = moment.address;
            let word = address << 1 | u64::from(moment.kind.is_birth());
            // Fibonacci hashing.
            let hash = address.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let Some(latest) = latest.get_mut((hash >> shift) as usize) else { continue };
            if std::mem::replace(latest, word) == word {
                self.suspects.insert(address, moment.ticks.saturating_add(EARLY));
            }
        }
    }

    /// Orders the moments that no later one can have to precede, and returns their number.
    /// `is_all`: there are no later moments.
    fn order(&mut self, moments: &mut [Moment], is_all: bool) -> usize {
        let last = moments.last().map_or(0, |last| last.ticks);
        let full = moments.len().saturating_sub(MOST_WAITING);
        // A later moment may have to precede one from here on.
        let open = if is_all { u64::MAX } else { last.saturating_sub(EARLY) };
        let must_wait = |moment: &Moment, place| moment.ticks >= open && place >= full && !is_all;
        let mut first = 0;
        while first < moments.len() {
            if self.suspects.is_empty() {
                first += self.live.apply_plain(&moments[first..], open);
            }
            let Some(moment) = moments.get(first).filter(|it| !must_wait(it, first)) else { break };
            if !self.is_suspect(moment) && self.live.try_apply(moment) {
                first += 1;
                continue;
            }
            match self.overtaken(&moments[first..]) {
                Some(place) if place != 0 => move_behind(&mut moments[first..=first + place]),
                found => {
                    if found.is_none() {
                        // A further search fails, too, until the next contradiction.
                        self.suspects.remove(&moment.address);
                    }
                    self.live.apply(moment);
                    first += 1;
                }
            }
        }
        self.effort = (self.effort + first as u64 * EFFORT).min(MOST_EFFORT);
        if self.suspects.len() > MOST_SUSPECTS {
            let now = moments.get(first).map_or(last, |moment| moment.ticks);
            self.suspects.retain(|_, until| *until >= now);
        }
        first
    }

    /// The place of the last moment that must have happened before the first one, 0 if there is
    /// none; `None` if there is no possible order, or the budget is spent.
    #[cold]
    fn overtaken(&mut self, moments: &[Moment]) -> Option<usize> {
        let can_wait = |first: &&Moment| first.has_address() && first.late != u8::MAX;
        let first = moments.first().filter(|first| can_wait(first) && self.effort != 0)?;
        let last = first.ticks.saturating_add(EARLY - u64::from(first.late) * LATE);
        let moments = &moments[..moments.partition_point(|moment| moment.ticks <= last)];
        let mut looks = moments.len() as u64;
        let mut candidate = |place: usize| {
            let Moment { tid, kind, .. } = moments[place];
            let after = &moments[place + 1..];
            let idle = after.iter().position(|next| next.tid == tid).unwrap_or(after.len());
            looks += idle as u64;
            Candidate { tid, is_birth: kind.is_birth(), place, next: place + 1 + idle }
        };
        let same = |place: &usize| {
            moments[*place].address == first.address && moments[*place].has_address()
        };
        let places = (0..moments.len()).filter(same).take(search::MOST_CANDIDATES);
        let candidates = places.map(&mut candidate).collect::<Vec<_>>();
        let state = self.live.state(first.address);
        let Found { last_before, tries } = search::find(state, &candidates);
        self.effort = self.effort.saturating_sub(looks + u64::from(tries) * TRY);
        last_before.and_then(|last| candidates.get(last)).map(|candidate| candidate.place)
    }

    fn is_suspect(&self, moment: &Moment) -> bool {
        !self.suspects.is_empty()
            && self.suspects.get(&moment.address).is_some_and(|&until| moment.ticks <= until)
    }
}

/// Moves the first moment, and its thread's other ones, behind the last moment.
fn move_behind(moments: &mut [Moment]) {
    let (Some(&Moment { tid, .. }), Some(&until)) = (moments.first(), moments.last()) else {
        return;
    };
    let (mut moved, mut kept): (Vec<_>, Vec<_>) =
        moments.iter().copied().partition(|moment| moment.tid == tid);
    for moment in &mut moved {
        let later = until.ticks.saturating_sub(moment.ticks);
        // Grows with every move, so moving ends.
        let late = u8::try_from(later / LATE + 1).unwrap_or(u8::MAX);
        moment.late = moment.late.saturating_add(late);
        moment.ticks = moment.ticks.max(until.ticks);
    }
    kept.append(&mut moved);
    moments.copy_from_slice(&kept);
}

#[cfg(test)]
mod tests;
