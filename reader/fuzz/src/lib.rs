//! Hostile traces, and reading them: shared by the fuzz target and the suite.

pub mod encode;
mod read;
mod short;

pub use read::{read, read_stacks};
pub use short::{expand, shorten};
