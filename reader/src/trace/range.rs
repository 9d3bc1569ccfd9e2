//! A time range.

/// A time range of a trace, in Unix nanoseconds: events at both of its ends belong to it.
///
/// ```
/// use std::io::Cursor;
/// use mallook_reader::{Events, Range, Source, Trace};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let trace = Trace::open("../tests/golden/v1.trace".as_ref())?;
/// let start = trace.header().realtime_ns;
/// let range = Range { since_ns: Some(start + 250_000), until_ns: None };
/// let mut bytes = Cursor::new(Vec::new());
/// let cut = range.cut(&trace, &mut bytes)?;
/// let (bytes, live) = (bytes.into_inner(), cut.live as usize);
/// let part = Trace::new("part".as_ref(), Source::Bytes(&bytes))?;
/// let later = Events::of(&trace).filter(|event| event.time_ns >= start + 250_000);
/// assert_eq!(Events::of(&part).count(), live + later.count());
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Range {
    /// Its start; `None` for that of the trace.
    pub since_ns: Option<u64>,
    /// Its end; `None` for that of the trace.
    pub until_ns: Option<u64>,
}

impl Range {
    /// The range of a header's words.
    pub(super) fn of_words(since_ns: u64, until_ns: u64) -> Range {
        Range {
            since_ns: (since_ns != 0).then_some(since_ns),
            until_ns: (until_ns != u64::MAX).then_some(until_ns),
        }
    }
}
