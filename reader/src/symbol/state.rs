//! How much is known of a module, and why not more.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::module::BuildId;

/// How much is known of a module. Paths are made readable, not exact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// Functions, inlined ones too, and lines, from the debug information of a file.
    Lines {
        /// The file.
        file: String,
    },
    /// Functions only: there is no debug information.
    Functions {
        /// The file that has their names.
        file: String,
    },
    /// Exported functions only: the file is stripped.
    Exported {
        /// The file.
        file: String,
    },
    /// The file is there, and has no names.
    Stripped {
        /// The file.
        file: String,
    },
    /// The file cannot be opened.
    Missing {
        /// The file.
        file: String,
        /// The cause.
        error: String,
    },
    /// The file had been deleted when the process was recorded, and has no build ID.
    Deleted {
        /// The file.
        file: String,
    },
    /// The file is another build.
    Differs {
        /// The file.
        file: String,
        /// Its build ID.
        found: Option<BuildId>,
        /// The one that the process saw.
        expected: Option<BuildId>,
    },
    /// The file has no build ID, and was changed after the process had seen it.
    Changed {
        /// The file.
        file: String,
    },
    /// The file has no build ID, and does not reach as far as the module in the process.
    Elsewhere {
        /// The file.
        file: String,
    },
    /// The file is no ELF file for x86-64, or a damaged one.
    Unreadable {
        /// The file.
        file: String,
        /// The cause.
        error: String,
    },
    /// Code of the kernel.
    Vdso,
    /// Code that is in no file, and nothing names it.
    Anonymous,
    /// Functions that were made at run time, from the map that the process wrote.
    Jit {
        /// The map.
        file: String,
        /// Number of addresses that had several functions, one after the other; they have no name.
        #[serde(default)]
        replaced: u64,
    },
    /// There is no map of the functions that were made at run time, or it cannot be used.
    NoMap {
        /// The map.
        file: String,
        /// The cause.
        error: String,
    },
}

impl State {
    /// There are names.
    pub fn has_names(&self) -> bool {
        use State::{Exported, Functions, Jit, Lines};
        matches!(self, Lines { .. } | Functions { .. } | Exported { .. } | Jit { .. })
    }
}

/// An ID, or that there is none.
struct Id<'a>(&'a Option<BuildId>);

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(id) => id.fmt(f),
            None => f.write_str("none"),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Lines { file } => write!(f, "functions and lines from {file}"),
            State::Functions { file } => write!(f, "no debug information; functions from {file}"),
            State::Exported { file } => {
                write!(f, "no debug information; exported functions from {file}")
            }
            State::Stripped { file } => write!(f, "{file} has no names"),
            State::Missing { file, error } => write!(f, "cannot open {file}: {error}"),
            State::Deleted { file } => write!(f, "{file} was deleted"),
            State::Differs { file, found, expected } => {
                let (found, expected) = (Id(found), Id(expected));
                write!(f, "{file} is another build: build ID {found}, expected {expected}")
            }
            State::Changed { file } => {
                write!(f, "{file} was changed since, and has no build ID")
            }
            State::Elsewhere { file } => {
                write!(f, "{file} is shorter than the module was, and has no build ID")
            }
            State::Unreadable { file, error } => write!(f, "cannot read {file}: {error}"),
            State::Vdso => f.write_str("code of the kernel"),
            State::Anonymous => f.write_str("code in no file"),
            State::Jit { file, replaced: 0 } => write!(f, "functions from {file}"),
            State::Jit { file, replaced } => {
                write!(f, "functions from {file}; {replaced} addresses had several")
            }
            State::NoMap { file, error } => {
                write!(f, "no names for code made at run time: {file}: {error}")
            }
        }
    }
}

/// A file that was found under the right name, and is the wrong one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// The file.
    pub file: String,
    /// The reason for its rejection.
    pub reason: Reason,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.reason)
    }
}

/// The reason why a file is rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// It is another build.
    BuildId {
        /// Its build ID.
        found: Option<BuildId>,
        /// The one that was asked for.
        expected: Option<BuildId>,
    },
    /// It is not the one that the link in the module means.
    Checksum {
        /// Its checksum.
        found: u32,
        /// The one in the link.
        expected: u32,
    },
    /// It cannot be read, or its debug information is damaged.
    Damaged(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::BuildId { found, expected } => {
                write!(f, "build ID {}, expected {}", Id(found), Id(expected))
            }
            Reason::Checksum { found, expected } => {
                write!(f, "checksum {found:08x}, expected {expected:08x}")
            }
            Reason::Damaged(error) => f.write_str(error),
        }
    }
}
