//! Pairs the two moments of each reallocation, and makes events of moments, in the order in which
//! the calls ended.

use std::collections::VecDeque;

use mallook_format::{DELETE_SIZED, Kind, REALLOC_FRESH, WIDE_ALIGNMENT};
use rustc_hash::FxHashMap;

use super::call::{Call, Event, EventKind};
use super::gap::Gap;
use super::marks::Marks;
use super::pending::{Half, MOST_PENDING, Pending};
use super::plain::{PlainRun, RunState, unix_ns};
use crate::decode::{Batch, Moment, Moments};
use crate::stack::StackId;
use crate::trace::{ClockMap, Converter, Trace};

/// A moment and the event that it completes.
pub struct Paired {
    pub moment: Moment,
    /// `None` for the first moment of a reallocation.
    pub event: Option<Event>,
}

/// The events of one process by time: a lending iterator over moments from a source.
pub struct Pairing<M> {
    source: M,
    batch: Batch,
    run: RunState,
    pid: u32,
    /// The position of the trace among those that are merged.
    trace: u32,
    /// `None` where the ticks of the moments are Unix time already.
    clock: Option<Converter>,
    pending: Pending,
    /// First moments whose second one never came, in the order in which they are emitted.
    unfinished: Option<VecDeque<Half>>,
    /// Moments have call stacks.
    stacks: bool,
    /// The call stack of the next moment, which is one of this thread.
    next_stack: Option<(u32, StackId)>,
    /// The same of threads whose next moment other threads have come before.
    other_stacks: FxHashMap<u32, StackId>,
    current: Event,
    /// Alignments that are no powers of two, of the next call of each thread.
    odd_alignments: FxHashMap<u32, u64>,
    /// Calls that could not be recorded, if that has not been said.
    lost: u64,
    marks: Marks,
}

impl<M: Moments> Pairing<M> {
    /// The events of a trace, whose moments come from `source`.
    pub fn of(trace: &Trace, source: M) -> Self {
        let clock = Converter::new(ClockMap::first(trace));
        Pairing { clock: Some(clock), ..Pairing::timed(trace, source) }
    }

    /// The same, where the ticks of the moments are Unix time in nanoseconds.
    pub fn timed(trace: &Trace, source: M) -> Self {
        let lost = trace.lost().fold(0u64, |sum, (_, count)| sum.saturating_add(count));
        Pairing { lost, marks: Marks::of(trace), ..Pairing::new(source, trace.pid(), None) }
    }

    pub fn new(source: M, pid: u32, clock: Option<Converter>) -> Self {
        Pairing {
            source,
            batch: Batch::default(),
            run: RunState::default(),
            pid,
            trace: 0,
            clock,
            pending: Pending::default(),
            unfinished: None,
            stacks: false,
            next_stack: None,
            other_stacks: FxHashMap::default(),
            current: Event {
                time_ns: 0,
                pid,
                tid: 0,
                trace: 0,
                stack: None,
                kind: EventKind::Marker(Kind::Start, 0),
            },
            odd_alignments: FxHashMap::default(),
            lost: 0,
            marks: Marks::default(),
        }
    }

    /// Says the position of the trace among those that are merged, instead of 0.
    pub fn set_position(&mut self, position: usize) {
        self.trace = position.try_into().unwrap_or(u32::MAX);
    }

    /// Number of moments so far whose order was repaired by causality.
    pub fn repairs(&self) -> u64 {
        self.run.repairs
    }

    pub fn source_mut(&mut self) -> &mut M {
        &mut self.source
    }

    /// Reads a batch if the current one is empty; `false` if there is no moment now.
    #[inline]
    fn fill(&mut self) -> bool {
        self.run.first < self.batch.moments.len() || self.refill()
    }

    #[inline(never)]
    fn refill(&mut self) -> bool {
        self.batch.clear();
        self.run.first = 0;
        let more = self.source.more(&mut self.batch);
        if let Some(clock) = &mut self.clock {
            clock.extend(self.batch.clock_syncs.drain(..));
        }
        if self.marks.is_empty() {
            return more;
        }
        let clock = &mut self.clock;
        self.marks.put(&mut self.batch.moments, !more, |ticks| unix_ns(clock, ticks));
        !self.batch.moments.is_empty()
    }

