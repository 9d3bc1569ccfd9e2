//! The call sites and modules that a trace lists.

use mallook_format::ring::BlockCopy;
use mallook_format::{Kind, ModuleSlot, PARITY_SHIFT, Site, SiteSlot, Slot};
use rustc_hash::FxHashMap;

use super::module::{Module, Parts};
use crate::trace::{DamageKind, SiteBlocks, Trace};

/// Modules of a trace at the most: a damaged one may invent any number.
const MOST_MODULES: usize = 1 << 16;

/// A call site, as its slot has it.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    pub address: u64,
    pub module: u32,
    /// Raw [`SiteKind`](mallook_format::SiteKind).
    pub kind: u8,
}

/// The listed call sites and modules.
#[derive(Default)]
pub struct Sites {
    sites: FxHashMap<u32, Listed>,
    modules: FxHashMap<u32, Module>,
}

impl Sites {
    /// Reads all blocks of sites; damaged slots are reported to the trace.
    pub fn of(trace: &Trace) -> Sites {
        let mut sites = Sites::default();
        let header = trace.header();
        let mut copy = Box::new(BlockCopy::EMPTY);
        for block in SiteBlocks::of(trace) {
            if !trace.copy(&block, &mut copy) {
                continue;
            }
            let flags = Slot { word0: block.parity << PARITY_SHIFT, word1: 0 }.flags();
            let mut module = None;
            for (position, &slot) in copy.slots.iter().enumerate() {
                if slot.raw_kind() == 0 {
                    continue;
                }
                let kind = slot.kind().filter(|_| slot.flags() == flags);
                let belongs = kind == Some(Kind::ModuleMore);
                if !belongs {
                    sites.add_module(module.take(), header.executable());
                }
                let is_sound = match kind {
                    Some(Kind::Site) => sites.add(&SiteSlot::of(slot)),
                    Some(Kind::Module) => {
                        module = Some(Parts::of(&ModuleSlot::of(slot)));
                        true
                    }
                    Some(Kind::ModuleMore) => {
                        // One whose module is missing is none.
                        module.as_mut().is_none_or(|parts| parts.add(slot))
                    }
                    _ => false,
                };
                if !is_sound {
                    let found = [slot.word0, slot.word1];
                    trace.report(DamageKind::Slot { found }, block.slot_offset(position));
                }
            }
            sites.add_module(module, header.executable());
        }
        sites
    }

    fn add(&mut self, slot: &SiteSlot) -> bool {
        let &SiteSlot { site, address, kind, module } = slot;
        let listed = Listed { address, module, kind };
        if site.is_listed() {
            self.sites.entry(site.0).or_insert(listed);
        }
        site.is_listed()
    }

    fn add_module(&mut self, parts: Option<Parts>, program: &[u8]) {
        let Some(parts) = parts.filter(|_| self.modules.len() < MOST_MODULES) else { return };
        let number = parts.number;
        if let Some(module) = parts.whole(program) {
            self.modules.entry(number).or_insert(module);
        }
    }

    /// A site, if it is listed.
    pub fn get(&self, site: Site) -> Option<Listed> {
        self.sites.get(&site.0).copied()
    }

    /// The module of a site, if that lies in it.
    pub fn module_of(&self, listed: &Listed) -> Option<&Module> {
        let module = self.modules.get(&listed.module)?;
        module.contains(listed.address).then_some(module)
    }

    /// All sites, by number.
    #[cfg_attr(not(feature = "symbols"), expect(dead_code, reason = "nothing finds names"))]
    pub fn iter(&self) -> impl Iterator<Item = (Site, Listed)> {
        let mut numbers: Vec<_> = self.sites.keys().copied().collect();
        numbers.sort_unstable();
        numbers.into_iter().filter_map(|site| Some((Site(site), self.get(Site(site))?)))
    }
}
