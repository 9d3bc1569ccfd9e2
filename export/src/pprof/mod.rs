//! `pprof`: `profile.proto`, compressed by gzip, with the four values of heap profiles.
//!
//! The law of the modules:
//!
//! ```text
//! profile             the messages, as prost-build makes them from the public part of profile.proto
//! tables              strings, functions, locations and mappings, each once
//! samples             the values of places
//! ```

#[rustfmt::skip]
#[allow(missing_docs, reason = "generated")]
mod profile;
mod samples;
mod tables;

pub use samples::Pprof;
