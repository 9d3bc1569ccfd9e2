//! Calls and markers, one event each, in the order in which they ended.

use std::collections::VecDeque;

use mallook_format::{Kind, REALLOC_FRESH, WIDE_ALIGNMENT};
use rustc_hash::FxHashMap;

use crate::Trace;
use crate::decode::{Moment, Moments};
use crate::merge::Merge;
use crate::settle::Settle;

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
pub struct Events<M> {
    source: M,
    moments: Vec<Moment>,
    /// The first one that was not looked at.
    first: usize,
    /// Moments that came out of order.
    repairs: u64,
    pid: u32,
    /// Reallocations whose second moment is still to come, innermost last.
    under_way: FxHashMap<u32, Vec<Moment>>,
    unfinished: Option<VecDeque<Moment>>,
    last_ns: u64,
}

impl<'a> Events<Settle<Merge<'a>>> {
    /// All events of a trace.
    pub fn of(trace: &'a Trace<'a>) -> Events<Settle<Merge<'a>>> {
        Events::new(Settle::of(trace), trace.header().pid)
    }
}

impl<M: Moments> Events<M> {
    pub(crate) fn new(source: M, pid: u32) -> Self {
        Events {
            source,
            moments: Vec::new(),
            first: 0,
            repairs: 0,
            pid,
            under_way: FxHashMap::default(),
            unfinished: None,
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

    #[inline]
    fn next_moment(&mut self) -> Option<Moment> {
        if self.first == self.moments.len() {
            self.moments.clear();
            self.first = 0;
            self.source.more(&mut self.moments);
        }
        let moment = *self.moments.get(self.first)?;
        self.first += 1;
        self.repairs += u64::from(moment.delays != 0);
        Some(moment)
    }

    /// The next event of those that the source has; reallocations that are under way wait.
    #[inline]
    pub(crate) fn next_finished(&mut self) -> Option<Event> {
        loop {
            let moment = self.next_moment()?;
            if let Some(what) = self.happen(&moment) {
                return Some(self.event(&moment, what));
            }
        }
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
        self.event(death, What::Call(unfinished(death)))
    }

    #[inline]
    fn event(&mut self, moment: &Moment, what: What) -> Event {
        // Times only go back in damaged traces.
        self.last_ns = self.last_ns.max(moment.time_ns);
        Event { time_ns: self.last_ns, pid: self.pid, tid: moment.tid, what }
    }

    /// Takes note of a moment; the event, unless it is half of one.
    #[inline]
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
        Some(self.birth(moment))
    }

    /// What a birth completes.
    #[inline]
    fn birth(&mut self, moment: &Moment) -> What {
        let kind = moment.kind;
        let death = self.death_before(moment);
        let reallocation = matches!(kind, Kind::Realloc | Kind::Reallocarray);
        let fresh = reallocation && moment.aux & REALLOC_FRESH != 0;
        What::Call(Call {
            kind,
            address: Some(moment.address),
            size: Some(moment.size),
            old_address: death.map(|death| death.address).or(fresh.then_some(0)),
            alignment: alignment(moment),
            start_ns: death.map(|death| death.time_ns),
        })
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
fn unfinished(death: &Moment) -> Call {
    Call {
        kind: if death.kind == Kind::ReallocDeath { Kind::Realloc } else { Kind::Reallocarray },
        address: None,
        size: Some(death.size),
        old_address: Some(death.address),
        alignment: None,
        start_ns: Some(death.time_ns),
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
        WIDE_ALIGNMENT => Some(moment.odd_alignment),
        power => 1u64.checked_shl(power.into()),
    }
}

impl<M: Moments> Iterator for Events<M> {
    type Item = Event;

    #[inline]
    fn next(&mut self) -> Option<Event> {
        if self.unfinished.is_none()
            && let Some(event) = self.next_finished()
        {
            return Some(event);
        }
        self.next_unfinished()
    }
}

impl<M: Moments> Events<M> {
    /// Reallocations that had not finished by the end of the trace: the latest time at which that
    /// is known.
    #[cold]
    fn next_unfinished(&mut self) -> Option<Event> {
        if self.unfinished.is_none() {
            let mut rest: Vec<Moment> =
                self.under_way.drain().flat_map(|(_, calls)| calls).collect();
            rest.sort_unstable_by_key(|death| (death.ticks, death.tid));
            self.unfinished = Some(rest.into());
        }
        let death = self.unfinished.as_mut()?.pop_front()?;
        Some(self.event(&death, What::Call(unfinished(&death))))
    }
}
