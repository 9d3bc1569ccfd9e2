//! The file and its growth. Knows no thread.
//!
//! The law of the modules: a module uses only modules of rows above it, and those to the left of it
//! in its row.
//!
//! ```text
//! path create control  the path of the trace; a new file; the file that says who starts paused
//! by_name           the file under its name, without a descriptor
//! inherited         the mappings of the parent's trace in a forked child
//! mapping           mappings between pages that nobody may touch
//! growth reserve    the length of the file, ahead of its use; the space of its blocks
//! windows lap       the mappings of a growing file; the first lap of a ring
//! blocks            the open file, and the claims of its blocks
//! sites             the log of call sites and modules
//! ```

pub mod blocks;
pub mod by_name;
pub mod control;
pub mod create;
pub mod growth;
pub mod inherited;
pub mod lap;
pub mod mapping;
pub mod path;
pub mod reserve;
pub mod sites;
pub mod windows;
