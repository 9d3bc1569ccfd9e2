//! The names of the call sites of a trace.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use mallook_format::Site;
use rustc_hash::FxHashMap;

use super::name::FrameName;
use super::stacks::Stacks;
use crate::symbol::{BuildId, CodeAddress, JitProcess, Module, Names, NamesFile, Symbolizer};

/// The addresses of a module that stacks have, and their names.
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

impl Stacks<'_> {
    /// Names the call sites of the trace: by the first of the files that knows the module, otherwise
    /// by the module itself. What is found is handed on, module by module.
    ///
    /// ```
    /// use mallook_reader::symbol::Symbolizer;
    /// use mallook_reader::{Stacks, Trace};
    ///
    /// # fn main() -> Result<(), mallook_reader::Error> {
    /// let trace = Trace::open("../tests/golden/v1.trace".as_ref())?;
    /// let stacks = Stacks::of(&trace);
    /// stacks.symbolize(&Symbolizer::default(), &[], |module| println!("{}", module.names.state));
    /// // From here on, the frames of stacks have names.
    /// # Ok(()) }
    /// ```
    pub fn symbolize(
        &self,
        symbolizer: &Symbolizer,
        files: &[NamesFile],
        mut found: impl FnMut(ModuleNames),
    ) {
        let mut named = FxHashMap::default();
        for (number, sites) in self.by_module() {
            let module = self.sites().module(number).map(|module| self.module(module));
            let addresses: Vec<_> =
                sites.iter().map(|&(_, address)| CodeAddress::interrupted(address)).collect();
            let process = self.process();
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
            for ((site, _), place) in sites.iter().zip(&names.places) {
                if !place.frames.is_empty() {
                    named.insert(site.0, place.frames.iter().map(FrameName::of).collect());
                }
            }
            found(ModuleNames { module, process, addresses, names });
        }
        self.set_names(named);
    }

    /// The listed sites and their addresses, by module.
    fn by_module(&self) -> BTreeMap<u32, Vec<(Site, u64)>> {
        let mut modules = BTreeMap::<u32, Vec<(Site, u64)>>::new();
        for (site, listed) in self.sites().iter() {
            let number = self.sites().module_of(&listed).map_or(0, |_| listed.module);
            modules.entry(number).or_default().push((site, listed.address));
        }
        modules
    }

    fn module(&self, module: &super::module::Module) -> Module {
        let header = self.trace().header();
        let since = module.seen_ns.saturating_sub(header.monotonic_ns);
        let seen = Duration::from_nanos(header.realtime_ns.saturating_add(since));
        Module {
            path: module.path.clone(),
            build_id: BuildId::new(&module.build_id),
            bias: module.bias,
            ranges: vec![module.start..module.end],
            generation: module.generation,
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
