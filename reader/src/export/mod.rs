//! Output formats: events as text, csv, JSON Lines, or the lines of the C libmallook.
//!
//! ```
//! use mallook_reader::export::{Exporter, Format, TextBuffer};
//! use mallook_reader::{Events, Trace};
//!
//! # fn main() -> Result<(), mallook_reader::Error> {
//! let traces = [Trace::open("../tests/golden/v1.trace".as_ref())?];
//! let mut exporter = Exporter::new(Format::Csv, &traces);
//! let mut csv = TextBuffer::new();
//! exporter.begin(&mut csv);
//! let mut events = Events::of(&traces[0]);
//! while let Some(event) = events.advance() {
//!     exporter.event(event, &mut csv);
//! }
//! assert_eq!(csv.text(), std::fs::read("../tests/golden/v1.csv").unwrap());
//! # Ok(()) }
//! ```
//!
//! The law of the modules:
//!
//! ```text
//! buffer number       a growing text, and rows of it; numbers as text
//! marks               the texts of marks
//! rows                the times and callers that many rows share
//! csv jsonl           one row a call
//! text sizes          one line an event
//! exporter            one of the formats
//! frames stacks folded  frames; events with their stacks; costs by stack
//! ```

mod buffer;
mod csv;
mod exporter;
mod folded;
mod frames;
mod jsonl;
mod marks;
mod number;
mod rows;
mod sizes;
mod stacks;
mod text;

pub use buffer::TextBuffer;
pub use exporter::{Exporter, Format};
pub use folded::folded;
pub use stacks::StackExporter;
