//! The events of one trace.

use std::fmt;

use super::call::Event;
use super::pairing::{Paired, Pairing};
use crate::decode::Moment;
use crate::order::{Causality, Merge};
use crate::stack::Stacks;
use crate::trace::Trace;

/// The events of one trace, by time.
///
/// The memory that lives 250 microseconds after the start:
///
/// ```
/// use std::collections::HashMap;
/// use mallook_reader::{EventKind, Events, Trace};
///
/// # fn main() -> Result<(), mallook_reader::Error> {
/// let trace = Trace::open("../tests/golden/v1.trace".as_ref())?;
/// let moment = trace.header().realtime_ns + 250_000;
/// let mut live = HashMap::new();
/// for event in Events::of(&trace).take_while(|event| event.time_ns <= moment) {
///     let EventKind::Call(call) = event.kind else { continue };
///     if call.failed() {
///         continue;
///     }
///     let released = if call.kind.is_death() { call.address() } else { call.old_address() };
///     released.map(|address| live.remove(&address));
///     if call.kind.is_birth() {
///         live.insert(call.address().unwrap_or(0), call.size().unwrap_or(0));
///     }
/// }
/// assert_eq!(live, HashMap::from([(0x7ff6_3ddf_7010, 300_007)]));
/// # Ok(()) }
/// ```
pub struct Events<'a>(Pairing<Causality<Merge<'a>>>);

impl<'a> Events<'a> {
    /// All events of a trace.
    pub fn of(trace: &'a Trace<'a>) -> Events<'a> {
        Events(Pairing::of(trace, Causality::of(trace, None)))
    }

    /// All events of a trace, with their call stacks.
    ///
    /// The bytes that each function of the program has asked for, if the trace has stacks:
    ///
    /// ```
    /// use mallook_reader::{Events, Stacks, Trace};
    ///
    /// # fn main() -> Result<(), mallook_reader::Error> {
    /// let trace = Trace::open("../tests/golden/v1.trace".as_ref())?;
    /// let stacks = Stacks::of(&trace);
    /// for event in Events::with_stacks(&trace, &stacks) {
    ///     for frame in event.stack.into_iter().flat_map(|stack| stacks.frames(stack)) {
    ///         println!("{:?} at {:#x}", frame.kind, frame.address);
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn with_stacks(trace: &'a Trace<'a>, stacks: &'a Stacks<'a>) -> Events<'a> {
        Events(Pairing::of(trace, Causality::of(trace, Some(stacks))))
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
