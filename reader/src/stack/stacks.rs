//! A stack's frames.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};

use mallook_format::{Site, SiteKind, Stacks as StackMode};
use rustc_hash::{FxHashMap, FxHashSet};

use super::dictionary::Dictionary;
use super::module::Module;
use super::name::FrameName;
use super::sites::Sites;
use super::trie::{Interning, Trie};
use crate::trace::{DamageKind, Trace};

/// A call stack, by its number in a [`Stacks`]: equal stacks have equal numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct StackId(NonZeroU32);

impl StackId {
    pub(crate) fn new(number: u32) -> Option<StackId> {
        NonZeroU32::new(number).map(StackId)
    }

    /// The number, from 1 on; there are gaps.
    pub fn number(self) -> u32 {
        self.0.get()
    }
}

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// A frame like most.
    Call,
    /// A frame that the kernel has made for a signal: the next one outward was interrupted.
    Signal,
    /// Code without unwind tables: the frame outside of it is a guess, by the frame pointer.
    Guessed,
    /// The outermost frame of a complete stack.
    Outermost,
    /// The outermost frame that is known: nothing says how to go on outward from there.
    NoRule,
    /// The outer frames of a stack that is too deep.
    Cut,
    /// The outer frames that could not be found, since a step outward led nowhere.
    Broken,
    /// A frame whose address could not be recorded.
    Unlisted,
    /// A frame whose address is missing from the file.
    Missing,
}

impl FrameKind {
    /// The kind of a listed frame. A newer recorder's kinds say nothing that matters here.
    fn of(raw: u8) -> FrameKind {
        match SiteKind::from_raw(raw) {
            Some(SiteKind::Call) | None => FrameKind::Call,
            Some(SiteKind::Signal) => FrameKind::Signal,
            Some(SiteKind::Guessed) => FrameKind::Guessed,
            Some(SiteKind::Outermost) => FrameKind::Outermost,
            Some(SiteKind::NoRule) => FrameKind::NoRule,
        }
    }

    /// The kind in one word.
    pub const fn name(self) -> &'static str {
        match self {
            FrameKind::Call => "call",
            FrameKind::Signal => "signal",
            FrameKind::Guessed => "guessed",
            FrameKind::Outermost => "outermost",
            FrameKind::NoRule => "no_rule",
            FrameKind::Cut => "cut",
            FrameKind::Broken => "broken",
            FrameKind::Unlisted => "unlisted",
            FrameKind::Missing => "missing",
        }
    }
}

/// A frame of a call stack, as [`Stacks::frames`] finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its kind.
    pub kind: FrameKind,
    /// The number of its call site in the trace.
    pub site: u32,
    /// An address in the instruction that the frame was at: of a call the last byte of that. 0 where
    /// it is not known.
    pub address: u64,
    /// The program or library that it is in, if that is known.
    pub module: Option<&'a Module>,
    /// The functions that it stands for: those that the compiler has put into others, the innermost
    /// first, and the one that it was called by. Empty if nothing names it, or was asked to.
    pub names: &'a [FrameName],
}

impl Frame<'_> {
    /// The address in the file of the module, as symbol tables have it.
    pub fn address_in_file(&self) -> Option<u64> {
        self.module.map(|module| module.address_in_file(self.address))
    }

    /// The text in the place of a function that nothing names: `libc.so.6+0x2a1ca`, or why there is none.
    /// The name of a file may hold control characters.
    pub fn without_name(&self) -> String {
        match (self.kind, self.module) {
            (FrameKind::Cut, _) => "[further frames cut off]".to_owned(),
            (FrameKind::Broken, _) => "[further frames not found]".to_owned(),
            (FrameKind::Unlisted | FrameKind::Missing, _) => "[unknown]".to_owned(),
            (_, Some(module)) => {
                let path = module.path.to_string_lossy();
                let file = path.rsplit('/').next().unwrap_or_default();
                format!("{file}+{:#x}", module.address_in_file(self.address))
            }
            (_, None) => format!("{:#x}", self.address),
        }
    }
}

