//! Writes a file of names.

use std::io::{self, Write};

use super::line::{End, Line, Owner, VERSION};
use crate::escape::escape_json;
use crate::symbol::module::{CodeAddress, JitProcess, Module};
use crate::symbol::names::Names;

/// Writes names, module by module.
#[derive(Debug)]
pub struct NamesWriter<W> {
    out: W,
    written: End,
}

impl<W: Write> NamesWriter<W> {
    /// Starts a file; `about` says for people what the names belong to.
    pub fn new(out: W, about: &str) -> io::Result<NamesWriter<W>> {
        let mut writer = NamesWriter { out, written: End::default() };
        let about = Some(about.into());
        writer.line(&Line { mallook_symbols: Some(VERSION), about, ..Line::default() })?;
        Ok(writer)
    }

    /// Adds the names of addresses of a module.
    pub fn module(
        &mut self,
        module: &Module,
        addresses: &[CodeAddress],
        names: &Names,
    ) -> io::Result<()> {
        self.names(&module.into(), addresses, names)
    }

    /// Adds the names of functions that a process made while it ran.
    pub fn jit(
        &mut self,
        process: &JitProcess,
        addresses: &[CodeAddress],
        names: &Names,
    ) -> io::Result<()> {
        self.names(&process.into(), addresses, names)
    }

    /// Ends the file.
    pub fn finish(mut self) -> io::Result<W> {
        self.line(&Line { end: Some(self.written), ..Line::default() })?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn names(&mut self, owner: &Owner, addresses: &[CodeAddress], names: &Names) -> io::Result<()> {
        let mut line = Line {
            state: Some(names.state.clone()),
            unverified: names.unverified,
            rejected: names.rejected.clone(),
            ..Line::default()
        };
        owner.write(&mut line);
        self.line(&line)?;
        self.written.modules += 1;
        for (address, place) in addresses.iter().zip(&names.resolved) {
            if place.frames.is_empty() {
                continue;
            }
            self.line(&Line {
                at: Some(format!("{:#x}", place.offset).into()),
                interrupted: address.interrupted,
                frames: place.frames.iter().map(Into::into).collect(),
                ..Line::default()
            })?;
            self.written.addresses += 1;
        }
        Ok(())
    }

    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        let text = serde_json::to_string(line)?;
        self.out.write_all(escape_json(&text).as_bytes())?;
        self.out.write_all(b"\n")
    }
}
