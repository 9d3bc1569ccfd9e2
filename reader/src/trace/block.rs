//! Where a block of events is, and when it starts.

use mallook_format::{BLOCK_HEADER_SIZE, BLOCK_SIZE, SLOT_SIZE};

use super::clock_line::ClockLine;
use super::clock_sync::ClockSync;

/// A block of events: its position, its use, and when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Position in the file, in blocks.
    pub index: u64,
    /// Number of its claim.
    pub sequence: u64,
    /// Parity of the slots that belong to it.
    pub parity: u64,
    /// Base of its ticks; none of its moments is earlier. Where the clock was set back, the ticks go
    /// on as if it had not been.
    pub base_ticks: u64,
    /// The offset added to the ticks of the file for that, modulo 2^64.
    pub shift: u64,
    /// None of its moments is shown earlier: the base, or that of an earlier block of its owner.
    pub start_ticks: u64,
    /// Call moments that were written to its place in earlier uses.
    pub overwritten: u64,
    /// `CLOCK_MONOTONIC` at `base_ticks`, in nanoseconds.
    pub base_ns: u64,
    /// The owner's word: a new one for each pair of a thread and a thread buffer.
    pub owner: u64,
    /// The block was never used before: no slot of another parity stands in it.
    pub first_use: bool,
}

impl Block {
    /// The start of the block on both clocks.
    pub(crate) fn clock_sync(&self) -> ClockSync {
        ClockSync { ticks: self.base_ticks, ns: self.base_ns }
    }

    /// Puts the ticks on the line of the clock.
    pub(super) fn on_line(&mut self, line: &mut ClockLine) {
        self.shift = line.shift(self.clock_sync());
        self.base_ticks = self.base_ticks.wrapping_add(self.shift);
        self.start_ticks = self.base_ticks;
    }

    /// The offset in the file of a slot, in bytes.
    pub(crate) fn slot_offset(&self, slot: usize) -> u64 {
        self.index * BLOCK_SIZE as u64 + (BLOCK_HEADER_SIZE + slot * SLOT_SIZE) as u64
    }
}
