//! One block of events, slot by slot.

use mallook_format::{
    BlockHeader, Kind, MAX_KEEP, MAX_STACK, MORE_SITES, PARITY_SHIFT, Phase, SLOTS, STACK_SHIFT,
    STACK_SITES, Site, Slot, StackSlot, State, stack_more,
};
use rustc_hash::FxHashMap;

use crate::decode::Moment;

/// Ticks in a nanosecond: moments of one nanosecond keep their order.
pub const TICKS: u64 = 16;
/// The parity of the first use of a block.
const PARITY: u64 = 1;
/// The bits of `aux` that are no number of a stack, where it has one.
const OWN_AUX: u8 = (1 << STACK_SHIFT) - 1;

/// A moment as it is written.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The moment; its ticks are nanoseconds of `CLOCK_MONOTONIC`.
    pub moment: Moment,
    /// Its place among the moments of that nanosecond, below [`TICKS`].
    pub place: u64,
    /// The alignment, where that is no power of two.
    pub alignment: Option<u64>,
    /// Its call stack, 0 for none.
    pub stack: u32,
}

/// A block of events that is being written.
pub struct Block {
    /// Its position in the file.
    pub index: u64,
    /// The thread that has written last.
    pub tid: u32,
    header: BlockHeader,
    /// The base of ticks, in nanoseconds.
    base_ns: u64,
    slots: Vec<Slot>,
    moments: u64,
    numbers: FxHashMap<u32, u8>,
    stacks: [u32; MAX_STACK as usize + 1],
    next_number: u8,
    /// The stack that the last slot has defined or named, 0 for none.
    last: u32,
    /// The slots of the next moment.
    pending: Vec<Slot>,
}

impl Block {
    /// An empty block, for a thread whose first moment comes after this time.
    pub fn new(index: u64, tid: u32, name: [u64; 2], base_ns: u64) -> Block {
        let state = State { sequence: index - 1, parity: PARITY, phase: Phase::Closed };
        Block {
            index,
            tid,
            header: BlockHeader {
                state: state.word(),
                totals: [0; 2],
                ident: BlockHeader::EVENTS,
                base_ticks: base_ns.saturating_mul(TICKS),
                base_ns,
                owner: u64::from(tid) | index << 32,
                name,
                reserved: [0; 7],
            },
            base_ns,
            slots: Vec::with_capacity(SLOTS),
            moments: 0,
            numbers: FxHashMap::default(),
            stacks: [0; MAX_STACK as usize + 1],
            next_number: 1,
            last: 0,
            pending: Vec::new(),
        }
    }

    /// Another thread goes on in the block; `false` if there is no room.
    pub fn hand_over(&mut self, tid: u32, name: [u64; 2]) -> bool {
        if self.slots.len() + 4 > SLOTS {
            return false;
        }
        self.tid = tid;
        self.numbers.clear();
        self.last = 0;
        let prefixes =
            [(Kind::Thread, 0, tid.into()), (Kind::Name, 0, name[0]), (Kind::Name, 1, name[1])];
        self.slots.extend(prefixes.map(|(kind, aux, value)| Slot::prefix(kind, aux, value)));
        true
    }

    /// Writes a moment; `false` if there is no room. `sites` has the sites of a stack, the outermost
    /// first.
    pub fn add(&mut self, entry: &Entry, sites: impl Fn(u32) -> Vec<Site>) -> bool {
        let Entry { moment, place, alignment, stack } = *entry;
        let mut pending = std::mem::take(&mut self.pending);
        pending.clear();
        let passed =
            moment.ticks.saturating_sub(self.base_ns).saturating_mul(TICKS).saturating_add(place);
        let (base_ns, ticks) = match u32::try_from(passed) {
            Ok(ticks) => (self.base_ns, ticks),
            Err(_) => {
                let ticks = moment.ticks.saturating_mul(TICKS);
                pending.push(Slot::prefix(Kind::Ticks, 0, ticks));
                pending.push(Slot::prefix(Kind::Nanos, 0, moment.ticks));
                (moment.ticks, place as u32)
            }
        };
        let in_aux = moment.kind.has_stack_in_aux();
        let mut aux = if in_aux { moment.aux & OWN_AUX } else { moment.aux };
        let mut defines = false;
        if stack != 0 {
            let number = self.numbers.get(&stack).copied().unwrap_or_else(|| {
                let last = if self.last == 0 { Vec::new() } else { sites(self.last) };
                define(&last, &sites(stack), self.next_number, &mut pending);
                defines = true;
                self.next_number
            });
            match in_aux {
                true => aux |= number << STACK_SHIFT,
                false => pending.push(Slot::prefix(Kind::StackOf, 0, number.into())),
            }
        }
        let wide = |kind, value: u64| Slot::prefix(kind, 0, value);
        pending.extend((moment.size >> 32 != 0).then(|| wide(Kind::WideSize, moment.size)));
        pending
            .extend((moment.address >> 48 != 0).then(|| wide(Kind::WideAddress, moment.address)));
        pending.extend(alignment.map(|alignment| wide(Kind::WideAlignment, alignment)));
        pending.push(Slot {
            word0: Slot::word0(moment.kind, aux, moment.address),
            word1: Slot::word1(moment.size, ticks),
        });
        let has_room = self.slots.len() + pending.len() <= SLOTS;
        if has_room {
            self.slots.append(&mut pending);
            self.base_ns = base_ns;
            self.moments += u64::from(moment.kind.is_moment());
            if defines {
                self.number(stack);
            }
            self.last = if stack == 0 { self.last } else { stack };
        }
        self.pending = pending;
        has_room
    }

    /// The stack has the next number from here on.
    fn number(&mut self, stack: u32) {
        let number = self.next_number;
        let before = std::mem::replace(&mut self.stacks[usize::from(number)], stack);
        if self.numbers.get(&before) == Some(&number) {
            self.numbers.remove(&before);
        }
        self.numbers.insert(stack, number);
        self.next_number = if number == MAX_STACK { 1 } else { number + 1 };
    }

    /// Its bytes, up to the last slot.
    pub fn bytes(&self) -> Vec<u8> {
        let mut header = self.header;
        header.totals[PARITY as usize] = self.moments;
        let mut bytes = bytemuck::bytes_of(&header).to_vec();
        for slot in &self.slots {
            let slot = Slot { word0: slot.word0 | PARITY << PARITY_SHIFT, ..*slot };
            bytes.extend(bytemuck::bytes_of(&slot));
        }
        bytes
    }
}

/// The slots that define a stack, with this number, after the last one.
fn define(last: &[Site], stack: &[Site], number: u8, slots: &mut Vec<Slot>) {
    let same = last.iter().zip(stack).take_while(|(one, other)| one == other).count();
    let keep = same.min(MAX_KEEP);
    let new = &stack[keep..];
    // The innermost sites stand in the last slot.
    let outer = new.len().saturating_sub(STACK_SITES).next_multiple_of(MORE_SITES).min(new.len());
    let (more, own) = new.split_at(outer);
    slots.extend(more.chunks(MORE_SITES).map(|part| {
        let mut sites = [Site::NONE; MORE_SITES];
        sites[..part.len()].copy_from_slice(part);
        stack_more(&sites)
    }));
    let mut sites = [Site::NONE; STACK_SITES];
    sites[..own.len()].copy_from_slice(own);
    slots.push(StackSlot { number, keep: keep as u16, sites }.slot());
}
