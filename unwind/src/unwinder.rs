//! The state of a process: the generation of its modules, the sites, and the distinct rules.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::bytes::Memory;
use crate::cfi;
use crate::eh_frame::{self, Fde};
use crate::find::{self, Code, Sources};
use crate::host::Host;
use crate::module::Module;
use crate::ranges::Ranges;
use crate::rule::Rule;
use crate::site::{Kind, Site};
use crate::table::{Entry, RULE_BITS, Table, View};

/// Numbers of rules; the last one stands for a rule that has none.
const RULES: usize = (1 << RULE_BITS) - 1;
/// How often a site that could not be noted is met before it is tried again.
const PATIENCE: u32 = 64;

const FRAME_POINTERS: u32 = 1;
const ONLY_MAPS: u32 = 2;

/// The state that all threads of a process share. All zero is new, so it may lie in memory that the
/// kernel wipes in a forked child, which then starts anew. Nothing here locks.
#[derive(Debug)]
pub struct Unwinder {
    generation: AtomicU32,
    /// Sites with a number so far.
    sites: AtomicU32,
    options: AtomicU32,
    patience: AtomicU32,
    table: Table,
    /// Rules by their numbers; 0 is none yet. No rule is 0: its offset would be.
    rules: [AtomicU32; RULES + 1],
    ranges: Ranges,
}

impl Default for Unwinder {
    fn default() -> Unwinder {
        Unwinder::new()
    }
}

/// A site and its rule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resolved {
    pub site: Site,
    pub rule: Rule,
}

impl Unwinder {
    /// One that knows nothing yet.
    pub const fn new() -> Unwinder {
        Unwinder {
            generation: AtomicU32::new(0),
            sites: AtomicU32::new(0),
            options: AtomicU32::new(0),
            patience: AtomicU32::new(0),
            table: Table::new(),
            rules: [const { AtomicU32::new(0) }; RULES + 1],
            ranges: Ranges::new(),
        }
    }

    /// Takes all code to keep frame pointers, and reads no tables. To be said before the first
    /// capture.
    pub fn use_frame_pointers(&self) {
        // Said again at every event, it costs a load.
        if self.options.load(Ordering::Relaxed) & FRAME_POINTERS == 0 {
            self.options.fetch_or(FRAME_POINTERS, Ordering::Relaxed);
        }
    }

    /// Finds modules as it is done with a glibc before 2.35. To be said before the first capture.
    pub fn use_only_maps(&self) {
        self.options.fetch_or(ONLY_MAPS, Ordering::Relaxed);
    }

    /// A module has gone, and another one may come in its place: what is known of addresses is
    /// forgotten. To be called after each `dlclose`, before anything can be loaded.
    #[cold]
    pub fn modules_changed(&self) {
        // Release: with the acquire in `generation`: who sees the new one may find old entries in
        // the table, but none that match.
        self.generation.fetch_add(1, Ordering::Release);
        self.table.clear();
    }

    /// How often modules have gone.
    #[inline(always)]
    pub fn generation(&self) -> u32 {
        // Acquire: with the release in `modules_changed`.
        self.generation.load(Ordering::Acquire)
    }

    /// The number of sites so far.
    pub fn sites(&self) -> u32 {
        self.sites.load(Ordering::Relaxed)
    }

    /// The site of a return address, without a look at the stack.
    #[inline]
    pub fn caller<H: Host>(&self, host: &H, return_address: usize) -> Site {
        let generation = self.generation();
        self.look(host, self.table.view(generation), generation, return_address.wrapping_sub(1))
            .site
    }

    /// The table as it is, for one capture.
    #[inline(always)]
    pub(crate) fn view(&self, generation: u32) -> View {
        self.table.view(generation)
    }

    /// The site and rule of an address that is to be looked up.
    #[inline(always)]
    pub(crate) fn look<H: Host>(
        &self,
        host: &H,
        view: View,
        generation: u32,
        address: usize,
    ) -> Resolved {
        match self.known(host, view, generation, address) {
            Some(resolved) => resolved,
            None => self.resolve(host, generation, address),
        }
    }

    /// The site and rule of an address, if they are known.
    #[inline(always)]
    pub(crate) fn known<H: Host>(
        &self,
        host: &H,
        view: View,
        generation: u32,
        address: usize,
    ) -> Option<Resolved> {
        if view.is_none() {
            return None;
        }
        let entry = view.find(address)?;
        let rule = self.rules.get(entry.rule as usize);
        let rule = rule.map_or(0, |rule| rule.load(Ordering::Relaxed));
        if rule != 0 && entry.site != Site::UNLISTED.0 {
            return Some(Resolved { site: Site(entry.site), rule: Rule(rule) });
        }
        Some(self.known_in_part(host, generation, address, entry))
    }

    /// Finds out about an address; what it is if it is not kept.
    #[inline(always)]
    pub(crate) fn learn<H: Host>(
        &self,
        host: &H,
        generation: u32,
        address: usize,
    ) -> Option<Resolved> {
        let resolved = self.resolve(host, generation, address);
        (!self.table.has(generation, address)).then_some(resolved)
    }

