//! The decoder of one block.

use mallook_format::ring::BlockCopy;
use mallook_format::{Kind, PARITY_SHIFT, Slot};

use super::moment::Moment;
use crate::stack::{NoStacks, SlotStacks, Stacks};
use crate::trace::{Block, DamageKind, FAR, Trace};

/// Decodes the slots of one block in order, and their stacks where these are wanted.
pub struct Decoder<'a, S = NoStacks> {
    copy: &'a BlockCopy,
    parity: u64,
    /// [`Slot::flags`] of a slot of this use.
    flags: u64,
    position: usize,
    tid: u32,
    name: [u64; 2],
    base: u64,
    /// The offset added to ticks since the clock was set back.
    shift: u64,
    /// No time of a later slot is earlier.
    earliest: u64,
    wide: Wide,
    /// A slot of the other parity is damaged: there was no other use.
    first_use: bool,
    /// Stop at the first slot that is not written yet.
    stop_at_gap: bool,
    stacks: S,
    /// The stack of the last moment, 0 for none.
    stack: u32,
    /// The position of a slot whose stack cannot be.
    wrong_stack: Option<usize>,
}

/// Values from prefixes for the next moment.
#[derive(Clone, Copy, Default)]
struct Wide {
    any: bool,
    size: Option<u64>,
    address: Option<u64>,
}

/// The content of a slot.
pub enum Decoded {
    /// A moment or a marker.
    Moment(Moment),
    /// The position of a damaged slot.
    Damaged(usize),
}

impl<'a> Decoder<'a> {
    pub fn new(copy: &'a BlockCopy, block: &Block) -> Decoder<'a> {
        Decoder::with_stacks(copy, block, NoStacks)
    }
}

impl<'a, S: SlotStacks> Decoder<'a, S> {
    pub fn with_stacks(copy: &'a BlockCopy, block: &Block, stacks: S) -> Decoder<'a, S> {
        Decoder {
            copy,
            parity: block.parity,
            flags: Slot { word0: block.parity << PARITY_SHIFT, word1: 0 }.flags(),
            position: 0,
            tid: copy.header.tid(),
            name: copy.header.name,
            base: copy.header.base_ticks.wrapping_add(block.shift),
            shift: block.shift,
            earliest: 0,
            wide: Wide::default(),
            first_use: block.first_use,
            stop_at_gap: false,
            stacks,
            stack: 0,
            wrong_stack: None,
        }
    }

    /// As of a block that is being written: it stops where a slot is missing.
    pub fn until_gap(self) -> Decoder<'a, S> {
        Decoder { stop_at_gap: true, ..self }
    }

    /// The stack of the last moment, by the number of whoever knows stacks; 0 for none.
    pub fn stack(&self) -> u32 {
        self.stack
    }

    /// The position of a slot so far whose stack cannot be, if it was not told yet.
    pub fn take_wrong_stack(&mut self) -> Option<usize> {
        self.wrong_stack.take()
    }

    /// Prefixes whose moment is missing are void.
    #[cold]
    fn missing(&mut self) {
        self.wide = Wide::default();
        self.stacks.missing();
    }

    #[cold]
    fn prefix(&mut self, kind: Kind, slot: Slot) {
        let value = slot.value();
        self.wide.any = true;
        match kind {
            Kind::Ticks => {
                self.base = value.wrapping_add(self.shift);
                if self.base.saturating_add(FAR) < self.earliest {
                    // The clock was set back within the block: it goes on from here.
                    self.base = self.earliest;
                    self.shift = self.base.wrapping_sub(value);
                }
            }
            Kind::WideSize => self.wide.size = Some(value),
            Kind::WideAddress => self.wide.address = Some(value),
            Kind::Thread => {
                self.tid = value as u32;
                self.name = [0; 2];
                // Prefixes of the last owner without their moment are void.
                self.wide = Wide::default();
                self.stacks.clear();
            }
            Kind::Name => self.name[usize::from(slot.aux() & 1)] = value,
            _ => {}
        }
    }

    /// The position of the next slot.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The name of the thread that the last moment belongs to.
    pub fn thread_name(&self) -> [u64; 2] {
        self.name
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

/// The kinds of slots that are whole moments or markers, by their raw values.
const WHOLE: [Option<Kind>; 64] = {
    let mut kinds = [None; 64];
    let mut place = 0;
    while place < Kind::ALL.len() {
        let kind = Kind::ALL[place];
        if !kind.is_prefix() {
            kinds[kind as usize] = Some(kind);
        }
        place += 1;
    }
    kinds
};

impl Decoder<'_> {
    /// Hands on what comes next up to the first slot that is no moment or marker, or damaged: most slots, in
    /// two thirds of the instructions of [`Decoder::next`].
    #[inline(always)]
    fn whole(&mut self, each: &mut impl FnMut(Moment)) {
        if self.wide.any {
            return;
        }
        let (copy, flags, tid, base) = (self.copy, self.flags, self.tid, self.base);
        let (mut position, mut earliest) = (self.position, self.earliest);
        for &slot in copy.slots.iter().skip(position) {
            let kind = WHOLE[usize::from(slot.raw_kind() & 63)];
            let Some(kind) = kind.filter(|_| slot.flags() == flags) else { break };
            earliest = earliest.max(base.saturating_add(slot.ticks().into()));
            each(Moment {
                ticks: earliest,
                address: slot.address(),
                size: slot.size().into(),
                tid,
                kind,
                aux: slot.aux(),
                late: 0,
            });
            position += 1;
        }
        (self.position, self.earliest) = (position, earliest);
    }
}

impl<S: SlotStacks> Iterator for Decoder<'_, S> {
    type Item = Decoded;

