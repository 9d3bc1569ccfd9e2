//! What can go wrong, and what was found damaged.

use std::fmt;
use std::path::PathBuf;

use mallook_format::HeaderError;

/// A file that cannot be read as a trace at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be opened or mapped.
    #[error("{}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is something else.
    #[error("{} is no mallook trace", path.display())]
    NoTrace {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        source: HeaderError,
    },
}

/// A part of a trace that could not be read, or only in part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// What is there.
    pub found: String,
    /// What should be.
    pub expected: String,
}

impl Damage {
    pub(crate) fn new(offset: u64, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Damage { offset, found: found.into(), expected: expected.into() }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage { offset, found, expected } = self;
        write!(f, "damaged at offset {offset}: found {found}, expected {expected}")
    }
}
