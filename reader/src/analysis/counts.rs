//! Counts the events of a trace without ordering them, block by block, on several threads.

use std::collections::BTreeMap;
use std::thread;

use mallook_format::ring::BlockCopy;
use mallook_format::{Kind, SLOTS, Slot};

use super::stacks::{Ends, is_of_stacks};
use super::threads::Threads;
use crate::decode::{self, Moment};
use crate::trace::{Block, Blocks, ClockLine, ClockSync, Trace};

/// Number of raw kinds that a slot can have.
const KINDS: usize = 64;
/// `PTRDIFF_MAX`: no allocator gives more.
const MOST_POSSIBLE: u64 = i64::MAX as u64;
/// Places of a file for each thread at the least.
const SHARE: u64 = 256;

/// The counts of a part of a trace.
#[derive(Default)]
pub struct Counts {
    /// Blocks of events.
    pub blocks: u64,
    /// Calls and markers.
    pub kinds: BTreeMap<Kind, u64>,
    /// The threads.
    pub threads: Threads,
    /// Call moments.
    pub present: u64,
    /// Call moments that newer ones have overwritten.
    pub overwritten: u64,
    /// Sum of the requested sizes, without [`Counts::impossible`] ones.
    pub requested: u64,
    /// Requests of more bytes than a process can have.
    pub impossible: u64,
    /// Births and deaths of addresses.
    pub births: u64,
    pub deaths: u64,
    /// Allocations that returned `NULL`.
    pub failed: u64,
    /// The ticks of the first moment or marker.
    pub oldest: Option<u64>,
    /// The last moment or marker.
    pub newest: Option<Newest>,
    /// The last call of a function that ends the process: its ticks, and the exit code.
    pub exit: Option<(u64, u8)>,
    /// The starts of the blocks on both clocks.
    pub clock_syncs: Vec<ClockSync>,
    /// The line of the clock up to here.
    pub line: ClockLine,
    /// The call stacks.
    pub stacks: Ends,
    /// The first clock sync, as it stands in the file.
    first: Option<ClockSync>,
    opened: u64,
    truncated: bool,
}

/// The last moment or marker of a part.
#[derive(Clone, Copy, Debug)]
pub struct Newest {
    pub ticks: u64,
    pub kind: Kind,
    pub address: u64,
}

impl Counts {
    /// Reads a whole trace once, on at most `threads` threads.
    pub fn of(trace: &Trace, threads: usize) -> Counts {
        let places = trace.places();
        let parts = (threads as u64).min(places / SHARE).max(1);
        let start = |part: u64| 1 + places / parts * part;
        let end = |part: u64| if part + 1 == parts { places + 1 } else { start(part + 1) };
        let mut counts = Counts::default();
        thread::scope(|scope| {
            let others: Vec<_> = (1..parts)
                .map(|part| scope.spawn(move || Counts::between(trace, start(part), end(part))))
                .collect();
            counts = Counts::between(trace, start(0), end(0));
            // Only a panic would leave no result, and nothing panics.
            others.into_iter().filter_map(|other| other.join().ok()).for_each(|o| counts.add(o));
        });
        trace.check_extent(counts.opened, counts.truncated);
        counts
    }

    /// The counts of the blocks at these places.
    fn between(trace: &Trace, start: u64, end: u64) -> Counts {
        let mut counts = Counts::default();
        let mut copy = Box::new(BlockCopy::EMPTY);
        let mut blocks = Blocks::between(trace, start, end);
        for block in blocks.by_ref() {
            let ticks = block.base_ticks.wrapping_sub(block.shift);
            counts.first.get_or_insert(ClockSync { ticks, ..block.clock_sync() });
            counts.block(trace, &block, &mut copy);
        }
        counts.line = blocks.line.clone();
        counts.overwritten = counts.overwritten.saturating_add(blocks.overwritten);
        (counts.opened, counts.truncated) = (blocks.opened, blocks.truncated);
        counts
    }

