//! The layout of the file: the one place for its sizes and offsets, which are in bytes unless
//! they say otherwise.

use core::ops::RangeInclusive;

/// The first eight bytes of every trace.
pub const MAGIC: [u8; 8] = *b"MALLOOK\0";
/// The version of the format that this crate writes and reads.
pub const VERSION: u32 = 1;

/// Size of every block of a file, the header's included.
pub const BLOCK_SIZE: usize = 16 * 1024;
/// Size of a slot.
pub const SLOT_SIZE: usize = 16;
/// Size of the header of a block.
pub const BLOCK_HEADER_SIZE: usize = 128;
/// Number of slots in a block.
#[cfg(not(loom))]
pub const SLOTS: usize = (BLOCK_SIZE - BLOCK_HEADER_SIZE) / SLOT_SIZE;
/// Number of slots in a block: the model checker explores every interleaving of them.
#[cfg(loom)]
pub const SLOTS: usize = 2;

/// Sizes that a ring or a bounded trace may have: from a header and four blocks to 1 TiB.
pub const TRACE_SIZES: RangeInclusive<u64> = 5 * BLOCK_SIZE as u64..=1 << 40;

/// Size of the header, which is block 0, in words of eight bytes.
pub const HEADER_WORDS: usize = BLOCK_SIZE / 8;
/// Offset of the claim cursor, alone in its 128 bytes but for the next two.
pub const CURSOR_OFFSET: usize = 2048;
/// Offset of the number of blocks that were opened.
pub const OPENED_OFFSET: usize = 2056;
/// Offset of the number of threads that write.
pub const WRITERS_OFFSET: usize = 2064;
/// Offset of the control word, alone in its 128 bytes but for the next three.
pub const CONTROL_OFFSET: usize = 2176;
/// Offset of the time since which recording pauses.
pub const PAUSED_OFFSET: usize = 2184;
/// Offset of the number of pauses.
pub const PAUSES_OFFSET: usize = 2192;
/// Offset of the number of marks.
pub const MARKS_OFFSET: usize = 2200;
/// Offset of the first stripe of loss counters.
pub const LOSS_OFFSET: usize = 2304;
/// Number of stripes of loss counters; threads spread over them.
pub const LOSS_STRIPES: usize = 16;
/// Number of stripes that recorders use: those in the first page of the header, so that it is the
/// only one that takes space.
pub const STRIPES_IN_USE: usize = (4096 - LOSS_OFFSET) / STRIPE_SIZE;
/// Size of a stripe: two cache lines, so that no two threads fight for one.
pub const STRIPE_SIZE: usize = 128;
/// Number of counters in a stripe.
pub const STRIPE_WORDS: usize = STRIPE_SIZE / 8;

/// Offset of the first [mark](crate::Mark).
pub const MARK_OFFSET: usize = LOSS_OFFSET + LOSS_STRIPES * STRIPE_SIZE;
/// Number of marks that a trace has room for.
pub const MARKS: usize = (BLOCK_SIZE - MARK_OFFSET) / MARK_SIZE;
/// Size of a mark.
pub const MARK_SIZE: usize = 128;

/// The fewest ticks between a marker of a pause and an event that is skipped in it: the clock of a
/// thread may be read so much too early.
pub const PAUSE_MARGIN: u64 = 1 << 16;

/// A string that is padded with zeros: the bytes up to the first one.
pub(crate) fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or(bytes)
}
