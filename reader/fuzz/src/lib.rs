//! What the fuzz target and the suite share: hostile traces, and reading them.

mod read;
mod short;

pub use read::read;
pub use short::{expand, shorten};
