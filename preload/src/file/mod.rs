//! The file and its growth. Knows no thread.
//!
//! The law of the modules: a module uses only modules of rows above it, and those to the left of it
//! in its row.
//!
//! ```text
//! path inherited   the path of the trace; the parent's trace in a forked child
//! create           a new file
//! descriptor       our descriptor of the file, which the host may close
//! windows          the mappings of a growing file
//! blocks           the open file, and the claims of its blocks
//! ```

pub mod blocks;
pub mod create;
pub mod descriptor;
pub mod inherited;
pub mod path;
pub mod windows;
