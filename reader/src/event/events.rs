//! The events of one trace.

use std::fmt;

use super::call::Event;
use super::pairing::{Paired, Pairing};
use crate::decode::Moment;
use crate::order::{Causality, Merge};
use crate::trace::Trace;

/// The events of one trace, by time.
pub struct Events<'a>(Pairing<Causality<Merge<'a>>>);

impl<'a> Events<'a> {
    /// All events of a trace.
    pub fn of(trace: &'a Trace<'a>) -> Events<'a> {
        Events(Pairing::of(trace, Causality::of(trace)))
    }

    /// Goes on to the next event and lends it, as a lending iterator does: copying an event, as
    /// [`Iterator::next`] has to, costs more than reading it.
    #[inline]
    pub fn advance(&mut self) -> Option<&Event> {
        self.0.advance()
    }

    /// Number of moments so far whose order was repaired by causality.
    pub fn repairs(&self) -> u64 {
        self.0.repairs()
    }

    /// The next moment, and the event that it completes.
    pub(crate) fn next_paired(&mut self) -> Option<Paired> {
        self.0.next_paired()
    }

    /// The first moment of a reallocation, as an event of its own.
    pub(crate) fn first_half(&mut self, death: &Moment) -> Event {
        self.0.first_half(death)
    }
}

impl Iterator for Events<'_> {
    type Item = Event;

    #[inline]
    fn next(&mut self) -> Option<Event> {
        self.advance().copied()
    }
}

impl fmt::Debug for Events<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