    fn block(&mut self, trace: &Trace, block: &Block, copy: &mut BlockCopy) {
        self.blocks += 1;
        self.clock_syncs.push(block.clock_sync());
        if trace.copy(block, copy) {
            if trace.may_have_stacks() {
                self.stacks.count(trace, block, copy);
            }
            match Plain::of(copy, block) {
                Some(plain) => {
                    self.add_plain(&plain, copy);
                    if plain.counts[Kind::Exit as usize] != 0 {
                        decode::copied(trace, block, copy, |it, _| self.see_exit(trace, &it));
                    }
                }
                None => decode::copied(trace, block, copy, |moment, decoder| {
                    self.add_moment(&moment, || decoder.thread_name());
                    self.see_exit(trace, &moment);
                }),
            }
        }
        let others = copy.header.totals[(block.parity ^ 1) as usize];
        self.overwritten = self.overwritten.saturating_add(others);
    }

    fn see_exit(&mut self, trace: &Trace, moment: &Moment) {
        // 0: the process was not allowed to ask for its PID.
        if moment.kind == Kind::Exit && [0, trace.pid().into()].contains(&moment.address) {
            self.exit = self.exit.max(Some((moment.ticks, moment.size as u8)));
        }
    }

    fn add_moment(&mut self, moment: &Moment, name: impl FnOnce() -> [u64; 2]) {
        let &Moment { ticks, tid, kind, address, size, .. } = moment;
        if kind.is_prefix() {
            return;
        }
        *self.kinds.entry(kind).or_default() += 1;
        let is_moment = u64::from(kind.is_moment());
        self.threads.add(tid, name, is_moment);
        self.present += is_moment;
        if kind.is_birth() {
            match size > MOST_POSSIBLE {
                true => self.impossible += 1,
                false => self.requested = self.requested.saturating_add(size),
            }
            self.failed += u64::from(address == 0 && size != 0);
        }
        if address != 0 {
            self.births += u64::from(kind.is_birth());
            self.deaths += u64::from(kind.is_death());
        }
        self.see(ticks, Newest { ticks, kind, address });
    }

    fn add_plain(&mut self, plain: &Plain, copy: &BlockCopy) {
        let mut moments = 0;
        for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_prefix()) {
            let count = u64::from(plain.counts[kind as usize]);
            if count != 0 {
                *self.kinds.entry(kind).or_default() += count;
                moments += if kind.is_moment() { count } else { 0 };
                self.births += if kind.is_birth() { count } else { 0 };
                self.deaths += if kind.is_death() { count } else { 0 };
            }
            if kind.is_birth() {
                self.requested = self.requested.saturating_add(plain.sizes[kind as usize]);
            }
        }
        self.present += moments;
        if let Some((oldest, newest)) = plain.span {
            self.threads.add(copy.header.tid(), || copy.header.name, moments);
            self.see(oldest, newest);
        }
    }

    /// Extends the time that is covered.
    fn see(&mut self, oldest: u64, newest: Newest) {
        self.oldest = Some(self.oldest.map_or(oldest, |known| known.min(oldest)));
        if self.newest.is_none_or(|known| known.ticks <= newest.ticks) {
            self.newest = Some(newest);
        }
    }

    /// Adds the counts of a later part.
    fn add(&mut self, mut later: Counts) {
        let shift = later.first.map_or(0, |first| self.line.append(first, &later.line));
        self.first = self.first.or(later.first);
        if shift != 0 {
            let on = |ticks: &mut u64| *ticks = ticks.wrapping_add(shift);
            later.clock_syncs.iter_mut().for_each(|sync| on(&mut sync.ticks));
            later.oldest.iter_mut().for_each(on);
            later.exit.iter_mut().for_each(|(ticks, _)| on(ticks));
            later.newest.iter_mut().for_each(|newest| on(&mut newest.ticks));
        }
        self.blocks += later.blocks;
        for (kind, count) in later.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        self.threads.append(later.threads);
        self.impossible += later.impossible;
        self.births += later.births;
        self.deaths += later.deaths;
        self.present += later.present;
        self.overwritten = self.overwritten.saturating_add(later.overwritten);
        self.requested = self.requested.saturating_add(later.requested);
        self.failed += later.failed;
        self.exit = self.exit.max(later.exit);
        later.oldest.zip(later.newest).inspect(|&(oldest, newest)| self.see(oldest, newest));
        self.clock_syncs.extend(later.clock_syncs);
        self.stacks.append(later.stacks);
        self.opened += later.opened;
        self.truncated |= later.truncated;
    }
}

