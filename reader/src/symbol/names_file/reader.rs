//! Reads a file of names.

use std::collections::HashMap;
use std::io::{self, BufRead};

use rustc_hash::FxBuildHasher;

use super::line::{End, FrameLine, Key, Line, Owner, VERSION, from_at, key};
use crate::symbol::interner::Interner;
use crate::symbol::lines::{LineEnd, read_line};
use crate::symbol::module::{CodeAddress, JitProcess, Module};
use crate::symbol::names::{Frame, Location, Names, Resolved};
use crate::symbol::state::{Rejected, State};

/// The most bytes of a line.
const MOST_LINE: usize = 4 << 20;
/// The most bytes of a file.
const MOST_READ: u64 = 1 << 30;
/// The most frames of a file, each of which takes more memory than its text.
const MOST_FRAMES: usize = 8 << 20;

/// Why there are no names.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NamesError {
    /// The file cannot be read.
    #[error("cannot read the names")]
    Io(#[from] io::Error),
    /// The file is something else.
    #[error("no file of names: the first line has no \"mallook_symbols\"")]
    NoNames,
    /// The file comes from a newer program.
    #[error("names of version {found}, expected at most {VERSION}")]
    Version {
        /// The version of the file.
        found: u64,
    },
}

/// Names that travel with a trace, for machines that do not have the files of its modules.
///
/// The file is text: JSON, one object a line.
///
/// ```text
/// {"mallook_symbols":1,"about":"mallook.out.2052.1795642905.0"}
/// {"module":"/usr/bin/program","build_id":"0fa0…","state":{"kind":"lines","file":"/usr/bin/program"}}
/// {"at":"0x1193","frames":[{"function":"push","file":"/src/a.h","line":7,"column":3,"inlined":true},
///                          {"function":"main","file":"/src/a.c","line":12,"column":5}]}
/// {"at":"0x11b0","interrupted":true,"frames":[{"function":"malloc","offset":17}]}
/// {"jit":2052,"started":1795642905000000000,"state":{"kind":"jit","file":"/tmp/perf-2052.map"}}
/// {"at":"0x7f2d40001193","frames":[{"function":"JS:*f /srv/a.js:1:1","offset":275}]}
/// {"end":{"modules":2,"addresses":3}}
/// ```
///
/// * The first line has the version, and for people the traces that the names belong to.
/// * A module has the path and the build ID that the process saw; a path that is not UTF-8 stands in
///   `path_bytes`, in hexadecimal. `unverified` and `rejected` are left out where false and empty.
/// * An address belongs to the module before it. `at` is the address in the file, a return address
///   unless `interrupted`; in code of a process, the address itself. Frames are innermost first, all
///   members may be missing.
/// * The last line counts. A file without it was not written to its end.
/// * A reader skips lines and members that it does not know. A change that would deceive it makes a
///   new version.
#[derive(Debug, Default)]
pub struct NamesFile {
    owners: HashMap<Owner, Known>,
    /// Number of lines that were skipped.
    skipped: u64,
    /// The first of them, and what is wrong with it.
    first: Option<String>,
    counted: End,
    end: Option<End>,
}

/// The known state and names of an owner of addresses.
#[derive(Debug)]
struct Known {
    state: State,
    unverified: bool,
    rejected: Vec<Rejected>,
    places: HashMap<Key, Vec<Frame>, FxBuildHasher>,
}

impl NamesFile {
    /// Reads a file as far as it goes.
    pub fn read(input: impl BufRead) -> Result<NamesFile, NamesError> {
        let mut input = input.take(MOST_READ);
        let mut reading = Reading::default();
        let (mut line, mut number) = (Vec::new(), 0);
        while let Some(end) = read_line(&mut input, &mut line, MOST_LINE)? {
            number += 1;
            if number == 1 {
                reading.first(&line)?;
                continue;
            }
            let added = match end {
                LineEnd::Line => reading.add(&line),
                LineEnd::File => Err("it ends in the middle".into()),
                LineEnd::Cut => Err(format!("longer than {MOST_LINE} bytes")),
            };
            if let Err(error) = added {
                reading.file.skipped += 1;
                reading.file.first.get_or_insert_with(|| format!("line {number}: {error}"));
            }
        }
        if number == 0 { Err(NamesError::NoNames) } else { Ok(reading.file) }
    }

