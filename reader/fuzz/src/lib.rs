//! Hostile traces, and reading them: shared by the fuzz target and the suite.

pub mod encode;
mod read;
mod short;

pub use read::read;
pub use short::{expand, shorten};
