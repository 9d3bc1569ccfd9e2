//! The names of a call site.

use std::sync::Arc;

/// A function, and the place in its source that a frame was at. Names are as the files of the modules
/// have them, control characters included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameName {
    /// The function, demangled; `None` if only its source is known.
    pub function: Option<Arc<str>>,
    /// The distance from its start, where no line is known.
    pub offset: Option<u64>,
    /// The file of its source, as the compiler saw it.
    pub file: Option<Arc<str>>,
    /// The line, from 1 on.
    pub line: Option<u32>,
    /// The column, from 1 on.
    pub column: Option<u32>,
    /// The compiler has put it into the next function.
    pub is_inlined: bool,
}
