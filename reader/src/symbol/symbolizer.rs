//! Names of the addresses of a module.

use super::demangle::{demangle, is_mangled, whole};
use super::dwarf::{self, Debug, Lines};
use super::elf::{Elf, Image, executable, has_debug_info};
use super::interner::Interner;
use super::locate::{Found, locate, readable};
use super::module::{CodeAddress, JitProcess, Module};
use super::names::{Frame, Names, Resolved};
use super::options::SymbolOptions;
use super::perf_map;
use super::state::{Reason, Rejected, State};
use super::table::{self, Extent, Symbol};

/// Finds the names of addresses.
///
/// Nothing is kept between two modules, so memory is bounded by the debug information of the largest
/// one.
#[derive(Clone, Debug, Default)]
pub struct Symbolizer {
    options: SymbolOptions,
}

impl Symbolizer {
    /// One that looks in these places.
    pub fn new(options: SymbolOptions) -> Symbolizer {
        Symbolizer { options }
    }

    /// The names of addresses of a module.
    pub fn symbolize(&self, module: &Module, addresses: &[CodeAddress]) -> Names {
        let resolved = addresses.iter().map(|address| Resolved {
            frames: Vec::new(),
            offset: address.value.wrapping_sub(module.bias),
        });
        let mut names = Names {
            state: State::Anonymous,
            unverified: false,
            rejected: Vec::new(),
            resolved: resolved.collect(),
        };
        match module.path.to_str() {
            Some("[vdso]" | "[vsyscall]" | "linux-vdso.so.1") => names.state = State::Vdso,
            Some(path) if path.is_empty() || path.starts_with('[') => {}
            _ => self.look_up(module, addresses, &mut names),
        }
        names
    }

    /// The names of functions that a process made while it ran.
    pub fn symbolize_jit(&self, process: &JitProcess, addresses: &[CodeAddress]) -> Names {
        perf_map::symbolize(&self.options, process, addresses)
    }

    fn look_up(&self, module: &Module, addresses: &[CodeAddress], names: &mut Names) {
        let (mut found, missing) = locate(module, &self.options);
        names.rejected = std::mem::take(&mut found.rejected);
        if let Some(state) = missing {
            names.state = state;
            return;
        }
        names.unverified = module.build_id.is_none();
        // No file has addresses of the kernel.
        let offset = |address: &CodeAddress| {
            module.offset_of(address.within()).filter(|&offset| offset < 1 << 63)
        };
        let offsets: Vec<_> = addresses.iter().map(offset).collect();
        let mut sorted: Vec<_> = offsets.iter().flatten().copied().collect();
        sorted.sort_unstable();
        sorted.dedup();
        let mut search = Search { interner: Interner::default(), offsets: &sorted, names };
        let frames = search.run(&found);
        for ((place, offset), address) in names.resolved.iter_mut().zip(offsets).zip(addresses) {
            let Some(offset) = offset else { continue };
            let Ok(at) = sorted.binary_search(&offset) else { continue };
            place.frames.clone_from(&frames[at]);
            // Symbols are shown with the distance of the address itself, as debuggers do.
            for frame in &mut place.frames {
                let correction = address.value.wrapping_sub(address.within());
                frame.offset = frame.offset.map(|offset| offset + correction);
            }
        }
    }
}

/// The search in the files of one module.
struct Search<'a> {
    interner: Interner,
    /// Sorted.
    offsets: &'a [u64],
    names: &'a mut Names,
}

impl Search<'_> {
    /// The frames of each offset; sets the state.
    fn run(&mut self, found: &Found) -> Vec<Vec<Frame>> {
        let (own, debug) = (parsed(&found.own), parsed(&found.debug));
        let (shared, package) = (parsed(&found.shared), parsed(&found.package));
        let (mut symbols, mut extent, mut file) = (Vec::new(), Extent::None, String::new());
        for (image, elf) in [&debug, &own].into_iter().flatten() {
            if file.is_empty() {
                file = readable(&image.path);
            }
            let has = table::symbols(elf, self.offsets, &mut symbols);
            if has > extent {
                (extent, file) = (has, readable(&image.path));
            }
        }
        self.names.state = match extent {
            Extent::All => State::Functions { file },
            Extent::Exported => State::Exported { file },
            Extent::None => State::Stripped { file },
        };
        let symbols = table::resolve(symbols, self.offsets);
        let mut lines = vec![Lines::default(); self.offsets.len()];
        let with_lines = [&own, &debug].into_iter().flatten().find(|(_, elf)| has_debug_info(elf));
        if let Some((image, main)) = with_lines {
            let code = own.as_ref().map_or_else(Vec::new, |(_, own)| executable(own));
            let debug = Debug {
                main,
                shared: shared.as_ref().map(|(_, elf)| elf),
                package: package.as_ref().map(|(_, elf)| elf),
                code: if code.is_empty() { executable(main) } else { code },
                size: image.size(),
            };
            let file = readable(&image.path);
            match dwarf::frames(&debug, self.offsets, &mut self.interner) {
                Ok((found, damaged)) => {
                    lines = found;
                    self.reject(&file, damaged);
                    self.names.state = State::Lines { file };
                }
                Err(error) => self.reject(&file, Some(error)),
            }
        }
        for ((lines, symbol), &offset) in lines.iter_mut().zip(symbols).zip(self.offsets) {
            if let Some(symbol) = symbol {
                self.complete(lines, symbol, offset);
            }
        }
        lines.into_iter().map(|lines| lines.frames).collect()
    }

    fn reject(&mut self, file: &str, error: Option<String>) {
        let rejected = |error| Rejected { file: file.to_owned(), reason: Reason::Damaged(error) };
        self.names.rejected.extend(error.map(rejected));
    }

    /// Names the function by its symbol, where the debug information does not, or where it leaves out
    /// the name spaces.
    fn complete(&mut self, lines: &mut Lines, symbol: Symbol<'_>, offset: u64) {
        let name = String::from_utf8_lossy(symbol.name);
        let mut function = |name: &str| Some(self.interner.intern(&demangle(name)));
        match lines.frames.last_mut() {
            None => {
                let (function, offset) = (function(&name), Some(offset - symbol.start));
                lines.frames.push(Frame { function, offset, ..Frame::default() });
            }
            Some(outermost) if outermost.function.is_none() => outermost.function = function(&name),
            Some(outermost) if !lines.is_linked && is_mangled(&name) => {
                outermost.function = function(whole(&name));
            }
            Some(_) => {}
        }
    }
}

fn parsed(image: &Option<Image>) -> Option<(&Image, Elf<'_>)> {
    let image = image.as_ref()?;
    Some((image, image.elf().ok()?))
}
