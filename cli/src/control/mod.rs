//! Control of running processes, from outside. The law of the modules:
//!
//! ```text
//! words          the words of a trace's header that others may change
//! file           the file that tells programs which start whether they pause
//! ```

pub mod file;
pub mod words;