    fn next_moment(&mut self) -> Option<Moment> {
        if !self.fill() {
            return None;
        }
        let moment = *self.batch.moments.get(self.run.first)?;
        self.run.first += 1;
        self.run.repairs += u64::from(moment.late != 0 && !moment.kind.is_prefix());
        Some(moment)
    }

    /// Goes on to the next event; pending reallocations wait. `false` if there is none now.
    #[inline]
    pub fn advance_finished(&mut self) -> bool {
        loop {
            if !self.fill() {
                return false;
            }
            let plain = self.plain_run().next();
            if let Some(event) = plain {
                self.current = event;
                return true;
            }
            if let Some(Paired { event: Some(event), .. }) = self.next_paired() {
                self.current = event;
                return true;
            }
        }
    }

    /// The calls of simple functions that come next and have been read already; none if there is more to
    /// their stacks than the moment before each of them says.
    #[inline(always)]
    pub fn plain_run(&mut self) -> PlainRun<'_> {
        let is_simple = self.next_stack.is_none() && self.other_stacks.is_empty();
        PlainRun {
            moments: if is_simple { &self.batch.moments } else { &[] },
            clock: &mut self.clock,
            now: self.run,
            state: &mut self.run,
            pid: self.pid,
            trace: self.trace,
        }
    }

    /// Goes on to the next event and lends it: copying costs more than reading.
    #[inline]
    pub fn advance(&mut self) -> Option<&Event> {
        let found = self.unfinished.is_none() && self.advance_finished();
        (found || self.advance_unfinished()).then_some(&self.current)
    }

    /// The event that [`Pairing::advance`] went on to.
    #[inline]
    pub fn current(&self) -> &Event {
        &self.current
    }

    /// The next moment, and the event that it completes.
    pub fn next_paired(&mut self) -> Option<Paired> {
        let moment = self.next_moment()?;
        let mut stack = if moment.kind.is_prefix() {
            if moment.kind == Moment::MARK {
                let event = self.mark(&moment);
                return Some(Paired { moment, event: Some(event) });
            }
            None
        } else {
            self.take_stack(moment.tid)
        };
        let kind = self.apply(&moment, &mut stack);
        let event = kind.map(|kind| self.event(&moment, stack, kind));
        Some(Paired { moment, event })
    }

    /// The call stack of this thread's next moment.
    #[inline]
    fn take_stack(&mut self, tid: u32) -> Option<StackId> {
        if self.stacks { self.find_stack(tid) } else { None }
    }

    fn find_stack(&mut self, tid: u32) -> Option<StackId> {
        match self.next_stack.take() {
            Some((of, stack)) if of == tid => return Some(stack),
            Some((of, stack)) => self.keep_stack(of, stack),
            None => {}
        }
        if self.other_stacks.is_empty() { None } else { self.other_stacks.remove(&tid) }
    }

    fn keep_stack(&mut self, tid: u32, stack: StackId) {
        if self.other_stacks.len() < MOST_PENDING {
            self.other_stacks.insert(tid, stack);
        }
    }

    /// The first moment of a reallocation, as an event of its own.
    pub fn first_half(&mut self, death: &Moment) -> Event {
        let call = self.unfinished_call(death);
        self.event(death, None, EventKind::Call(call))
    }

    #[inline]
    fn event(&mut self, moment: &Moment, stack: Option<StackId>, kind: EventKind) -> Event {
        // Times only go back in damaged traces.
        self.run.last_ns = self.run.last_ns.max(unix_ns(&mut self.clock, moment.ticks));
        let (time_ns, pid, tid, trace) = (self.run.last_ns, self.pid, moment.tid, self.trace);
        Event { time_ns, pid, tid, trace, stack, kind }
    }

    fn mark(&mut self, moment: &Moment) -> Event {
        self.run.last_ns = self.run.last_ns.max(moment.size);
        let kind = EventKind::Marker(Kind::Mark, moment.address as u32);
        let (time_ns, tid) = (self.run.last_ns, moment.tid);
        Event { time_ns, pid: self.pid, tid, trace: self.trace, stack: None, kind }
    }

    /// Applies a moment, which has this call stack; the event, unless the moment is the first half of
    /// one.
    #[inline]
    fn apply(&mut self, moment: &Moment, stack: &mut Option<StackId>) -> Option<EventKind> {
        let kind = moment.kind;
        if kind == Moment::STACK {
            self.stacks = true;
            let next = StackId::new(moment.address as u32).map(|stack| (moment.tid, stack));
            if let Some((of, stack)) = std::mem::replace(&mut self.next_stack, next) {
                self.keep_stack(of, stack);
            }
            return None;
        }
        if kind == Kind::WideAlignment {
            if self.odd_alignments.len() < MOST_PENDING {
                self.odd_alignments.insert(moment.tid, moment.address);
            }
            return None;
        }
        if kind == Moment::GAP {
            return Some(EventKind::Missing(Gap::Overwritten, moment.address));
        }
        if kind.is_marker() {
            return Some(EventKind::Marker(kind, moment.address as u32));
        }
        if kind.is_death() {
            if kind.second_half().is_some() {
                // Where too many wait for their second moment, it is an event of its own.
                let kept = self.pending.keep(Half { death: *moment, stack: *stack });
                return (!kept).then(|| EventKind::Call(self.unfinished_call(moment)));
            }
            let sized = match kind {
                Kind::FreeSized | Kind::FreeAlignedSized | Kind::Sdallocx => true,
                Kind::OperatorDelete | Kind::OperatorDeleteArray => moment.aux & DELETE_SIZED != 0,
                _ => false,
            };
            let call =
                Call::new(kind).with_address(moment.address).with_alignment(self.alignment(moment));
            return Some(EventKind::Call(call.with_size(sized.then_some(moment.size))));
        }
        Some(self.birth(moment, stack))
    }

    /// The call that a birth completes.
    #[inline]
    fn birth(&mut self, moment: &Moment, stack: &mut Option<StackId>) -> EventKind {
        let kind = moment.kind;
        let half = self.pending.take(moment);
        *stack = stack.or(half.and_then(|half| half.stack));
        let death = half.map(|half| half.death);
        let fresh = kind.first_half().is_some() && moment.aux & REALLOC_FRESH != 0;
        let call = Call::new(kind).with_address(moment.address).with_size(moment.size);
        let old = death.map(|death| death.address).or(fresh.then_some(0));
        let call = call
            .with_old_address(old)
            .with_start_ns(death.map(|death| unix_ns(&mut self.clock, death.ticks)));
        EventKind::Call(call.with_alignment(self.alignment(moment)))
    }

    /// A reallocation without its second moment.
    fn unfinished_call(&mut self, death: &Moment) -> Call {
        let kind = death.kind.second_half().unwrap_or(death.kind);
        let call = Call::new(kind).with_size(death.size);
        call.with_old_address(death.address).with_start_ns(unix_ns(&mut self.clock, death.ticks))
    }

    /// The alignment that the call asked for, where the function takes one.
    fn alignment(&mut self, moment: &Moment) -> Option<u64> {
        let (power, always) = match moment.kind {
            Kind::PosixMemalign | Kind::AlignedAlloc | Kind::Memalign | Kind::FreeAlignedSized => {
                (moment.aux, true)
            }
            Kind::OperatorNew
            | Kind::OperatorNewArray
            | Kind::Mallocx
            | Kind::Dallocx
            | Kind::Sdallocx => (moment.aux, false),
            Kind::OperatorDelete | Kind::OperatorDeleteArray => (moment.aux & !DELETE_SIZED, false),
            _ => return None,
        };
        match power {
            0 if !always => None,
            WIDE_ALIGNMENT => Some(self.odd_alignments.remove(&moment.tid).unwrap_or(0)),
            power => 1u64.checked_shl(power.into()),
        }
    }
}

impl<M: Moments> Pairing<M> {
    /// Goes on to a reallocation that had not finished by the end of the trace, where that is
    /// known.
    #[cold]
    fn advance_unfinished(&mut self) -> bool {
        if self.unfinished.is_none() {
            self.unfinished = Some(self.pending.take_rest());
        }
        let Some(half) = self.unfinished.as_mut().and_then(VecDeque::pop_front) else {
            let lost = std::mem::take(&mut self.lost);
            let kind = EventKind::Missing(Gap::Lost, lost);
            self.current = Event {
                time_ns: self.run.last_ns,
                pid: self.pid,
                tid: self.pid,
                trace: self.trace,
                stack: None,
                kind,
            };
            return lost != 0;
        };
        self.current = Event { stack: half.stack, ..self.first_half(&half.death) };
        true
    }
}

#[cfg(test)]
mod tests;