/// The call stacks of a trace. Those of events are found as the events are read; equal ones are one.
///
/// ```
/// use std::collections::HashMap;
/// use mallook_reader::{EventKind, Events, FrameKind, Stacks, Trace};
///
/// # fn main() -> Result<(), mallook_reader::Error> {
/// let trace = Trace::open("../tests/golden/v1-stacks.trace".as_ref())?;
/// let stacks = Stacks::of(&trace);
/// let mut bytes = HashMap::new();
/// for event in Events::with_stacks(&trace, &stacks) {
///     if let (EventKind::Call(call), Some(stack)) = (event.kind, event.stack) {
///         *bytes.entry(stack).or_insert(0) += call.size().unwrap_or(0);
///     }
/// }
/// let (most, sum) = bytes.into_iter().max_by_key(|(_, bytes)| *bytes).unwrap();
/// assert_eq!(sum, 50_129);
/// let frames: Vec<_> = stacks.frames(most).collect();
/// let [main, start] = &frames[..] else { panic!("{frames:?}") };
/// assert_eq!(main.address_in_file(), Some(0x1150));
/// assert_eq!(main.module.unwrap().path.to_str(), Some("/opt/golden/program"));
/// assert_eq!(start.kind, FrameKind::Outermost);
/// # Ok(()) }
/// ```
pub struct Stacks<'a> {
    trace: &'a Trace<'a>,
    trie: Arc<Trie>,
    /// The sites that are to have names; `None` for all.
    wanted: Option<FxHashSet<u32>>,
    sites: OnceLock<Sites>,
    /// The sites, read again since the process goes on.
    later: OnceLock<Sites>,
    /// The names of sites.
    names: OnceLock<FxHashMap<u32, Arc<[FrameName]>>>,
    /// Those that were found before.
    known: SiteNames,
}

/// Names of the call sites of a trace, to be used again where that is opened once more.
#[derive(Clone, Debug, Default)]
pub struct SiteNames(FxHashMap<u32, Arc<[FrameName]>>);

