//! The pauses and marks in the header of a copy, as of the moment of the copy.

use mallook_format::{
    HEADER_WORDS, Kind, MARK_OFFSET, MARK_SIZE, MARKS_OFFSET, Mark, PAUSED_OFFSET, PAUSES_OFFSET,
};

use crate::decode::Moment;
use crate::trace::{ClockMap, Trace};

/// The pauses in the blocks of a copy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pauses {
    begun: u64,
    /// The ticks of the last marker, and whether it begins a pause.
    last: Option<(u64, bool)>,
}

impl Pauses {
    /// Notes a moment of the copy, whose blocks come in any order.
    pub fn see(&mut self, moment: &Moment) {
        let begins = match moment.kind {
            Kind::Paused => true,
            Kind::Resumed => false,
            _ => return,
        };
        self.begun += u64::from(begins);
        if self.last.is_none_or(|(ticks, _)| ticks <= moment.ticks) {
            self.last = Some((moment.ticks, begins));
        }
    }

    /// Puts them into the words of the header. Those that a ring has overwritten are told by `early`, words
    /// from before the moment.
    pub fn put(
        &self,
        trace: &Trace,
        clock: &ClockMap,
        early: &[u64; HEADER_WORDS],
        words: &mut [u64; HEADER_WORDS],
    ) {
        let [paused, pauses] = [PAUSED_OFFSET / 8, PAUSES_OFFSET / 8];
        let (since, before) = match trace.ring_blocks() {
            Some(_) => (early[paused], early[pauses]),
            None => (0, 0),
        };
        words[pauses] = before.max(self.begun);
        words[paused] = match self.last {
            Some((ticks, true)) => trace.monotonic_ns_of(clock.unix_ns(ticks)).max(1),
            Some((_, false)) => 0,
            None => since,
        };
    }
}

/// Takes the marks that are later than this Unix time out of the words of the header.
pub fn leave_out_later_marks(trace: &Trace, until_ns: u64, words: &mut [u64; HEADER_WORDS]) {
    let mut places = 0;
    for (place, words) in (1..).zip(words[MARK_OFFSET / 8..].chunks_exact_mut(MARK_SIZE / 8)) {
        let mark: Mark = bytemuck::pod_read_unaligned(bytemuck::cast_slice(words));
        if mark.is_there() && trace.unix_ns_of(mark.monotonic_ns) <= until_ns {
            places = place;
        } else {
            words.fill(0);
        }
    }
    words[MARKS_OFFSET / 8] = places;
}