    /// The missing part: skipped lines, or the end. None: the file is whole.
    pub fn damage(&self) -> Option<String> {
        match (&self.first, self.end) {
            (Some(first), _) => Some(format!("{} lines skipped; {first}", self.skipped)),
            (None, None) => Some("it was not written to its end".to_owned()),
            (None, Some(end)) if end != self.counted => Some(format!(
                "{} modules and {} addresses, expected {} and {}",
                self.counted.modules, self.counted.addresses, end.modules, end.addresses
            )),
            (None, Some(_)) => None,
        }
    }

    /// The names of addresses of a module, if the file knows that build of it.
    pub fn symbolize(&self, module: &Module, addresses: &[CodeAddress]) -> Option<Names> {
        let known = self.owners.get(&module.into())?;
        Some(known.names(addresses, |address| {
            let is_inside = module.offset_of(address.within()).is_some();
            (address.value.wrapping_sub(module.bias), is_inside)
        }))
    }

    /// The names of functions that a process made while it ran, if the file knows the process.
    pub fn symbolize_jit(&self, process: &JitProcess, addresses: &[CodeAddress]) -> Option<Names> {
        let known = self.owners.get(&process.into())?;
        Some(known.names(addresses, |address| (address.value, true)))
    }
}

impl Known {
    fn names(
        &self,
        addresses: &[CodeAddress],
        place: impl Fn(CodeAddress) -> (u64, bool),
    ) -> Names {
        let resolved = addresses.iter().map(|&address| {
            let (offset, is_inside) = place(address);
            let frames = self.places.get(&key(address, offset)).filter(|_| is_inside);
            Resolved { frames: frames.cloned().unwrap_or_default(), offset }
        });
        Names {
            state: self.state.clone(),
            unverified: self.unverified,
            rejected: self.rejected.clone(),
            resolved: resolved.collect(),
        }
    }
}

/// A file of which a part was read.
#[derive(Default)]
struct Reading {
    file: NamesFile,
    interner: Interner,
    /// The owner of the addresses that come.
    owner: Option<Owner>,
    frames: usize,
}

impl Reading {
    fn first(&mut self, line: &[u8]) -> Result<(), NamesError> {
        let line = Line::parse(line).map_err(|_| NamesError::NoNames)?;
        match line.mallook_symbols {
            None | Some(0) => Err(NamesError::NoNames),
            Some(1..=VERSION) => Ok(()),
            Some(found) => Err(NamesError::Version { found }),
        }
    }

    fn add(&mut self, line: &[u8]) -> Result<(), String> {
        let mut line = Line::parse(line)?;
        if let Some(end) = line.end {
            self.file.end = Some(end);
        } else if let Some(at) = &line.at {
            let at = from_at(at).ok_or("\"at\" is no address")?;
            let owner = self.owner.as_ref().ok_or("an address of no module")?;
            let known = self.file.owners.get_mut(owner).ok_or("an address of no module")?;
            self.frames += line.frames.len();
            if self.frames > MOST_FRAMES {
                return Err(format!("more than {MOST_FRAMES} frames"));
            }
            let interner = &mut self.interner;
            let frames = line.frames.iter().map(|frame| read_frame(frame, interner)).collect();
            // The first one counts, as everywhere.
            known.places.entry((at, line.interrupted)).or_insert(frames);
            self.file.counted.addresses += 1;
        } else if line.module.is_some() || line.jit.is_some() {
            self.owner = None;
            let owner = Owner::read(&line).ok_or("\"path_bytes\" is no path")?;
            let state = line.state.take().ok_or("a module without \"state\"")?;
            self.file.owners.entry(owner.clone()).or_insert_with(|| Known {
                state,
                unverified: line.unverified,
                rejected: std::mem::take(&mut line.rejected),
                places: HashMap::default(),
            });
            self.owner = Some(owner);
            self.file.counted.modules += 1;
        }
        Ok(())
    }
}

fn read_frame(line: &FrameLine<'_>, interner: &mut Interner) -> Frame {
    let location = line.file.as_ref().map(|file| Location {
        file: interner.intern(file),
        line: line.line,
        column: line.column,
    });
    Frame {
        function: line.function.as_ref().map(|function| interner.intern(function)),
        offset: line.offset,
        location,
        inlined: line.inlined,
    }
}
