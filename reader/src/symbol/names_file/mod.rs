//! Names that travel with a trace, for machines that do not have the files of its modules.
//!
//! [`NamesFile`] specifies the format.
//!
//! # The law of the modules
//!
//! ```text
//! line                     a line as JSON
//! writer reader            both directions
//! ```

mod line;
mod reader;
mod writer;

pub use reader::{NamesError, NamesFile};
pub use writer::NamesWriter;