    /// An entry whose rule has no number, or whose site has none.
    #[cold]
    #[inline(never)]
    fn known_in_part<H: Host>(
        &self,
        host: &H,
        generation: u32,
        address: usize,
        entry: Entry,
    ) -> Resolved {
        let rule = self.rules.get(entry.rule as usize).map_or(0, |it| it.load(Ordering::Relaxed));
        let rule = if rule != 0 { Rule(rule) } else { self.rule(host, generation, address) };
        let mut site = Site(entry.site);
        if site == Site::UNLISTED
            && self.patience.fetch_add(1, Ordering::Relaxed) % PATIENCE == PATIENCE - 1
        {
            // It stays in the table as it is: this is one event in many.
            site = self.number(host, generation, address, rule);
        }
        Resolved { site, rule }
    }

    /// Finds out about an address. In two halves: each takes some of the host's stack.
    #[inline(always)]
    pub(crate) fn resolve<H: Host>(&self, host: &H, generation: u32, address: usize) -> Resolved {
        let rule = self.rule(host, generation, address);
        let site = self.note(host, generation, address, rule);
        Resolved { site, rule }
    }

    /// Gives a new site its number, and keeps it.
    #[cold]
    #[inline(never)]
    fn note<H: Host>(&self, host: &H, generation: u32, address: usize, rule: Rule) -> Site {
        if rule == Rule::NOWHERE {
            return Site::BROKEN;
        }
        if self.table.view(generation).is_none() && !self.can_keep(host, generation) {
            // A number that nobody remembers would be used once.
            return Site::UNLISTED;
        }
        let site = self.number(host, generation, address, rule);
        let entry = Entry { site: site.0, rule: self.number_of_rule(rule) };
        // If that generation is over, nobody finds the entry.
        self.table.add(generation, address, entry, &|bytes| host.memory(bytes));
        site
    }

    /// Whether there is a table now.
    fn can_keep<H: Host>(&self, host: &H, generation: u32) -> bool {
        self.table.start(&|bytes| host.memory(bytes));
        !self.table.view(generation).is_none()
    }

    /// A number for a site, noted by the host.
    fn number<H: Host>(&self, host: &H, generation: u32, address: usize, rule: Rule) -> Site {
        let limit = Site::LIMIT.0 - Site::FIRST.0;
        let next = self.sites.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            (used < limit).then_some(used + 1)
        });
        let Ok(used) = next else { return Site::UNLISTED };
        let site = Site(Site::FIRST.0 + used);
        if host.site(site, address, Kind::of(rule), generation) {
            return site;
        }
        // The number can be used again, if nobody has taken the next one.
        let _ = self.sites.compare_exchange(used + 1, used, Ordering::Relaxed, Ordering::Relaxed);
        Site::UNLISTED
    }

    /// The number of a rule, a new one if need be.
    fn number_of_rule(&self, rule: Rule) -> u32 {
        for (number, place) in self.rules.iter().take(RULES).enumerate() {
            let there = place.load(Ordering::Relaxed);
            if there == rule.0 {
                return number as u32;
            }
            if there == 0 {
                // Relaxed: the word is all that there is.
                match place.compare_exchange(0, rule.0, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => return number as u32,
                    Err(other) if other == rule.0 => return number as u32,
                    Err(_) => {}
                }
            }
        }
        RULES as u32
    }

    /// The rule of an address, from the tables of its module.
    #[cold]
    #[inline(never)]
    fn rule<H: Host>(&self, host: &H, generation: u32, address: usize) -> Rule {
        let options = self.options.load(Ordering::Relaxed);
        let sources = Sources {
            loader: host.find_object().filter(|_| options & ONLY_MAPS == 0),
            kernel: host.system_calls(),
        };
        let is_guessed = options & FRAME_POINTERS != 0;
        match find::find(address, &self.ranges, generation, sources) {
            Code::None => Rule::NOWHERE,
            _ if is_guessed => Rule::GUESS,
            Code::Module(module) => of_module(&module, address),
            Code::Written => Rule::GUESS,
            Code::Unknown => Rule::NO_RULE,
        }
    }
}

#[cfg(test)]
impl Unwinder {
    /// Lets an address have this rule, whatever is there.
    pub(crate) fn tell<H: Host>(&self, host: &H, address: usize, rule: Rule) {
        self.note(host, self.generation(), address, rule);
    }
}

/// The rule of an address in a module.
fn of_module(module: &Module, address: usize) -> Rule {
    if let Some(rule) = described(module, address) {
        return rule;
    }
    // The address to which the start function of a coroutine returns is the first one of a
    // function: what is before it belongs to nobody.
    // Other code that nothing describes was generated, as that of interpreters, or is assembly.
    if starts_at(module, address.wrapping_add(1)) { Rule::END } else { Rule::GUESS }
}

/// The rule of an address that the module's tables describe.
#[inline(never)]
fn described(module: &Module, address: usize) -> Option<Rule> {
    let (place, memory) = eh_frame::find(address, module.index, &|address| module.memory(address))?;
    let (rules, is_signal) = cfi::run(place, memory, address)?;
    Some(meaning(&rules, memory, address, is_signal))
}

/// The rule that a program has left.
#[inline(never)]
fn meaning(rules: &cfi::Rules, memory: Memory, address: usize, is_signal: bool) -> Rule {
    Rule::of(&cfi::row(rules, memory, address), is_signal)
}

/// Whether a description starts at this address.
#[inline(never)]
fn starts_at(module: &Module, address: usize) -> bool {
    let found = eh_frame::find(address, module.index, &|address| module.memory(address));
    let fde = found.and_then(|(place, memory)| Fde::parse(memory, place));
    fde.is_some_and(|fde| fde.start == address)
}
