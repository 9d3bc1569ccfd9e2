//! The error of a header.

use core::fmt;

/// Why the first bytes of a file are not the header of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// Fewer bytes than a header.
    Short {
        /// Number of bytes of the file.
        found: u64,
        /// Number of bytes of a header.
        expected: u64,
    },
    /// A field has a value that this version does not know.
    Field {
        /// The field's name in the specification.
        field: &'static str,
        /// Its offset in the file, in bytes.
        offset: u64,
        /// The value in the file.
        found: u64,
        /// The value that this version expects.
        expected: u64,
    },
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            HeaderError::Short { found, expected } => {
                write!(
                    f,
                    "too short for a trace: found {found} bytes, expected at least {expected}"
                )
            }
            HeaderError::Field { field, offset, found, expected } => {
                write!(f, "{field} at offset {offset}: found {found:#x}, expected {expected:#x}")
            }
        }
    }
}

impl core::error::Error for HeaderError {}
