//! Where the blocks of a trace are, and what each is used for.

use mallook_format::ring::BlockCopy;
use mallook_format::{BLOCK_SIZE, BlockHeader, BlockKind, Phase, State};

use crate::{Damage, Trace};

/// Where a block of events is, and when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Position in the file, in blocks.
    pub index: u64,
    /// Number of its claim.
    pub sequence: u64,
    /// Parity of the slots that belong to it.
    pub parity: u64,
    /// Base of its ticks; none of its moments is earlier.
    pub base_ticks: u64,
    /// `CLOCK_MONOTONIC` at `base_ticks`, in nanoseconds.
    pub base_ns: u64,
    /// Which thread opened it, and where that keeps its place: a new owner word for each such pair.
    pub owner: u64,
    /// The block was never used before: no slot of another parity stands in it.
    pub first_use: bool,
}

/// What a block is used for.
enum Use {
    Events(Block),
    /// It was taken again and not opened yet; so many moments were in it before.
    Preparing {
        overwritten: u64,
    },
    Other,
}

/// Looks at one place of a file after the other.
pub struct Blocks<'a> {
    trace: &'a Trace<'a>,
    next: u64,
    end: u64,
    /// Blocks that were found.
    pub(crate) opened: u64,
    /// Moments overwritten in blocks that hold no events now.
    pub(crate) overwritten: u64,
    /// The last block is cut off.
    pub(crate) ragged: bool,
    /// What the trace ought to have is compared with what was found, at the end.
    compare: bool,
}

impl<'a> Blocks<'a> {
    /// All blocks of a trace.
    pub(crate) fn of(trace: &'a Trace<'a>) -> Blocks<'a> {
        Blocks { compare: true, ..Blocks::between(trace, 1, trace.places() + 1) }
    }

    /// The blocks at these places.
    pub(crate) fn between(trace: &'a Trace<'a>, next: u64, end: u64) -> Blocks<'a> {
        Blocks { trace, next, end, opened: 0, overwritten: 0, ragged: false, compare: false }
    }
}

impl Iterator for Blocks<'_> {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        while self.next < self.end {
            let index = self.next;
            self.next += 1;
            let header = self.trace.source().peek_block(index);
            if header.state == 0 && header.ident == 0 {
                continue;
            }
            match identify(self.trace, index, &header) {
                Ok(Use::Events(block)) => {
                    self.opened += 1;
                    self.ragged |= index == self.trace.size() / BLOCK_SIZE as u64;
                    return Some(block);
                }
                Ok(Use::Preparing { overwritten }) => {
                    self.overwritten = self.overwritten.saturating_add(overwritten);
                }
                Ok(Use::Other) => self.opened += 1,
                Err(damage) => self.trace.report(damage),
            }
        }
        if std::mem::take(&mut self.compare) {
            self.trace.check_extent(self.opened, self.ragged);
        }
        None
    }
}

/// What a block is used for.
fn identify(trace: &Trace, index: u64, header: &BlockHeader) -> Result<Use, Damage> {
    let offset = index * BLOCK_SIZE as u64;
    let state = State::from_word(header.state).filter(|state| match trace.ring_blocks() {
        Some(blocks) => state.sequence % blocks == index - 1,
        None => state.sequence == index - 1,
    });
    let state = match (state, header.has_magic()) {
        (Some(State { phase: Phase::Preparing, parity, .. }), _) => {
            let overwritten = header.totals[(parity ^ 1) as usize];
            return Ok(Use::Preparing { overwritten });
        }
        (Some(state), true) => state,
        (Some(state), false) => {
            let found = format!("{:#x}", header.ident as u32);
            trace.report(Damage::new(offset + 24, found, "\"BLK1\", the magic of a block"));
            state
        }
        (None, true) => {
            let found = format!("{:#x}", header.state);
            trace.report(Damage::new(offset, found, format!("the state of block {index}")));
            guess_state(trace, index)
        }
        (None, false) => {
            return Err(Damage::new(offset, "no block", "a block, which is left out"));
        }
    };
    if header.has_magic() && header.raw_kind() != BlockKind::Events as u16 {
        let known = header.raw_kind() == BlockKind::Metadata as u16;
        let found = format!("a block of kind {}", header.raw_kind());
        let damage = Damage::new(offset + 28, found, "a block of events");
        return if known { Ok(Use::Other) } else { Err(damage) };
    }
    let State { sequence, parity, .. } = state;
    let first_use = trace.ring_blocks().is_none_or(|blocks| sequence < blocks);
    Ok(Use::Events(Block {
        index,
        sequence,
        parity,
        base_ticks: header.base_ticks,
        base_ns: header.base_ns,
        owner: header.owner,
        first_use,
    }))
}

/// The state of a block whose first word is damaged, from what its first slot says.
fn guess_state(trace: &Trace, index: u64) -> State {
    let mut copy = BlockCopy::EMPTY;
    let _ = trace.source().copy_block(index, &mut copy);
    let first = copy.slots.iter().find(|slot| slot.raw_kind() != 0);
    let parity = first.map_or(1, |slot| slot.parity());
    State { sequence: index - 1, parity, phase: Phase::Open }
}