/// The counts of a plain block: of one thread, undamaged, without a slot that needs more than its
/// kind to be counted. Most blocks are plain, and take a few instructions a slot.
struct Plain {
    counts: [u32; KINDS],
    sizes: [u64; KINDS],
    /// The first ticks, and the last moment or marker.
    span: Option<(u64, Newest)>,
}

impl Plain {
    fn of(copy: &BlockCopy, block: &Block) -> Option<Plain> {
        // A number of slots, above the sum of their sizes, in one word.
        const SIZES: u32 = 48;
        const _: () = assert!((SLOTS as u64) << 32 <= 1 << SIZES, "sums of sizes fit");
        let mut sums = [0u64; KINDS];
        // Every slot has the parity and the reserved bit of this use.
        let expected = Slot { word0: block.parity << mallook_format::PARITY_SHIFT, word1: 0 };
        let mut difference = 0;
        for slot in copy.slots.iter().filter(|slot| slot.word0 != 0) {
            let kind = usize::from(slot.raw_kind());
            sums[kind % KINDS] += (1 << SIZES) + u64::from(slot.size());
            difference |= slot.word0 ^ expected.word0;
            // Of a slot of stacks, that says nothing.
            if slot.address() == 0 && kind < Kind::Stack as usize {
                return None;
            }
        }
        let mut plain = Plain { counts: [0; KINDS], sizes: [0; KINDS], span: None };
        for (raw, sum) in sums.into_iter().enumerate() {
            (plain.counts[raw], plain.sizes[raw]) =
                ((sum >> SIZES) as u32, sum & ((1 << SIZES) - 1));
        }
        let is_plain = |raw: usize| {
            let kind = Kind::from_raw(raw as u8);
            let is_plain = |kind: Kind| {
                !kind.is_prefix() || matches!(kind, Kind::Ticks | Kind::Nanos) || is_of_stacks(kind)
            };
            kind.is_some_and(is_plain)
        };
        let has_flags = Slot { word0: difference, word1: 0 }.flags() == 0;
        if !has_flags || !(0..KINDS).all(|raw| plain.counts[raw] == 0 || is_plain(raw)) {
            return None;
        }
        let has_bases = plain.counts[Kind::Ticks as usize] != 0;
        plain.span = oldest(copy, block, has_bases).zip(newest(copy, block, has_bases));
        Some(plain)
    }
}

/// The kind of a moment or marker.
fn event_kind(slot: &Slot) -> Option<Kind> {
    slot.kind().filter(|kind| !kind.is_prefix())
}

/// The ticks of a slot of a plain block, which `has_bases` other than that of its header, or not.
fn ticks(copy: &BlockCopy, block: &Block, place: usize, has_bases: bool) -> u64 {
    let before = copy.slots[..if has_bases { place } else { 0 }].iter().rev();
    let base = before.copied().find(|slot| slot.kind() == Some(Kind::Ticks)).map(Slot::value);
    let passed = u64::from(copy.slots[place].ticks());
    let base = base.unwrap_or(copy.header.base_ticks).wrapping_add(block.shift);
    // None is earlier than the base, unless the clock was set back meanwhile.
    base.max(block.base_ticks).saturating_add(passed)
}

/// The ticks of the first moment or marker of a plain block.
fn oldest(copy: &BlockCopy, block: &Block, has_bases: bool) -> Option<u64> {
    let place = copy.slots.iter().position(|slot| event_kind(slot).is_some())?;
    Some(ticks(copy, block, place, has_bases))
}

/// The last moment or marker of a plain block.
fn newest(copy: &BlockCopy, block: &Block, has_bases: bool) -> Option<Newest> {
    let place = copy.slots.iter().rposition(|slot| event_kind(slot).is_some())?;
    let slot = &copy.slots[place];
    let ticks = ticks(copy, block, place, has_bases);
    Some(Newest { ticks, kind: event_kind(slot)?, address: slot.address() })
}
