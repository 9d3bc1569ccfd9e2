//! Why a file cannot be read as a trace.

use std::path::PathBuf;

use mallook_format::HeaderError;

use crate::escape::Shown;

/// A file that cannot be read as a trace at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be opened, read or mapped.
    #[error("cannot {verb} {}", Shown(path))]
    Io {
        /// The operation that failed: `"open"`, `"read"` or `"map"`.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is something else.
    #[error("{} is no mallook trace", Shown(path))]
    NoTrace {
        /// The file.
        path: PathBuf,
        /// The field of the header that is wrong.
        source: HeaderError,
    },
    /// More bytes than fit came from a pipe, or out of a compressed file.
    #[error("{}: more than {most} bytes, which would have to stay in memory", Shown(path))]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The number of bytes that are accepted.
        most: u64,
    },
}
