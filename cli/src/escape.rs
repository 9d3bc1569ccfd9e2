//! Text of others, made harmless for a terminal.

pub use mallook_reader::{escape, escape_json};