impl<'a> Stacks<'a> {
    /// Those of this trace. None is read before it is asked for.
    pub fn of(trace: &'a Trace<'a>) -> Stacks<'a> {
        Stacks::of_trie(trace, Arc::default())
    }

    /// The same, where the stacks of events are found already, as by
    /// [`Follow::with_stacks`](crate::Follow::with_stacks): the trace says what they are made of, as
    /// it was when it was opened.
    pub fn of_trie(trace: &'a Trace<'a>, trie: Arc<Trie>) -> Stacks<'a> {
        Stacks {
            trace,
            trie,
            wanted: None,
            sites: OnceLock::new(),
            later: OnceLock::new(),
            names: OnceLock::new(),
            known: SiteNames::default(),
        }
    }

    /// With names that were found before, and are not looked for again.
    #[must_use]
    pub fn with_names(self, known: SiteNames) -> Stacks<'a> {
        Stacks { known, ..self }
    }

    /// The names that are known now; sites whose names were wanted and not found have none.
    pub fn into_names(self) -> SiteNames {
        let mut known = self.known;
        known.0.extend(self.names.into_inner().into_iter().flatten());
        for site in self.wanted.into_iter().flatten() {
            known.0.entry(site).or_default();
        }
        known
    }

    /// The same, of which only the frames of these stacks are to have names: finding those of all takes
    /// long.
    #[must_use]
    pub fn naming_only(self, stacks: impl IntoIterator<Item = StackId>) -> Stacks<'a> {
        let sites = stacks.into_iter().flat_map(|stack| self.sites_of(stack)).map(|site| site.0);
        let wanted = Some(sites.collect());
        Stacks { wanted, ..self }
    }

    /// The site is to have a name.
    #[cfg_attr(not(feature = "symbols"), expect(dead_code, reason = "nothing finds names"))]
    pub(super) fn wants_name(&self, site: Site) -> bool {
        let is_known = self.known.0.contains_key(&site.0);
        !is_known && self.wanted.as_ref().is_none_or(|wanted| wanted.contains(&site.0))
    }

    /// The frames of a stack, from the innermost on.
    pub fn frames(&self, stack: StackId) -> Frames<'_> {
        Frames { stacks: self, node: stack.number() }
    }

    /// The call sites of a stack, from the innermost on.
    pub(crate) fn sites_of(&self, stack: StackId) -> impl Iterator<Item = Site> {
        let outer = |&(parent, _): &(u32, Site)| self.trie.get(parent);
        std::iter::successors(self.trie.get(stack.number()), outer).map(|(_, site)| site)
    }

    /// A frame by its call site.
    pub(crate) fn frame(&self, site: Site) -> Frame<'_> {
        let nowhere = |kind| Frame { kind, site: site.0, address: 0, module: None, names: &[] };
        match site {
            Site::CUT => return nowhere(FrameKind::Cut),
            Site::BROKEN => return nowhere(FrameKind::Broken),
            Site::UNLISTED => return nowhere(FrameKind::Unlisted),
            _ => {}
        }
        let mut sites = self.sites();
        let mut listed = sites.get(site);
        if listed.is_none() && site.is_listed() {
            sites = self.later.get_or_init(|| self.trace.again(|| Sites::of(self.trace)));
            listed = sites.get(site);
        }
        let Some(listed) = listed else { return nowhere(FrameKind::Missing) };
        Frame {
            kind: FrameKind::of(listed.kind),
            site: site.0,
            address: listed.address,
            module: sites.module_of(&listed),
            names: self.names_of(site),
        }
    }

    fn names_of(&self, site: Site) -> &[FrameName] {
        let found = self.names.get().and_then(|names| names.get(&site.0));
        found.or_else(|| self.known.0.get(&site.0)).map_or(&[], |names| names)
    }

    /// The trace.
    pub fn trace(&self) -> &'a Trace<'a> {
        self.trace
    }

    pub(super) fn sites(&self) -> &Sites {
        self.sites.get_or_init(|| Sites::of(self.trace))
    }

    /// Names the sites, unless they have names.
    #[cfg_attr(not(feature = "symbols"), expect(dead_code, reason = "nothing finds names"))]
    pub(super) fn set_names(&self, names: FxHashMap<u32, Arc<[FrameName]>>) {
        let _ = self.names.set(names);
    }

    /// Reports call sites of the stacks so far that the trace does not list.
    pub(crate) fn check_sites(&self) {
        let nodes = (1..).map_while(|node| self.trie.get(node));
        let sites: BTreeSet<_> = nodes.map(|(_, site)| site).collect();
        let is_missing = |site: &&Site| self.frame(**site).kind == FrameKind::Missing;
        let count = sites.iter().filter(is_missing).count() as u64;
        if count != 0 {
            self.trace.report(DamageKind::MissingSites { count }, self.trace.size());
        }
    }

    /// The stacks of a block that is decoded now.
    pub(crate) fn of_block(&self) -> Dictionary<Interning<'_>> {
        self.trie.of_block()
    }
}

impl fmt::Debug for Stacks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stacks").field("trace", self.trace).finish_non_exhaustive()
    }
}

impl Trace<'_> {
    /// How call stacks were taken; `Err` has the raw value of an unknown way.
    pub fn stacks(&self) -> Result<StackMode, u32> {
        let raw = self.header().stacks;
        StackMode::from_raw(raw).ok_or(raw)
    }

    /// Blocks of events may define call stacks, as far as the header tells.
    pub(crate) fn may_have_stacks(&self) -> bool {
        self.stacks() != Ok(StackMode::Off)
    }
}

/// The frames of a stack, from the innermost on.
#[derive(Clone, Copy, Debug)]
pub struct Frames<'a> {
    stacks: &'a Stacks<'a>,
    node: u32,
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let (parent, site) = self.stacks.trie.get(self.node)?;
        self.node = parent;
        Some(self.stacks.frame(site))
    }
}
