//! Which events are wanted.

use mallook_format::Kind;

use crate::{Event, What};

/// Which events are wanted. Empty lists and `None` want everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Not before this Unix time in nanoseconds.
    pub since_ns: Option<u64>,
    /// Not after this Unix time in nanoseconds.
    pub until_ns: Option<u64>,
    /// Only these functions, by name.
    pub functions: Vec<String>,
    /// Only these threads.
    pub tids: Vec<u32>,
    /// Only calls with a size of at least so many bytes.
    pub min_size: Option<u64>,
    /// Only calls with a size of at most so many bytes.
    pub max_size: Option<u64>,
}

impl Filter {
    /// The event is wanted. Markers have no function and no size: they are wanted when nothing is
    /// asked about those.
    pub fn wants(&self, event: &Event) -> bool {
        let about_calls =
            !self.functions.is_empty() || self.min_size.is_some() || self.max_size.is_some();
        self.since_ns.is_none_or(|since| event.time_ns >= since)
            && !self.is_past(event.time_ns)
            && (self.tids.is_empty() || self.tids.contains(&event.tid))
            && match event.what {
                What::Marker(..) => !about_calls,
                What::Call(call) => self.wants_call(call.kind, call.size()),
            }
    }

    /// Every event is wanted.
    pub fn wants_all(&self) -> bool {
        *self == Filter::default()
    }

    /// No event from this time on is wanted.
    pub fn is_past(&self, time_ns: u64) -> bool {
        self.until_ns.is_some_and(|until| time_ns > until)
    }

    fn wants_call(&self, kind: Kind, size: Option<u64>) -> bool {
        let name = kind.name();
        (self.functions.is_empty() || self.functions.iter().any(|wanted| wanted == name))
            && self.min_size.is_none_or(|min| size.is_some_and(|size| size >= min))
            && self.max_size.is_none_or(|max| size.is_some_and(|size| size <= max))
    }
}
