//! Counts what is in a trace, block by block, on several threads.

use std::collections::BTreeMap;
use std::thread;

use mallook_format::ring::BlockCopy;
use mallook_format::{Kind, SLOTS, Slot};

use crate::Trace;
use crate::decode::{self, Moment, Tie};
use crate::index::{Block, Blocks};

/// Values that the kind of a slot can have.
const KINDS: usize = 64;
/// Places of a file that are worth a thread.
const SHARE: u64 = 256;

/// What is in a part of a trace.
#[derive(Default)]
pub struct Tally {
    /// Blocks of events.
    pub blocks: u64,
    /// Calls and markers.
    pub kinds: BTreeMap<Kind, u64>,
    /// Name and call moments of each thread.
    pub threads: BTreeMap<u32, (String, u64)>,
    /// Call moments.
    pub present: u64,
    /// Call moments that newer ones have overwritten.
    pub overwritten: u64,
    /// Sum of the sizes that were asked for.
    pub requested: u64,
    /// Allocations that returned nothing.
    pub failed: u64,
    /// The last moment or marker.
    pub newest: Option<Newest>,
    /// Where the blocks start on both clocks.
    pub ties: Vec<Tie>,
    opened: u64,
    ragged: bool,
}

/// The last moment or marker of a part.
#[derive(Clone, Copy, Debug)]
pub struct Newest {
    pub ticks: u64,
    pub kind: Kind,
    pub address: u64,
}

impl Tally {
    /// Reads all of a trace once, on so many threads at the most.
    pub fn of(trace: &Trace, threads: usize) -> Tally {
        let places = trace.places();
        let parts = (threads as u64).min(places / SHARE).max(1);
        let start = |part: u64| 1 + places / parts * part;
        let end = |part: u64| if part + 1 == parts { places + 1 } else { start(part + 1) };
        let mut tally = Tally::default();
        thread::scope(|scope| {
            let others: Vec<_> = (1..parts)
                .map(|part| scope.spawn(move || Tally::between(trace, start(part), end(part))))
                .collect();
            tally = Tally::between(trace, start(0), end(0));
            // A thread that is gone without a result has panicked, which none does.
            others.into_iter().filter_map(|other| other.join().ok()).for_each(|o| tally.add(o));
        });
        trace.check_extent(tally.opened, tally.ragged);
        tally
    }

    /// What is in the blocks at these places.
    fn between(trace: &Trace, start: u64, end: u64) -> Tally {
        let mut tally = Tally::default();
        let mut copy = Box::new(BlockCopy::EMPTY);
        let mut blocks = Blocks::between(trace, start, end);
        for block in blocks.by_ref() {
            tally.block(trace, &block, &mut copy);
        }
        tally.overwritten = tally.overwritten.saturating_add(blocks.overwritten);
        (tally.opened, tally.ragged) = (blocks.opened, blocks.ragged);
        tally
    }

    fn block(&mut self, trace: &Trace, block: &Block, copy: &mut BlockCopy) {
        self.blocks += 1;
        self.ties.push((block.base_ticks, block.base_ns));
        if trace.copy(block, copy) {
            match Plain::of(copy, block) {
                Some(plain) => self.add_plain(&plain, copy),
                None => decode::copied(trace, block, copy, |moment, decoder| {
                    self.add_moment(&moment, || decoder.thread_name());
                }),
            }
        }
        let others = copy.header.totals[(block.parity ^ 1) as usize];
        self.overwritten = self.overwritten.saturating_add(others);
    }

    fn add_moment(&mut self, moment: &Moment, name: impl FnOnce() -> String) {
        let &Moment { ticks, tid, kind, address, size, .. } = moment;
        if kind.is_prefix() {
            return;
        }
        *self.kinds.entry(kind).or_default() += 1;
        let (_, events) = self.threads.entry(tid).or_insert_with(|| (name(), 0));
        if kind.is_moment() {
            self.present += 1;
            *events += 1;
        }
        if kind.is_birth() {
            self.requested = self.requested.saturating_add(size);
            self.failed += u64::from(address == 0 && size != 0);
        }
        self.see(Newest { ticks, kind, address });
    }

