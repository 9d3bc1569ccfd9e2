//! Calls and markers, one event each, in the order in which they ended.

use std::collections::VecDeque;

use mallook_format::{Kind, REALLOC_FRESH, WIDE_ALIGNMENT};
use rustc_hash::FxHashMap;

use crate::clock::Converter;
use crate::decode::Moment;
use crate::heap::Heap;
use crate::merge::Merge;
use crate::settle::{Moments, Settle};
use crate::{ClockMap, Trace};

/// Reallocations of one thread that can be under way at once (in nested signal handlers).
const MOST_NESTED: usize = 64;

/// Something that happened in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Unix time in nanoseconds: when the memory was born, died, or the marker was put.
    pub time_ns: u64,
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// An allocation function was called.
    Call(Call),
    /// A marker; the PID is the parent's, the child's or the caller's, or 0.
    Marker(Kind, u32),
}

/// A call of an allocation function. Fields that do not apply are `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The function; for a reallocation the kind of its birth.
    pub kind: Kind,
    /// What was returned or released, 0 for a failure. `None` if the call never ended.
    pub address: Option<u64>,
    /// The requested size in bytes.
    pub size: Option<u64>,
    /// What was reallocated, 0 for nothing. `None` if that moment was overwritten.
    pub old_address: Option<u64>,
    /// The requested alignment in bytes.
    pub alignment: Option<u64>,
    /// When the reallocated memory died, in Unix nanoseconds.
    pub start_ns: Option<u64>,
}

impl Call {
    /// The name of the function.
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// An allocation that returned nothing. `realloc(p, 0)` is none: it may release `p` and return
    /// `NULL`.
    pub fn failed(&self) -> bool {
        let releases = self.size == Some(0) && self.old_address.is_some_and(|old| old != 0);
        self.kind.is_birth() && self.address == Some(0) && !releases
    }
}

/// A moment and what it completes.
pub(crate) struct Step {
    pub moment: Moment,
    /// `None` for the first moment of a reallocation.
    pub event: Option<Event>,
}

/// The events of one trace, in order of time.
pub struct Events<'a, M = Merge<'a>> {
    source: Settle<M>,
    clock: Converter<'a>,
    pid: u32,
    /// Reallocations whose second moment is still to come, innermost last.
    under_way: FxHashMap<u32, Vec<Moment>>,
    unfinished: Option<VecDeque<Moment>>,
    last_ns: u64,
}

impl<'a> Events<'a> {
    /// All events of a trace.
    pub fn of(trace: &'a Trace<'a>) -> Events<'a> {
        let heap = (trace.threads() > 1).then(|| Heap::new(trace.is_complete()));
        Events::new(Merge::new(trace), trace.clock(), trace.header().pid, heap)
    }
}

impl<'a, M: Moments> Events<'a, M> {
    pub(crate) fn new(source: M, clock: &'a ClockMap, pid: u32, heap: Option<Heap>) -> Self {
        Events {
            source: Settle::new(source, heap),
            clock: Converter::new(clock),
            pid,
            under_way: FxHashMap::default(),
            unfinished: None,
            last_ns: 0,
        }
    }

    /// Moments that were put off so far, since they cannot have happened before another one.
    pub fn repairs(&self) -> u64 {
        self.source.repairs()
    }

    pub(crate) fn source_mut(&mut self) -> &mut M {
        self.source.source_mut()
    }

    /// The next event of those that the source has; reallocations that are under way wait.
    pub(crate) fn next_finished(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.step()?.event {
                return Some(event);
            }
        }
    }

    /// The next moment, and the event that it completes.
    pub(crate) fn step(&mut self) -> Option<Step> {
        let moment = self.source.next()?;
        let what = self.happen(&moment);
        let event = what.map(|what| self.event(moment.ticks, moment.tid, what));
        Some(Step { moment, event })
    }

    /// The first moment of a reallocation, as an event of its own.
    pub(crate) fn first_half(&mut self, death: &Moment) -> Event {
        let what = What::Call(unfinished(death, self.clock.unix_ns(death.ticks)));
        self.event(death.ticks, death.tid, what)
    }

    fn event(&mut self, ticks: u64, tid: u32, what: What) -> Event {
        // Times only go back in damaged traces.
        let time_ns = self.clock.unix_ns(ticks).max(self.last_ns);
        self.last_ns = time_ns;
        Event { time_ns, pid: self.pid, tid, what }
    }

    /// Takes note of a moment; the event, unless it is half of one.
    fn happen(&mut self, moment: &Moment) -> Option<What> {
        let kind = moment.kind;
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
            return Some(What::Call(Call {
                kind,
                address: Some(moment.address),
                size: sized.then_some(moment.size),
                old_address: None,
                alignment: alignment(moment),
                start_ns: None,
            }));
        }
        let death = self.death_before(moment);
        if moment.address == 0 && moment.size != 0 {
            self.source.revive(death.map_or(0, |death| death.address));
        }
        let reallocation = matches!(kind, Kind::Realloc | Kind::Reallocarray);
        let fresh = reallocation && moment.aux & REALLOC_FRESH != 0;
        Some(What::Call(Call {
            kind,
            address: Some(moment.address),
            size: Some(moment.size),
            old_address: death.map(|death| death.address).or(fresh.then_some(0)),
            alignment: alignment(moment),
            start_ns: death.map(|death| self.clock.unix_ns(death.ticks)),
        }))
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
}

/// A reallocation of which the second moment is missing.
fn unfinished(death: &Moment, start_ns: u64) -> Call {
    Call {
        kind: if death.kind == Kind::ReallocDeath { Kind::Realloc } else { Kind::Reallocarray },
        address: None,
        size: Some(death.size),
        old_address: Some(death.address),
        alignment: None,
        start_ns: Some(start_ns),
    }
}

/// The alignment that the call asked for, where the function takes one.
fn alignment(moment: &Moment) -> Option<u64> {
    let takes_one = matches!(
        moment.kind,
        Kind::PosixMemalign | Kind::AlignedAlloc | Kind::Memalign | Kind::FreeAlignedSized
    );
    match moment.aux {
        _ if !takes_one => None,
        WIDE_ALIGNMENT => moment.odd_alignment,
        power => 1u64.checked_shl(power.into()),
    }
}

impl<M: Moments> Iterator for Events<'_, M> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if self.unfinished.is_none() {
            if let Some(event) = self.next_finished() {
                return Some(event);
            }
            let mut rest: Vec<Moment> =
                self.under_way.drain().flat_map(|(_, calls)| calls).collect();
            rest.sort_unstable_by_key(|death| (death.ticks, death.tid));
            self.unfinished = Some(rest.into());
        }
        // Not finished at the end of the trace: the latest time at which that is known.
        let death = self.unfinished.as_mut()?.pop_front()?;
        let start_ns = self.clock.unix_ns(death.ticks);
        let call = unfinished(&death, start_ns);
        let time_ns = self.last_ns.max(start_ns);
        Some(Event { time_ns, pid: self.pid, tid: death.tid, what: What::Call(call) })
    }
}
