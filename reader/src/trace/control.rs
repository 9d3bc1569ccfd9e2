//! Statements of others about the recording while it went on: pauses, and marks (moments of the run that
//! somebody has named).

use std::fmt;

use mallook_format::{MARK_OFFSET, MARK_SIZE, MARKS};

use super::file::Trace;
use crate::escape::escape;

/// A moment of the run that somebody has named, by `mallook ctl mark` or from inside the program.
///
/// ```
/// use mallook_reader::Trace;
///
/// # fn main() -> Result<(), mallook_reader::Error> {
/// let trace = Trace::open("../tests/golden/v1.trace".as_ref())?;
/// for mark in trace.marks() {
///     println!("{} at {}", mark, mark.time_ns);
/// }
/// # assert!(trace.marks().is_empty());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mark {
    /// Its place among the marks of the trace, as in the event that stands for it: the marker
    /// [`Kind::Mark`](crate::Kind::Mark).
    pub place: u32,
    /// Unix time in nanoseconds.
    pub time_ns: u64,
    /// The text: any bytes, 112 at the most.
    pub text: Vec<u8>,
}

/// The text, made harmless for a terminal.
impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&String::from_utf8_lossy(&self.text)))
    }
}

/// The number of places that this number of marks takes: as many as there are.
fn places_of(asked: u64) -> usize {
    usize::try_from(asked).unwrap_or(MARKS).min(MARKS)
}

impl Trace<'_> {
    /// The number of pauses of the recording so far.
    pub fn pauses(&self) -> u64 {
        self.live().pauses
    }

    /// The Unix time in nanoseconds since which recording pauses, if it does.
    pub fn paused_since(&self) -> Option<u64> {
        (self.live().paused_ns != 0).then(|| self.unix_ns_of(self.live().paused_ns))
    }

    /// Somebody wants recording to pause: the process sees it when it allocates next.
    pub fn is_pause_wanted(&self) -> bool {
        self.live().control.pause
    }

    /// The marks, in the order in which they were made.
    pub fn marks(&self) -> Vec<Mark> {
        self.first_marks(places_of(self.live().marks))
    }

    /// Those that are there by now.
    pub(crate) fn marks_now(&self) -> Vec<Mark> {
        self.first_marks(self.marks_taken())
    }

    /// The places of marks that were taken by now; one may not be written yet.
    pub(crate) fn marks_taken(&self) -> usize {
        places_of(self.live_now().marks)
    }

    fn first_marks(&self, count: usize) -> Vec<Mark> {
        if count == 0 {
            return Vec::new();
        }
        let words = self.source().header_block();
        let bytes = bytemuck::cast_slice::<u64, u8>(&words[MARK_OFFSET / 8..]);
        let mark = |(place, bytes): (u32, &[u8])| {
            let mark: mallook_format::Mark = bytemuck::pod_read_unaligned(bytes);
            mark.is_there().then(|| Mark {
                place,
                time_ns: self.unix_ns_of(mark.monotonic_ns),
                text: mark.text().to_vec(),
            })
        };
        (0..).zip(bytes.chunks_exact(MARK_SIZE)).take(count).filter_map(mark).collect()
    }

    /// The moment of `CLOCK_MONOTONIC` of a Unix time, both in nanoseconds.
    pub(crate) fn monotonic_ns_of(&self, unix_ns: u64) -> u64 {
        let header = self.header();
        let later = unix_ns.saturating_sub(header.realtime_ns);
        let earlier = header.realtime_ns.saturating_sub(unix_ns);
        header.monotonic_ns.saturating_add(later).saturating_sub(earlier)
    }

    /// The Unix time of a moment of `CLOCK_MONOTONIC`, both in nanoseconds.
    pub(crate) fn unix_ns_of(&self, monotonic_ns: u64) -> u64 {
        let header = self.header();
        let later = monotonic_ns.saturating_sub(header.monotonic_ns);
        let earlier = header.monotonic_ns.saturating_sub(monotonic_ns);
        header.realtime_ns.saturating_add(later).saturating_sub(earlier)
    }
}
