//! Calls and markers, one event each, in the order in which they ended.

use std::collections::VecDeque;

use mallook_format::{Kind, REALLOC_FRESH, WIDE_ALIGNMENT};
use rustc_hash::FxHashMap;

use crate::clock::Converter;
use crate::decode::{Batch, Moment, Moments};
use crate::event::{Call, Event, What};
use crate::merge::Merge;
use crate::settle::Settle;
use crate::{ClockMap, Trace};

/// Reallocations of one thread that can be under way at once (in nested signal handlers).
const MOST_NESTED: usize = 64;

/// A moment and what it completes.
pub(crate) struct Step {
    pub moment: Moment,
    /// `None` for the first moment of a reallocation.
    pub event: Option<Event>,
}

/// The events of one trace, in order of time.
pub struct Events<M> {
    source: M,
    batch: Batch,
    /// The first one that was not looked at.
    first: usize,
    /// Moments that came out of order.
    repairs: u64,
    pid: u32,
    clock: Converter,
    /// Reallocations whose second moment is still to come, innermost last.
    under_way: FxHashMap<u32, Vec<Moment>>,
    unfinished: Option<VecDeque<Moment>>,
    current: Event,
    /// Alignments that are no powers of two, of the calls that come next.
    odd_alignments: FxHashMap<u32, u64>,
    last_ns: u64,
}

impl<'a> Events<Settle<Merge<'a>>> {
    /// All events of a trace.
    pub fn of(trace: &'a Trace<'a>) -> Events<Settle<Merge<'a>>> {
        Events::with_source(trace, Settle::of(trace))
    }
}

impl<M: Moments> Events<M> {
    /// The events of a trace, whose moments come from here.
    pub(crate) fn with_source(trace: &Trace, source: M) -> Self {
        Events::new(source, trace.header().pid, Converter::new(ClockMap::first(trace)))
    }

    pub(crate) fn new(source: M, pid: u32, clock: Converter) -> Self {
        Events {
            source,
            batch: Batch::default(),
            first: 0,
            repairs: 0,
            pid,
            clock,
            under_way: FxHashMap::default(),
            unfinished: None,
            current: Event { time_ns: 0, pid, tid: 0, what: What::Marker(Kind::Start, 0) },
            odd_alignments: FxHashMap::default(),
            last_ns: 0,
        }
    }

    /// Moments that were put off so far, since they cannot have happened before another one.
    pub fn repairs(&self) -> u64 {
        self.repairs
    }

    pub(crate) fn source_mut(&mut self) -> &mut M {
        &mut self.source
    }

    /// Makes sure that there is a next moment; `false` if there is none now.
    #[inline]
    fn fill(&mut self) -> bool {
        self.first < self.batch.moments.len() || self.refill()
    }

    #[inline(never)]
    fn refill(&mut self) -> bool {
        self.batch.clear();
        self.first = 0;
        let more = self.source.more(&mut self.batch);
        self.clock.extend(self.batch.ties.drain(..));
        more
    }

    fn next_moment(&mut self) -> Option<Moment> {
        if !self.fill() {
            return None;
        }
        let moment = *self.batch.moments.get(self.first)?;
        self.first += 1;
        self.repairs += u64::from(moment.late != 0);
        Some(moment)
    }

    /// Goes on to the next event of those that the source has; reallocations that are under way
    /// wait. `false`: there is none now.
    #[inline]
    pub(crate) fn advance_finished(&mut self) -> bool {
        loop {
            if !self.fill() {
                return false;
            }
            let Some(moment) = self.batch.moments.get(self.first) else { return false };
            if PLAIN & 1 << moment.kind as u8 != 0 {
                // As below, without a branch that depends on the kind: most events are of this sort.
                let has_size = SIZED & 1 << moment.kind as u8 != 0;
                let call = Call::plain(moment.kind, moment.address, moment.size, has_size);
                self.first += 1;
                self.repairs += u64::from(moment.late != 0);
                self.last_ns = self.last_ns.max(self.clock.unix_ns(moment.ticks));
                let (time_ns, tid) = (self.last_ns, moment.tid);
                self.current = Event { time_ns, pid: self.pid, tid, what: What::Call(call) };
                return true;
            }
            if let Some(Step { event: Some(event), .. }) = self.step() {
                self.current = event;
                return true;
            }
        }
    }

    /// Goes on to the next event, which stays where it is until the one after it: copying costs more
    /// than reading it.
    #[inline]
    pub fn advance(&mut self) -> Option<&Event> {
        let found = self.unfinished.is_none() && self.advance_finished();
        (found || self.advance_unfinished()).then_some(&self.current)
    }

    /// The event that [`Events::advance`] went on to.
    #[inline]
    pub(crate) fn current(&self) -> &Event {
        &self.current
    }

    /// The next moment, and the event that it completes.
    pub(crate) fn step(&mut self) -> Option<Step> {
        let moment = self.next_moment()?;
        let what = self.happen(&moment);
        let event = what.map(|what| self.event(&moment, what));
        Some(Step { moment, event })
    }