    // A call for each slot would cost as much as a slot.
    #[inline(always)]
    fn next(&mut self) -> Option<Decoded> {
        while let Some(&slot) = self.copy.slots.get(self.position) {
            let position = self.position;
            self.position += 1;
            if slot.flags() == self.flags
                && let Some(kind) = slot.kind()
            {
                if !kind.is_prefix() {
                    if S::WANTED {
                        let stack = self.stacks.of(kind, slot);
                        self.wrong_stack = self.wrong_stack.or(stack.is_none().then_some(position));
                        self.stack = stack.unwrap_or(0);
                    }
                    return Some(Decoded::Moment(self.moment(kind, slot)));
                }
                if is_of_stacks(kind) {
                    if S::WANTED && !self.stacks.slot(kind, slot) {
                        self.wrong_stack = self.wrong_stack.or(Some(position));
                    }
                    continue;
                }
                if kind == Kind::WideAlignment {
                    // That of the moment itself is yet to come.
                    self.stack = 0;
                    return Some(Decoded::Moment(self.alignment(slot)));
                }
                self.prefix(kind, slot);
            } else if slot.raw_kind() == 0 || slot.parity() != self.parity {
                // Not written in this use of the block.
                if self.stop_at_gap {
                    self.position = position;
                    return None;
                }
                self.missing();
                if slot.word0 != 0 && (self.first_use || slot.parity() == self.parity) {
                    return Some(Decoded::Damaged(position));
                }
            } else {
                self.missing();
                return Some(Decoded::Damaged(position));
            }
        }
        None
    }
}

/// The slot is no part of a plain decoding.
const fn is_of_stacks(kind: Kind) -> bool {
    kind as u8 >= Kind::Stack as u8
}

const _: () = assert!(Kind::Stack as u8 > Kind::Name as u8, "all other prefixes come before it");

/// The name of a thread, from the two words that hold it.
pub fn thread_name(name: &[u64; 2]) -> String {
    let bytes: &[u8] = bytemuck::cast_slice(name);
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Copies a block and hands on its moments; damaged slots are reported to the trace. `false`: the
/// process has reused the block.
pub fn moments(
    trace: &Trace,
    block: &Block,
    copy: &mut BlockCopy,
    mut each: impl FnMut(Moment),
) -> bool {
    let is_there = trace.copy(block, copy);
    if is_there {
        let mut decoder = Decoder::new(copy, block);
        loop {
            decoder.whole(&mut each);
            match decoder.next() {
                Some(Decoded::Moment(moment)) => each(moment),
                Some(Decoded::Damaged(position)) => damaged(trace, block, copy, position),
                None => break,
            }
        }
    }
    is_there
}

/// Reports a damaged slot.
#[cold]
fn damaged(trace: &Trace, block: &Block, copy: &BlockCopy, position: usize) {
    let Slot { word0, word1 } = copy.slots[position];
    trace.report(DamageKind::Slot { found: [word0, word1] }, block.slot_offset(position));
}

/// As [`moments`], with the stack of a moment before it ([`Moment::stack`]).
pub fn moments_with_stacks(
    trace: &Trace,
    block: &Block,
    copy: &mut BlockCopy,
    stacks: &Stacks,
    mut each: impl FnMut(Moment),
) -> bool {
    let is_there = trace.copy(block, copy);
    if is_there {
        let decoder = Decoder::with_stacks(copy, block, stacks.of_block());
        all_of(trace, block, decoder, |moment, decoder| {
            if decoder.stack() != 0 {
                each(Moment::stack(decoder.stack(), &moment));
            }
            each(moment);
        });
    }
    is_there
}

/// Hands on the moments of a block that was copied, as [`moments`].
pub fn copied(trace: &Trace, block: &Block, copy: &BlockCopy, each: impl FnMut(Moment, &Decoder)) {
    all_of(trace, block, Decoder::new(copy, block), each);
}

/// Hands on all that a decoder finds.
#[inline]
fn all_of<'a, S: SlotStacks>(
    trace: &Trace,
    block: &Block,
    mut decoder: Decoder<'a, S>,
    mut each: impl FnMut(Moment, &Decoder<'a, S>),
) {
    while let Some(decoded) = decoder.next() {
        match decoded {
            Decoded::Moment(moment) => each(moment, &decoder),
            Decoded::Damaged(position) => damaged(trace, block, decoder.copy, position),
        }
        if S::WANTED
            && let Some(position) = decoder.take_wrong_stack()
        {
            let Slot { word0, word1 } = decoder.copy.slots[position];
            trace.report(DamageKind::Stack { found: [word0, word1] }, block.slot_offset(position));
        }
    }
}

#[cfg(test)]
mod tests;
