//! Claims blocks of the file for threads.

use core::sync::atomic::Ordering::Relaxed;

use mallook_format::ring::{self, BlockCell};
use mallook_format::{BLOCK_SIZE, CURSOR_CLOSED, Loss, Mode, State};

use crate::cell;
use crate::state::{Phase, Session, WIPED};

/// A block that was taken for the calling thread and is to be opened.
pub struct Claimed {
    pub block: &'static BlockCell,
    pub state: State,
}

/// Claims the next block.
///
/// # Errors
/// There is none: the trace may not or cannot grow, which stops recording, or every block of a
/// ring is in use.
pub fn claim(session: &'static Session) -> Result<Claimed, Loss> {
    match session.mode() {
        Mode::Full => claim_next(session).inspect_err(|&cause| {
            if cause != Loss::Waiting {
                session.stop(cause);
            }
        }),
        Mode::Ring => claim_free(session),
    }
}

fn claim_next(session: &'static Session) -> Result<Claimed, Loss> {
    let live = session.live().ok_or(Loss::Mapping)?;
    // Relaxed: the number alone is the entitlement; a block in full mode is used once.
    let cursor = live.cursor.fetch_add(1, Relaxed);
    let (sequence, given_back) = (cursor & !CURSOR_CLOSED, cursor & CURSOR_CLOSED != 0);
    let max = session.max_blocks.load(Relaxed);
    if max != 0 && sequence >= max {
        return Err(Loss::Limit);
    }
    if given_back && session.settled_phase() == Phase::Closing {
        return Err(Loss::Waiting);
    }
    let block = WIPED.windows.block(session, sequence, given_back)?;
    let state = block.take(sequence).map_err(|_| Loss::Mapping)?;
    Ok(Claimed { block, state })
}

fn claim_free(session: &'static Session) -> Result<Claimed, Loss> {
    let live = session.live().ok_or(Loss::Mapping)?;
    let blocks = session.ring_blocks.load(Relaxed);
    if blocks == 0 {
        return Err(Loss::Mapping);
    }
    let block = |sequence: u64| {
        let position = (sequence % blocks) as usize + 1;
        let address = session.base.load(Relaxed) + position * BLOCK_SIZE;
        // SAFETY: all blocks of a ring are mapped with the header, for the life of the process.
        unsafe { &*(address as *const BlockCell) }
    };
    let evict = |owner: u64| cell::evict(session, (owner >> 32) as usize);
    let tries = blocks.saturating_mul(2);
    let (block, state) = ring::take_next(&live.cursor, tries, block, evict).ok_or(Loss::Busy)?;
    Ok(Claimed { block, state })
}
