//! The file that a program cannot be started without: what its `#!` line or its ELF header names.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, ReadCache};

/// The interpreter of a script, or the loader of an ELF file, if it is missing.
pub fn missing(program: &Path) -> Option<PathBuf> {
    let named = if program.is_file() { named(program) } else { None };
    named.filter(|interpreter| !interpreter.exists())
}

fn named(program: &Path) -> Option<PathBuf> {
    let mut start = Vec::new();
    File::open(program).ok()?.take(256).read_to_end(&mut start).ok()?;
    if let Some(line) = start.strip_prefix(b"#!") {
        let line = line.split(|&byte| byte == b'\n').next()?;
        // As the kernel does, which takes the carriage return of other systems for a letter.
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let name = line.split(blank).find(|word| !word.is_empty())?;
        return Some(OsStr::from_bytes(name).into());
    }
    let cache = ReadCache::new(File::open(program).ok()?);
    let header = FileHeader64::<Endianness>::parse(&cache).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, &cache).ok()?;
    let segment = segments.iter().find(|segment| segment.p_type(endian) == PT_INTERP)?;
    let name = segment.interpreter(endian, &cache).ok()??;
    Some(OsStr::from_bytes(name).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing() {
        let sandbox = tempfile::tempdir().unwrap();
        let path = sandbox.path().join("script");
        for (text, expected) in [
            ("#!/no/such/sh -x\n", Some("/no/such/sh")),
            ("#! /bin/sh\r\n", Some("/bin/sh\r")),
            ("#!/bin/sh\n", None),
            ("#!\n", None),
            ("echo", None),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(missing(&path).as_deref(), expected.map(Path::new), "{text:?}");
        }
        let own = std::env::current_exe().unwrap();
        let mut program = std::fs::read(&own).unwrap();
        assert_eq!(missing(&own), None);
        let loader = named(&own).unwrap();
        let bytes = loader.as_os_str().as_bytes();
        let place = program.windows(bytes.len()).position(|found| found == bytes).unwrap();
        program[place + 1] = b'X';
        std::fs::write(&path, program).unwrap();
        assert!(missing(&path).is_some());
        assert_eq!(missing(Path::new("/nonexistent")), None);
    }
}