    fn add_plain(&mut self, plain: &Plain, copy: &BlockCopy) {
        let mut moments = 0;
        for &kind in Kind::ALL.iter().filter(|kind| !kind.is_prefix()) {
            let count = u64::from(plain.counts[kind as usize]);
            if count != 0 {
                *self.kinds.entry(kind).or_default() += count;
                moments += if kind.is_moment() { count } else { 0 };
            }
            if kind.is_birth() {
                self.requested = self.requested.saturating_add(plain.sizes[kind as usize]);
            }
        }
        self.present += moments;
        if let Some(newest) = plain.newest {
            let name = || decode::thread_name(&copy.header.name);
            self.threads.entry(copy.header.tid()).or_insert_with(|| (name(), 0)).1 += moments;
            self.see(newest);
        }
    }

    fn see(&mut self, newest: Newest) {
        if self.newest.is_none_or(|known| known.ticks <= newest.ticks) {
            self.newest = Some(newest);
        }
    }

    /// Takes in what was counted in a later part.
    fn add(&mut self, later: Tally) {
        self.blocks += later.blocks;
        for (kind, count) in later.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        for (tid, (name, events)) in later.threads {
            self.threads.entry(tid).or_insert((name, 0)).1 += events;
        }
        self.present += later.present;
        self.overwritten = self.overwritten.saturating_add(later.overwritten);
        self.requested = self.requested.saturating_add(later.requested);
        self.failed += later.failed;
        later.newest.into_iter().for_each(|newest| self.see(newest));
        self.ties.extend(later.ties);
        self.opened += later.opened;
        self.ragged |= later.ragged;
    }
}

/// A block as most of them are: of one thread, undamaged, without anything that is counted in
/// another way than by its kind. A few instructions a slot.
struct Plain {
    counts: [u32; KINDS],
    sizes: [u64; KINDS],
    newest: Option<Newest>,
}

impl Plain {
    fn of(copy: &BlockCopy, block: &Block) -> Option<Plain> {
        let mut plain = Plain { counts: [0; KINDS], sizes: [0; KINDS], newest: None };
        // The parity and the reserved bit of every slot are those of a moment of this use.
        let expected = Slot { word0: block.parity << mallook_format::PARITY_SHIFT, word1: 0 };
        let mut sound = true;
        for slot in copy.slots.iter().filter(|slot| slot.word0 != 0) {
            let kind = usize::from(slot.raw_kind());
            plain.counts[kind] += 1;
            plain.sizes[kind] += u64::from(slot.size());
            sound &= slot.flags() == expected.flags() && slot.address() != 0;
        }
        let is_plain = |raw: usize| {
            let kind = Kind::from_raw(raw as u8);
            kind.is_some_and(|kind| !kind.is_prefix() || matches!(kind, Kind::Ticks | Kind::Nanos))
        };
        sound &= (0..KINDS).all(|raw| plain.counts[raw] == 0 || is_plain(raw));
        if !sound {
            return None;
        }
        plain.newest = newest(copy);
        Some(plain)
    }
}

/// The last moment or marker of a plain block.
fn newest(copy: &BlockCopy) -> Option<Newest> {
    let of_slot = |slot: &Slot| slot.kind().filter(|kind| !kind.is_prefix());
    let (place, kind) = (0..SLOTS).rev().find_map(|at| Some((at, of_slot(&copy.slots[at])?)))?;
    let before = copy.slots[..place].iter().rev();
    let base = before.copied().find(|slot| slot.kind() == Some(Kind::Ticks)).map(Slot::value);
    let slot = copy.slots[place];
    let ticks = base.unwrap_or(copy.header.base_ticks).saturating_add(slot.ticks().into());
    Some(Newest { ticks, kind, address: slot.address() })
}
