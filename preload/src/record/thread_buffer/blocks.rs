//! The life of a thread buffer: its blocks, the base of its ticks, the name of its owner.

use core::sync::atomic::Ordering;

use mallook_format::ring::Opening;
use mallook_format::{
    BLOCK_HEADER_SIZE, BLOCK_SIZE, BlockKind, Clock, Kind, PARITY_SHIFT, SLOT_SIZE, Slot,
};

use crate::file::blocks::Claimed;
use crate::host::clock::{self, ClockSync};
use crate::record::names;

use super::{LOOK, MOST_REBASED, ThreadBuffer, slot_at};

impl ThreadBuffer {
    /// Writes a slot. For the owner, with signals blocked and room for the slot.
    pub fn push(&self, slot: Slot) {
        if let Some(next) = self.next_slot(1) {
            self.cursor.store(next.cursor + SLOT_SIZE, Ordering::Relaxed);
            slot_at(next.cursor).commit(slot.word0 | next.parity_bits, slot.word1);
        }
    }

    /// Sets a new base for the ticks and records it in two slots. As [`ThreadBuffer::push`].
    pub fn rebase(&self, sync: ClockSync) {
        self.push(Slot::prefix(Kind::Ticks, 0, sync.ticks));
        self.push(Slot::prefix(Kind::Nanos, 0, sync.monotonic_ns));
        self.base.store(sync.ticks, Ordering::Relaxed);
        let rebased = self.rebased.load(Ordering::Relaxed);
        self.rebased.store((rebased + 1).min(MOST_REBASED), Ordering::Relaxed);
        self.look_later();
        self.end_burst();
    }

    /// Records the owner of the slots from here on in three slots. As [`ThreadBuffer::push`].
    pub fn push_owner(&self) {
        self.push(Slot::prefix(Kind::Thread, 0, self.tid().into()));
        for (half, name) in (0..).zip(self.name()) {
            self.push(Slot::prefix(Kind::Name, half, name));
        }
        self.end_burst();
    }

    /// The name of the owner, which the kernel is asked for once, and again after the process has
    /// changed one.
    fn name(&self) -> [u64; 2] {
        if let Some(name) = names::ask(&self.named) {
            self.set_name(name);
        }
        self.name.each_ref().map(|half| half.load(Ordering::Relaxed))
    }

    fn set_name(&self, name: [u64; 2]) {
        for (half, value) in self.name.iter().zip(name) {
            half.store(value, Ordering::Relaxed);
        }
    }

    /// The buffer is a new owner's, who has a name of its own.
    pub(in crate::record) fn forget_name(&self) {
        self.named.store(0, Ordering::Relaxed);
        self.set_name(names::latest());
    }

    /// The owner may not read the counter any more: every event goes the slow path.
    pub fn leave_hot_path(&self) {
        self.hot_limit.store(0, Ordering::Relaxed);
    }

    /// Goes on in a new block.
    pub fn start(&self, claimed: &Claimed, sync: ClockSync, clock: Clock) {
        let address = core::ptr::from_ref(claimed.block) as usize;
        claimed.block.open(
            claimed.state,
            &Opening {
                kind: BlockKind::Events,
                base_ticks: sync.ticks,
                base_ns: sync.monotonic_ns,
                owner: u64::from(self.tid()) | (self.index() as u64) << 32,
                name: self.name(),
            },
        );
        self.block.store(address, Ordering::Relaxed);
        self.base.store(sync.ticks, Ordering::Relaxed);
        self.look_later();
        self.parity_bits.store(claimed.state.parity << PARITY_SHIFT, Ordering::Relaxed);
        self.cursor.store(address + BLOCK_HEADER_SIZE, Ordering::Relaxed);
        self.end_burst();
        self.set_reserved(claimed.reserved, clock);
    }

    /// The block and the number of its bytes that are reserved, if that is not all of it.
    pub fn partly_reserved(&self) -> Option<(usize, usize)> {
        let block = self.block.load(Ordering::Relaxed);
        let reserved = self.limit.load(Ordering::Relaxed).saturating_sub(block);
        (block != 0 && reserved < BLOCK_SIZE).then_some((block, reserved))
    }

    /// Lets slots be written in this many bytes of the block, which were reserved.
    pub fn set_reserved(&self, bytes: usize, clock: Clock) {
        let limit = self.block.load(Ordering::Relaxed) + bytes;
        self.limit.store(limit, Ordering::Relaxed);
        self.set_hot(clock);
    }

    /// Lets the hot path use what is reserved, if it may.
    pub(super) fn set_hot(&self, clock: Clock) {
        let is_hot = clock == Clock::Tsc && !clock::is_counter_forbidden() && !self.rests();
        let hot_limit = if is_hot { self.limit.load(Ordering::Relaxed) } else { 0 };
        self.hot_limit.store(hot_limit, Ordering::Relaxed);
    }

    /// The base is of now: the next look is that much later.
    fn look_later(&self) {
        self.max_delta.store(LOOK.min(self.longest()), Ordering::Relaxed);
    }

    /// The number that was claimed and could not be had.
    pub fn kept(&self) -> Option<u64> {
        self.kept.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Keeps a number that was claimed and could not be had.
    pub fn keep(&self, sequence: Option<u64>) {
        self.kept.store(sequence.map_or(0, |sequence| sequence + 1), Ordering::Relaxed);
    }

    /// Leaves the block; returns its address.
    pub(in crate::record) fn forget(&self) -> usize {
        self.hot_limit.store(0, Ordering::Relaxed);
        self.limit.store(0, Ordering::Relaxed);
        self.cursor.store(0, Ordering::Relaxed);
        self.end_burst();
        self.block.swap(0, Ordering::Relaxed)
    }
}
