//! The slots of a block, taken apart.

use mallook_format::ring::BlockCopy;
use mallook_format::{Kind, PARITY_SHIFT, Slot};

use crate::index::Block;
use crate::{Damage, Trace};

/// One moment or marker of a thread, with everything that its prefixes say. An alignment that is no
/// power of two comes before the moment that it belongs to, as a moment of its own
/// ([`Kind::WideAlignment`], in the place of the address).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When, on the trace's clock.
    pub ticks: u64,
    pub address: u64,
    pub size: u64,
    pub tid: u32,
    pub kind: Kind,
    pub aux: u8,
    /// By how much, and how often, it was put off behind what it had overtaken: 0 if never.
    pub late: u8,
}

const _: () = assert!(size_of::<Moment>() == 32, "moments go from thread to thread");

/// A moment on both clocks: ticks, and `CLOCK_MONOTONIC` nanoseconds.
pub type Tie = (u64, u64);

/// Moments in order of time, and what tells it.
#[derive(Default)]
pub struct Batch {
    pub moments: Vec<Moment>,
    /// Ties up to and including the first one behind the moments.
    pub ties: Vec<Tie>,
}

impl Batch {
    pub fn clear(&mut self) {
        self.moments.clear();
        self.ties.clear();
    }

    /// Takes all of a later one.
    pub fn append(&mut self, later: &mut Batch) {
        self.moments.append(&mut later.moments);
        self.ties.append(&mut later.ties);
    }
}

/// Where moments come from, in order of time.
pub trait Moments {
    /// Appends the next ones; `false` if there are none now.
    fn more(&mut self, batch: &mut Batch) -> bool;
}

/// Takes the slots of one block apart, in order.
pub struct Decoder<'a> {
    copy: &'a BlockCopy,
    parity: u64,
    /// [`Slot::flags`] of a slot of this use.
    flags: u64,
    position: usize,
    tid: u32,
    name: [u64; 2],
    base: u64,
    /// No time of a later slot is earlier.
    earliest: u64,
    wide: Wide,
    /// Slots of the other parity have no business here.
    first_use: bool,
    /// Stop at the first slot that is not written yet.
    stop_at_gap: bool,
}

/// What prefixes have said about the next moment.
#[derive(Clone, Copy, Default)]
struct Wide {
    any: bool,
    size: Option<u64>,
    address: Option<u64>,
}

/// What stands in a slot.
pub enum Step {
    /// A moment or a marker.
    Moment(Moment),
    /// The position of a slot that makes no sense.
    Damaged(usize),
}

impl<'a> Decoder<'a> {
    pub fn new(copy: &'a BlockCopy, block: &Block) -> Decoder<'a> {
        Decoder {
            copy,
            parity: block.parity,
            flags: Slot { word0: block.parity << PARITY_SHIFT, word1: 0 }.flags(),
            position: 0,
            tid: copy.header.tid(),
            name: copy.header.name,
            base: copy.header.base_ticks,
            earliest: 0,
            wide: Wide::default(),
            first_use: block.first_use,
            stop_at_gap: false,
        }
    }

    /// A decoder of a block that is being written: it stops where a slot is missing.
    pub fn until_gap(copy: &'a BlockCopy, block: &Block) -> Decoder<'a> {
        Decoder { stop_at_gap: true, ..Decoder::new(copy, block) }
    }

    /// Ties of ticks and nanoseconds in the block.
    pub fn ties(copy: &BlockCopy, parity: u64) -> impl Iterator<Item = Tie> {
        copy.slots.windows(2).filter_map(move |pair| {
            let is = |slot: Slot, kind| slot.kind() == Some(kind) && slot.parity() == parity;
            let [ticks, nanos] = [pair[0], pair[1]];
            (is(ticks, Kind::Ticks) && is(nanos, Kind::Nanos))
                .then(|| (ticks.value(), nanos.value()))
        })
    }

    #[cold]
    fn prefix(&mut self, kind: Kind, slot: Slot) {
        let value = slot.value();
        self.wide.any = true;
        match kind {
            Kind::Ticks => self.base = value,
            Kind::WideSize => self.wide.size = Some(value),
            Kind::WideAddress => self.wide.address = Some(value),
            Kind::Thread => {
                self.tid = value as u32;
                self.name = [0; 2];
                // What the last owner began and did not finish concerns nobody.
                self.wide = Wide::default();
            }
            Kind::Name => self.name[usize::from(slot.aux() & 1)] = value,
            _ => {}
        }
    }

    /// The name of the thread that the last moment belongs to.
    pub fn thread_name(&self) -> String {
        thread_name(&self.name)
    }

    #[inline]
    fn moment(&mut self, kind: Kind, slot: Slot) -> Moment {
        let wide = self.wide;
        if wide.any {
            self.wide = Wide::default();
        }
        self.earliest = self.earliest.max(self.base.saturating_add(slot.ticks().into()));
        Moment {
            ticks: self.earliest,
            address: wide.address.unwrap_or(slot.address()),
            size: wide.size.unwrap_or(slot.size().into()),
            tid: self.tid,
            kind,
            aux: slot.aux(),
            late: 0,
        }
    }

    #[cold]
    fn alignment(&self, slot: Slot) -> Moment {
        Moment {
            ticks: self.earliest,
            address: slot.value(),
            size: 0,
            tid: self.tid,
            kind: Kind::WideAlignment,
            aux: 0,
            late: 0,
        }
    }
}

impl Iterator for Decoder<'_> {
    type Item = Step;

    #[inline]
    fn next(&mut self) -> Option<Step> {
        while let Some(&slot) = self.copy.slots.get(self.position) {
            let position = self.position;
            self.position += 1;
            if slot.flags() == self.flags
                && let Some(kind) = slot.kind()
            {
                if !kind.is_prefix() {
                    return Some(Step::Moment(self.moment(kind, slot)));
                }
                if kind == Kind::WideAlignment {
                    return Some(Step::Moment(self.alignment(slot)));
                }
                self.prefix(kind, slot);
            } else if slot.raw_kind() == 0 || slot.parity() != self.parity {
                // Not written in this use of the block.
                if self.stop_at_gap {
                    self.position = position;
                    return None;
                }
                if slot.word0 != 0 && (self.first_use || slot.parity() == self.parity) {
                    return Some(Step::Damaged(position));
                }
            } else {
                return Some(Step::Damaged(position));
            }
        }
        None
    }
}

/// The name of a thread, as two words hold it.
pub fn thread_name(name: &[u64; 2]) -> String {
    let bytes: &[u8] = bytemuck::cast_slice(name);
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Copies a block and hands on its moments; slots that make no sense are reported to the trace.
pub fn moments(trace: &Trace, block: &Block, copy: &mut BlockCopy, mut each: impl FnMut(Moment)) {
    if trace.copy(block, copy) {
        copied(trace, block, copy, |moment, _| each(moment));
    }
}

/// Hands on the moments of a block that was copied, as [`moments`].
pub fn copied(
    trace: &Trace,
    block: &Block,
    copy: &BlockCopy,
    mut each: impl FnMut(Moment, &Decoder),
) {
    let mut decoder = Decoder::new(copy, block);
    while let Some(step) = decoder.next() {
        match step {
            Step::Moment(moment) => each(moment, &decoder),
            Step::Damaged(position) => {
                let slot = copy.slots[position];
                trace.report(Damage::new(
                    Trace::slot_offset(block, position),
                    format!("{:#018x} {:#018x}", slot.word0, slot.word1),
                    "a slot of a known kind and of this use of the block",
                ));
            }
        }
    }
}
