//! `ctf`: a trace of the Common Trace Format 1.8, with the events of LTTng's wrapper of libc, for
//! babeltrace2 and Trace Compass: a directory of two files, `metadata` and `stream`.
//!
//! The law of the modules:
//!
//! ```text
//! metadata packet     the description of the types; a part of the stream
//! stream              the stream of events
//! ```

mod metadata;
mod packet;
mod stream;

pub use stream::Ctf;
