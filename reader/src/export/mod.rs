//! Output formats: events as text, csv, JSON Lines, or the lines of the C libmallook.
//!
//! The law of the modules:
//!
//! ```text
//! buffer number       a growing text, and rows of it; numbers as text
//! rows                the times and callers that many rows share
//! csv jsonl           one row a call
//! text sizes          one line an event
//! exporter            one of the formats
//! ```

mod buffer;
mod csv;
mod exporter;
mod jsonl;
mod number;
mod rows;
mod sizes;
mod text;

pub use buffer::TextBuffer;
pub use exporter::{Exporter, Format};
