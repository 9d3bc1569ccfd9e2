//! Why a file cannot be read as a trace.

use std::path::PathBuf;

use mallook_format::HeaderError;

/// A file that cannot be read as a trace at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be opened, read or mapped.
    #[error("cannot {verb} {}", path.display())]
    Io {
        /// The operation that failed: `"open"`, `"read"` or `"map"`.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is something else.
    #[error("{} is no mallook trace", path.display())]
    NoTrace {
        /// The file.
        path: PathBuf,
        /// The field of the header that is wrong.
        source: HeaderError,
    },
}
