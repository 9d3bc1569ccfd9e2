//! The names of the call sites of a trace.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use mallook_format::Site;
use rustc_hash::FxHashMap;

use super::name::FrameName;
use super::stacks::Stacks;
use crate::symbol::{BuildId, CodeAddress, JitProcess, Module, Names, NamesFile, Symbolizer};

/// The addresses of a module that stacks have, as they are in its file, and their names.
#[derive(Clone, Debug)]
pub struct ModuleNames {
    /// The module; `None` for code that is in none, which the process may have made.
    pub module: Option<Module>,
    /// The process.
    pub process: JitProcess,
    /// Addresses within instructions.
    pub addresses: Vec<CodeAddress>,
    /// The name of each, and how much is known.
    pub names: Names,
}

/// Code whose addresses are looked up together.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Code {
    /// Builds of a file are the same ones in all traces.
    Build(PathBuf, Vec<u8>),
    /// A file without a build ID may have changed from trace to trace.
    File(PathBuf, usize),
    /// Code in no file.
    Made(usize),
}

/// Addresses that are looked up together.
struct Wanted {
    module: Option<Module>,
    process: JitProcess,
    addresses: Vec<CodeAddress>,
    places: FxHashMap<u64, usize>,
    /// Sites by trace and number, and the place of the address of each.
    sites: Vec<(usize, u32, usize)>,
}

impl Wanted {
    fn add(&mut self, trace: usize, site: Site, address: u64) {
        let next = self.addresses.len();
        let place = *self.places.entry(address).or_insert(next);
        if place == next {
            self.addresses.push(CodeAddress::interrupted(address));
        }
        self.sites.push((trace, site.0, place));
    }
}

impl Stacks<'_> {
    /// Names the call sites of traces: by the first of the files that knows a module, otherwise by the
    /// module itself. A module is looked at once, however many traces have it. What is found is handed
    /// on, module by module.
    ///
    /// ```
    /// use mallook_reader::symbol::Symbolizer;
    /// use mallook_reader::{Stacks, Trace};
    ///
    /// # fn main() -> Result<(), mallook_reader::Error> {
    /// let trace = Trace::open("../tests/golden/v1.trace".as_ref())?;
    /// let stacks = Stacks::of(&trace);
    /// let print = |module: mallook_reader::ModuleNames| println!("{}", module.names.state);
    /// Stacks::symbolize([&stacks], &Symbolizer::default(), &[], print);
    /// // From here on, the frames of stacks have names.
    /// # Ok(()) }
    /// ```
    pub fn symbolize<'s>(
        all: impl IntoIterator<Item = &'s Stacks<'s>>,
        symbolizer: &Symbolizer,
        files: &[NamesFile],
        mut found: impl FnMut(ModuleNames),
    ) {
        let all: Vec<_> = all.into_iter().collect();
        let mut wanted = BTreeMap::new();
        for (position, stacks) in all.iter().enumerate() {
            stacks.add_wanted(position, &mut wanted);
        }
        let mut named: Vec<FxHashMap<u32, Arc<[FrameName]>>> =
            vec![FxHashMap::default(); all.len()];
        for Wanted { module, process, addresses, sites, .. } in wanted.into_values() {
            let names = match &module {
                Some(module) => files
                    .iter()
                    .find_map(|file| file.symbolize(module, &addresses))
                    .unwrap_or_else(|| symbolizer.symbolize(module, &addresses)),
                None => files
                    .iter()
                    .find_map(|file| file.symbolize_jit(&process, &addresses))
                    .unwrap_or_else(|| symbolizer.symbolize_jit(&process, &addresses)),
            };
            let frames = names.resolved.iter().map(|place| &place.frames);
            let frames: Vec<Arc<[FrameName]>> =
                frames.map(|frames| frames.iter().map(FrameName::of).collect()).collect();
            for (trace, site, place) in sites {
                if let Some(frames) = frames.get(place).filter(|frames| !frames.is_empty()) {
                    named[trace].insert(site, frames.clone());
                }
            }
            found(ModuleNames { module, process, addresses, names });
        }
        for (stacks, named) in all.into_iter().zip(named) {
            stacks.set_names(named);
        }
    }

    /// Adds the listed sites to those that are looked up, by their addresses in the files.
    fn add_wanted(&self, trace: usize, wanted: &mut BTreeMap<Code, Wanted>) {
        for (site, listed) in self.sites().iter().filter(|(site, _)| self.wants_name(*site)) {
            let module = self.sites().module_of(&listed);
            let code = match module {
                None => Code::Made(trace),
                Some(module) if module.build_id.is_empty() => {
                    Code::File(module.path.clone(), trace)
                }
                Some(module) => Code::Build(module.path.clone(), module.build_id.clone()),
            };
            let bias = module.map_or(0, |module| module.bias);
            let group = wanted.entry(code).or_insert_with(|| Wanted {
                module: module.map(|module| self.in_file(module)),
                process: self.process(),
                addresses: Vec::new(),
                places: FxHashMap::default(),
                sites: Vec::new(),
            });
            if let (Some(group), Some(module)) = (&mut group.module, module) {
                let range = module.start.wrapping_sub(bias)..module.end.wrapping_sub(bias);
                if !group.ranges.contains(&range) {
                    group.ranges.push(range);
                }
            }
            group.add(trace, site, listed.address.wrapping_sub(bias));
        }
    }

    /// The module with the addresses of its file, and no ranges yet.
    fn in_file(&self, module: &super::module::Module) -> Module {
        let header = self.trace().header();
        let since = module.seen_ns.saturating_sub(header.monotonic_ns);
        let seen = Duration::from_nanos(header.realtime_ns.saturating_add(since));
        Module {
            path: module.path.clone(),
            build_id: BuildId::new(&module.build_id),
            bias: 0,
            ranges: Vec::new(),
            generation: 0,
            seen: UNIX_EPOCH.checked_add(seen),
        }
    }

    fn process(&self) -> JitProcess {
        let started = Duration::from_nanos(self.trace().header().realtime_ns);
        JitProcess {
            pid: self.trace().pid(),
            started: UNIX_EPOCH.checked_add(started),
            ended: None,
        }
    }
}

impl FrameName {
    fn of(frame: &crate::symbol::Frame) -> FrameName {
        let location = frame.location.as_ref();
        FrameName {
            function: frame.function.clone(),
            offset: frame.offset,
            file: location.map(|location| location.file.clone()),
            line: location.and_then(|location| location.line),
            column: location.and_then(|location| location.column),
            is_inlined: frame.inlined,
        }
    }
}
