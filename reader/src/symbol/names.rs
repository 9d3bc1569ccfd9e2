//! The answer: the functions and lines of an address.

use std::sync::Arc;

use super::state::{Rejected, State};

/// A function, and the line in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Its name, demangled; as it stands in the file, control characters included. None if only
    /// the line is known.
    pub function: Option<Arc<str>>,
    /// Distance from the start of the function; only where no line is known.
    pub offset: Option<u64>,
    /// Its source.
    pub location: Option<Location>,
    /// The compiler has put it into the next frame.
    pub inlined: bool,
}

/// A place in a source file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The path that the compiler saw.
    pub file: Arc<str>,
    /// From 1 on. None: the code belongs to no line.
    pub line: Option<u32>,
    /// From 1 on.
    pub column: Option<u32>,
}

/// The resolution of one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Innermost first: inlined functions, then the one that the address lies in. Empty: no name.
    pub frames: Vec<Frame>,
    /// The address as it is written in the file of the module.
    pub offset: u64,
}

/// The addresses of one module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The knowledge of the module, or the reason why there is none.
    pub state: State,
    /// Neither module nor file has a build ID: the file may be another build.
    pub unverified: bool,
    /// Files that might have known more, but are not the right ones.
    pub rejected: Vec<Rejected>,
    /// One for each address that was asked for, in that order.
    pub resolved: Vec<Resolved>,
}
