//! The part of a run that is missing from its traces, as far as these tell: programs with an allocator of
//! their own, and programs that were started without the library.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mallook_reader::Trace;

use crate::escape::escape;
use crate::run::inspect;

/// More programs, or processes, than this are not named.
const NAMED: usize = 5;

/// The missing parts, a sentence each. That of the `first` program was said before.
pub fn sentences(traces: impl Iterator<Item = Trace<'static>>, first: &OsStr) -> Vec<String> {
    let mut programs = BTreeSet::<PathBuf>::new();
    let mut leaving = Vec::new();
    for trace in traces {
        programs.insert(OsStr::from_bytes(trace.header().executable()).into());
        if trace.unloaded() {
            leaving.push(trace.header().pid);
        }
    }
    let known = inspect::executable(first).and_then(|path| path.canonicalize().ok());
    let others = programs.iter().filter(|path| Some(*path) != known.as_ref());
    let found: Vec<_> = others.filter_map(|path| obstacle(path)).collect();
    let mut sentences: Vec<_> = found.iter().take(NAMED).cloned().collect();
    if found.len() > NAMED {
        sentences.push(format!("and so do {} more programs", found.len() - NAMED));
    }
    if !leaving.is_empty() {
        leaving.sort_unstable();
        let named: Vec<_> = leaving.iter().take(NAMED).map(u32::to_string).collect();
        let more = if leaving.len() > NAMED { ", …" } else { "" };
        sentences.push(format!(
            "programs that were started without LD_PRELOAD in their environment are not recorded \
             (by process {}{more})",
            named.join(", ")
        ));
    }
    sentences
}

fn obstacle(path: &Path) -> Option<String> {
    let obstacle = inspect::own_allocator(path)?;
    Some(format!("{}: {obstacle}", escape(&path.to_string_lossy())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_missing_where_there_is_nothing() {
        assert_eq!(sentences(std::iter::empty(), OsStr::new("true")), Vec::<String>::new());
    }
}