    /// The first moment of a reallocation, as an event of its own.
    pub(crate) fn first_half(&mut self, death: &Moment) -> Event {
        let call = self.unfinished_call(death);
        self.event(death, What::Call(call))
    }

    #[inline]
    fn event(&mut self, moment: &Moment, what: What) -> Event {
        // Times only go back in damaged traces.
        self.last_ns = self.last_ns.max(self.clock.unix_ns(moment.ticks));
        Event { time_ns: self.last_ns, pid: self.pid, tid: moment.tid, what }
    }

    /// Takes note of a moment; the event, unless it is half of one.
    #[inline]
    fn happen(&mut self, moment: &Moment) -> Option<What> {
        let kind = moment.kind;
        if kind == Kind::WideAlignment {
            self.odd_alignments.insert(moment.tid, moment.address);
            return None;
        }
        if kind.is_marker() {
            return Some(What::Marker(kind, moment.address as u32));
        }
        if kind.is_death() {
            if matches!(kind, Kind::ReallocDeath | Kind::ReallocarrayDeath) {
                let calls = self.under_way.entry(moment.tid).or_default();
                if calls.len() == MOST_NESTED {
                    // The oldest has lost its other half.
                    calls.remove(0);
                }
                calls.push(*moment);
                return None;
            }
            let sized = matches!(kind, Kind::FreeSized | Kind::FreeAlignedSized);
            let call =
                Call::new(kind).with_address(moment.address).with_alignment(self.alignment(moment));
            return Some(What::Call(call.with_size(sized.then_some(moment.size))));
        }
        Some(self.birth(moment))
    }

    /// What a birth completes.
    #[inline]
    fn birth(&mut self, moment: &Moment) -> What {
        let kind = moment.kind;
        let death = self.death_before(moment);
        let reallocation = matches!(kind, Kind::Realloc | Kind::Reallocarray);
        let fresh = reallocation && moment.aux & REALLOC_FRESH != 0;
        let call = Call::new(kind).with_address(moment.address).with_size(moment.size);
        let old = death.map(|death| death.address).or(fresh.then_some(0));
        let call = call
            .with_old_address(old)
            .with_start_ns(death.map(|death| self.clock.unix_ns(death.ticks)));
        What::Call(call.with_alignment(self.alignment(moment)))
    }

    /// The first moment of the reallocation that ends here.
    fn death_before(&mut self, birth: &Moment) -> Option<Moment> {
        let death = match birth.kind {
            Kind::Realloc => Kind::ReallocDeath,
            Kind::Reallocarray => Kind::ReallocarrayDeath,
            _ => return None,
        };
        if birth.aux & REALLOC_FRESH != 0 {
            return None;
        }
        let calls = self.under_way.get_mut(&birth.tid)?;
        calls.pop_if(|last| last.kind == death && last.size == birth.size)
    }

    /// A reallocation of which the second moment is missing.
    fn unfinished_call(&mut self, death: &Moment) -> Call {
        let kind =
            if death.kind == Kind::ReallocDeath { Kind::Realloc } else { Kind::Reallocarray };
        let call = Call::new(kind).with_size(death.size);
        call.with_old_address(death.address).with_start_ns(self.clock.unix_ns(death.ticks))
    }

    /// The alignment that the call asked for, where the function takes one.
    fn alignment(&mut self, moment: &Moment) -> Option<u64> {
        let takes_one = matches!(
            moment.kind,
            Kind::PosixMemalign | Kind::AlignedAlloc | Kind::Memalign | Kind::FreeAlignedSized
        );
        match moment.aux {
            _ if !takes_one => None,
            WIDE_ALIGNMENT => Some(self.odd_alignments.remove(&moment.tid).unwrap_or(0)),
            power => 1u64.checked_shl(power.into()),
        }
    }
}

/// Functions whose calls have an address and a size, a bit for each kind.
const SIZED: u64 = 1 << Kind::Malloc as u8
    | 1 << Kind::Calloc as u8
    | 1 << Kind::Valloc as u8
    | 1 << Kind::Pvalloc as u8
    | 1 << Kind::FreeSized as u8;
/// Functions whose calls have an address, and a size or nothing else.
const PLAIN: u64 = SIZED | 1 << Kind::Free as u8 | 1 << Kind::Cfree as u8;

impl<M: Moments> Iterator for Events<M> {
    type Item = Event;

    #[inline]
    fn next(&mut self) -> Option<Event> {
        self.advance().copied()
    }
}

impl<M: Moments> Events<M> {
    /// Goes on to a reallocation that had not finished by the end of the trace: the latest time at
    /// which that is known.
    #[cold]
    fn advance_unfinished(&mut self) -> bool {
        if self.unfinished.is_none() {
            let mut rest: Vec<Moment> =
                self.under_way.drain().flat_map(|(_, calls)| calls).collect();
            rest.sort_unstable_by_key(|death| (death.ticks, death.tid));
            self.unfinished = Some(rest.into());
        }
        let Some(death) = self.unfinished.as_mut().and_then(VecDeque::pop_front) else {
            return false;
        };
        self.current = self.first_half(&death);
        true
    }
}
