//! The call stacks of a trace in numbers.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use mallook_format::ring::BlockCopy;
use mallook_format::{Kind, Site, Stacks as Mode};
use rustc_hash::FxHashMap;

use super::names::stacks_name;
use crate::decode::{Decoded, Decoder};
use crate::escape::Shown;
use crate::stack::{Dictionary, FrameKind, Outermost, Stacks};
use crate::trace::{Block, DamageKind, Trace};

/// Ends of stacks that are printed.
const MOST_PRINTED: usize = 10;

/// The call stacks of a trace in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct StackSummary {
    /// How they were taken; `Err` has the raw value of an unknown way.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::serialize::stacks"))]
    pub taken: Result<Mode, u32>,
    /// Allocations that have a stack, and those that have none.
    pub with: u64,
    /// See [`StackSummary::with`].
    pub without: u64,
    /// Releases that have a stack.
    pub releases_with: u64,
    /// Events whose stack reaches the outermost frame of its thread.
    pub complete: u64,
    /// Events whose stack was too deep: its outer frames were cut off.
    pub cut: u64,
    /// Where the other stacks end, the most frequent end first.
    pub ends: Vec<StackEnd>,
}

/// Where call stacks end that are neither complete nor cut.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct StackEnd {
    /// The kind of the outermost frame.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::serialize::frame_kind"))]
    pub kind: FrameKind,
    /// The program or library that it is in, if that is known.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::serialize::optional_path"))]
    pub module: Option<PathBuf>,
    /// Number of events.
    pub events: u64,
}

/// The outermost frames of the stacks of events.
#[derive(Default)]
pub struct Ends {
    /// The number of events by the site of the outermost frame.
    sites: FxHashMap<u32, u64>,
    births: [u64; 2],
    deaths: [u64; 2],
}

impl Ends {
    /// Counts the stacks of a block; those that cannot be are reported to the trace.
    pub fn count(&mut self, trace: &Trace, block: &Block, copy: &BlockCopy) {
        let mut decoder = Decoder::with_stacks(copy, block, Dictionary::new(Outermost));
        // Neighbours mostly end at the same frame.
        let (mut last, mut same) = (0, 0);
        while let Some(decoded) = decoder.next() {
            if let Some(position) = decoder.take_wrong_stack() {
                let slot = copy.slots[position];
                let kind = DamageKind::Stack { found: [slot.word0, slot.word1] };
                trace.report(kind, block.slot_offset(position));
            }
            let Decoded::Moment(moment) = decoded else { continue };
            let site = decoder.stack();
            let has = usize::from(site != 0);
            self.births[has] += u64::from(moment.kind.is_birth());
            self.deaths[has] += u64::from(moment.kind.is_death());
            if site != last {
                self.add(last, std::mem::take(&mut same));
                last = site;
            }
            same += 1;
        }
        self.add(last, same);
    }

    fn add(&mut self, site: u32, events: u64) {
        if site != 0 && events != 0 {
            *self.sites.entry(site).or_default() += events;
        }
    }

    /// Adds the counts of another part of the trace.
    pub fn append(&mut self, other: Ends) {
        other.sites.into_iter().for_each(|(site, events)| self.add(site, events));
        for has in [0, 1] {
            self.births[has] += other.births[has];
            self.deaths[has] += other.deaths[has];
        }
    }

    /// Their summary; `None` where no stacks were taken.
    pub fn summary(&self, trace: &Trace) -> Option<StackSummary> {
        let taken = trace.stacks();
        if taken == Ok(Mode::Off) {
            return None;
        }
        let stacks = Stacks::of(trace);
        let (mut complete, mut cut) = (0, 0);
        let mut ends = BTreeMap::<(&str, Option<PathBuf>), StackEnd>::new();
        for (&site, &events) in &self.sites {
            let frame = stacks.frame(Site(site));
            match frame.kind {
                FrameKind::Outermost => complete += events,
                FrameKind::Cut => cut += events,
                // Of a call alone, nothing outward is known.
                _ if taken == Ok(Mode::Caller) => {}
                kind => {
                    let module = frame.module.map(|module| module.path.clone());
                    let key = (kind.name(), module.clone());
                    let end = ends.entry(key).or_insert(StackEnd { kind, module, events: 0 });
                    end.events += events;
                }
            }
        }
        let mut ends: Vec<_> = ends.into_values().collect();
        ends.sort_by_key(|end| Reverse(end.events));
        let [without, with] = self.births;
        Some(StackSummary {
            taken,
            with,
            without,
            releases_with: self.deaths[1],
            complete,
            cut,
            ends,
        })
    }
}

impl fmt::Display for StackSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.taken {
            Ok(taken) => write!(f, "call stacks: {}", stacks_name(taken))?,
            Err(raw) => write!(f, "call stacks: unknown ({raw})")?,
        }
        writeln!(f, "; {} allocations with, {} without", self.with, self.without)?;
        if self.releases_with != 0 {
            writeln!(f, "releases with call stacks: {}", self.releases_with)?;
        }
        if self.taken == Ok(Mode::Caller) {
            return Ok(());
        }
        writeln!(f, "stacks, complete: {}", self.complete)?;
        writeln!(f, "stacks, cut: {}", self.cut)?;
        let (printed, others) = self.ends.split_at(self.ends.len().min(MOST_PRINTED));
        for StackEnd { kind, module, events } in printed {
            let kind = kind.name();
            match module {
                Some(module) => writeln!(f, "stacks, {kind} in {}: {events}", Shown(module))?,
                None => writeln!(f, "stacks, {kind}: {events}")?,
            }
        }
        if !others.is_empty() {
            let events: u64 = others.iter().map(|end| end.events).sum();
            writeln!(f, "stacks, {} other ends: {events}", others.len())?;
        }
        Ok(())
    }
}

/// The kind of a slot that speaks of stacks alone, so that a block is as plain as without it.
pub const fn is_of_stacks(kind: Kind) -> bool {
    matches!(kind, Kind::Stack | Kind::StackMore | Kind::StackOf)
}
