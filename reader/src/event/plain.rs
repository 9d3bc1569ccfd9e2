//! Calls of simple functions, which are most of them: they have an address, and a size or nothing else.

use std::fmt;

use mallook_format::Kind;

use super::call::{Call, Event, EventKind};
use crate::decode::Moment;
use crate::stack::StackId;
use crate::trace::Converter;

/// Kinds of calls with an address and a size, a bit for each.
const SIZED: u64 = 1 << Kind::Malloc as u8
    | 1 << Kind::Calloc as u8
    | 1 << Kind::Valloc as u8
    | 1 << Kind::Pvalloc as u8
    | 1 << Kind::FreeSized as u8;
/// Kinds of calls with an address, and a size or nothing else.
const PLAIN: u64 = SIZED | 1 << Kind::Free as u8 | 1 << Kind::Cfree as u8;

/// The moment is a whole call of such a function.
#[inline(always)]
fn is_plain(moment: &Moment) -> bool {
    PLAIN & 1 << moment.kind as u8 != 0
}

/// The call of a moment that [`is_plain`], without a branch on its kind.
#[inline(always)]
fn plain_call(moment: &Moment) -> Call {
    let has_size = SIZED & 1 << moment.kind as u8 != 0;
    Call::plain(moment.kind, moment.address, moment.size, has_size)
}

/// The Unix time of these ticks, which may be it already.
#[inline]
pub fn unix_ns(clock: &mut Option<Converter>, ticks: u64) -> u64 {
    clock.as_mut().map_or(ticks, |clock| clock.unix_ns(ticks))
}

/// Calls of simple functions that follow each other in what has been read already, by value: what their reader
/// does not look at is not made. What the loop over them changes is in registers until the run is dropped.
pub struct PlainRun<'a> {
    pub(super) moments: &'a [Moment],
    pub(super) clock: &'a mut Option<Converter>,
    pub(super) state: &'a mut RunState,
    pub(super) now: RunState,
    pub(super) pid: u32,
    pub(super) trace: u32,
}

/// The state that a run goes on from and leaves behind.
#[derive(Clone, Copy, Default)]
pub(super) struct RunState {
    /// The first unread moment of the batch.
    pub first: usize,
    /// The time of the last event.
    pub last_ns: u64,
    /// Moments whose order was repaired.
    pub repairs: u64,
}

impl PlainRun<'_> {
    /// The address of the moment that comes so many moments behind the next one, if it has been read.
    #[inline(always)]
    pub fn address_ahead(&self, distance: usize) -> Option<u64> {
        self.moments.get(self.now.first + distance).map(|moment| moment.address)
    }
}

impl Iterator for PlainRun<'_> {
    type Item = Event;

    #[inline(always)]
    fn next(&mut self) -> Option<Event> {
        let first = self.now.first;
        let mut moment = self.moments.get(first)?;
        let (mut next, mut stack) = (first + 1, None);
        if moment.kind == Moment::STACK {
            let of = moment;
            moment = self.moments.get(next)?;
            if moment.tid != of.tid {
                return None;
            }
            (next, stack) = (next + 1, StackId::new(of.address as u32));
        }
        if !is_plain(moment) {
            return None;
        }
        self.now.first = next;
        self.now.repairs += u64::from(moment.late != 0);
        self.now.last_ns = self.now.last_ns.max(unix_ns(self.clock, moment.ticks));
        let (time_ns, tid, kind) =
            (self.now.last_ns, moment.tid, EventKind::Call(plain_call(moment)));
        Some(Event { time_ns, pid: self.pid, tid, trace: self.trace, stack, kind })
    }
}

impl Drop for PlainRun<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        *self.state = self.now;
    }
}

impl fmt::Debug for PlainRun<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moments = self.moments.len().saturating_sub(self.now.first);
        f.debug_struct("PlainRun").field("moments", &moments).finish_non_exhaustive()
    }
}
