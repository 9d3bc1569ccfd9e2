//! Functions, inlined ones and lines from DWARF.

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::Range;

use addr2line::gimli::{
    AbbreviationsCacheStrategy, DwarfPackageSections, Error, UnitOffset, UnitRef,
};
use addr2line::{Context, LookupContinuation, LookupResult};

use super::demangle::{demangle, is_mangled};
use super::elf::Elf;
use super::guard::check;
use super::interner::Interner;
use super::names::{Frame, Location};
use super::sections::{Bytes, bytes, needed, sections};
use super::split::{Room, Split};

/// The files that hold the debug information of one module.
pub(super) struct Debug<'a> {
    pub main: &'a Elf<'a>,
    /// The part that `dwz` has moved out of several files into one.
    pub shared: Option<&'a Elf<'a>>,
    /// All of `-gsplit-dwarf` in one file.
    pub package: Option<&'a Elf<'a>>,
    /// The code of the module. A linker that drops a function leaves its debug information behind,
    /// and that starts outside.
    pub code: Vec<Range<u64>>,
    /// Size of the main file.
    pub size: u64,
}

/// The known frames of an address.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    /// None if nothing is known.
    pub frames: Vec<Frame>,
    /// The name of the function is the one that a linker sees, so no symbol knows a better one.
    pub is_linked: bool,
}

/// The known frames of each of these addresses, and the damage that was found.
pub(super) fn frames(
    debug: &Debug<'_>,
    addresses: &[u64],
    interner: &mut Interner,
) -> Result<(Vec<Lines>, Option<String>), String> {
    let main = sections(debug.main)?;
    let shared = debug.shared.map(sections).transpose()?;
    let package = debug.package.map(package).transpose()?;
    let mut dwarf = main.borrow_with_sup(shared.as_ref(), |section| bytes(section));
    dwarf.populate_abbreviations_cache(AbbreviationsCacheStrategy::Duplicates);
    check(&dwarf, debug.size, addresses)?;
    let package = package.as_ref().and_then(|it| it.borrow(|it| bytes(it), bytes(&[])).ok());
    let (files, sections) = (Room::new(), Room::new());
    let split = Split { package, files: &files, sections: &sections, opened: Cell::new(0) };
    let context = Context::from_dwarf(dwarf).map_err(|error| error.to_string())?;
    let (mut all, mut damaged) = (Vec::with_capacity(addresses.len()), None);
    for &address in addresses {
        let lines = look_up(&context, &split, &debug.code, address, interner);
        all.push(lines.unwrap_or_else(|error| {
            damaged = Some(error.to_string());
            Lines::default()
        }));
    }
    Ok((all, damaged))
}

/// The sections of a package.
fn package<'a>(elf: &Elf<'a>) -> Result<DwarfPackageSections<Cow<'a, [u8]>>, String> {
    /// A message; the loader of packages wants to make an error of its own, too.
    struct Message(String);
    impl From<Error> for Message {
        fn from(error: Error) -> Message {
            Message(error.to_string())
        }
    }
    DwarfPackageSections::load(|id| needed(elf, id, id.dwo_name()).map_err(Message))
        .map_err(|Message(error)| error)
}

fn look_up<'a>(
    context: &Context<Bytes<'a>>,
    split: &Split<'a, '_>,
    code: &[Range<u64>],
    address: u64,
    interner: &mut Interner,
) -> Result<Lines, Error> {
    let mut frames = complete(context.find_frames(address), split)?;
    let (mut found, mut function, mut is_linked) = (Vec::new(), None, false);
    while let Some(frame) = frames.next()? {
        let location = frame.location.as_ref();
        let location = location.and_then(|it| {
            let column = it.column.filter(|&column| column != 0);
            Some(Location { file: interner.intern(it.file?), line: it.line, column })
        });
        let name = frame.function.as_ref().map(|it| it.raw_name()).transpose()?;
        let name = name.filter(|name| !name.is_empty());
        is_linked = name.as_ref().is_some_and(|name| is_mangled(name));
        found.push(Frame {
            function: name.map(|name| interner.intern(&demangle(&name))),
            offset: None,
            location,
            inlined: true,
        });
        function = frame.dw_die_offset;
    }
    if let Some(outermost) = found.last_mut() {
        outermost.inlined = false;
    }
    if let Some(function) = function
        && let Some(unit) = complete(context.find_dwarf_and_unit(address), split)
        && !is_here(unit, function, code, address)?
    {
        return Ok(Lines::default());
    }
    Ok(Lines { frames: found, is_linked })
}

/// The function at the address starts within the code.
fn is_here(
    unit: UnitRef<'_, Bytes<'_>>,
    function: UnitOffset,
    code: &[Range<u64>],
    address: u64,
) -> Result<bool, Error> {
    let mut ranges = unit.die_ranges(&unit.entry(function)?)?;
    while let Some(range) = ranges.next()? {
        if (range.begin..range.end).contains(&address) {
            return Ok(code.is_empty() || code.iter().any(|code| code.contains(&range.begin)));
        }
    }
    Ok(true)
}

/// The result of a search, for which the files of `-gsplit-dwarf` are opened.
fn complete<'a, L>(mut result: LookupResult<L>, split: &Split<'a, '_>) -> L::Output
where
    L: LookupContinuation<Buf = Bytes<'a>>,
{
    loop {
        result = match result {
            LookupResult::Output(output) => return output,
            LookupResult::Load { load, continuation } => continuation.resume(split.load(&load)),
        };
    }
}
