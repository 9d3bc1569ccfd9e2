//! The events of processes: of one trace, of several, and of a process that still runs.
//!
//! The law of the modules:
//!
//! ```text
//! gap call marks      what is missing; events, calls and markers; marks among moments
//! pending plain       reallocations whose second moment is yet to come; runs of simple calls
//! pairing             moments to events; the two moments of a reallocation become one
//! events              one trace
//! prefetch merged     decoding on other threads; several traces in one order
//! follow              a trace that is being written
//! filter              selects events
//! ```

mod call;
mod events;
mod filter;
mod follow;
mod gap;
mod marks;
mod merged;
mod pairing;
mod pending;
mod plain;
mod prefetch;

pub use call::{Call, Event, EventKind};
pub use events::Events;
pub use filter::Filter;
pub use follow::{Follow, FollowStatus, News, follow};
pub use gap::{Gap, Grouped};
pub use merged::MergedEvents;
pub(crate) use pairing::Paired;
pub use plain::PlainRun;
pub(crate) use prefetch::TraceMoments;
