//! Finds the blocks of events of a trace.

use mallook_format::ring::BlockCopy;
use mallook_format::{BLOCK_SIZE, BlockHeader, BlockKind, Phase, State};

use super::block::Block;
use super::clock_line::ClockLine;
use super::damage::DamageKind;
use super::file::Trace;

/// The present use of a block.
enum Use {
    Events(Block),
    /// It was claimed again and not opened yet: `overwritten` call moments were in it before.
    Preparing {
        overwritten: u64,
    },
    Other,
}

/// The blocks of events of a trace, in the order of their claims; those of a ring from the oldest
/// place on.
#[derive(Debug)]
pub struct Blocks<'a> {
    trace: &'a Trace<'a>,
    /// Places by age ([`Trace::place`]).
    next: u64,
    end: u64,
    /// The clock, which may have been set back.
    pub(crate) line: ClockLine,
    /// Blocks that were found.
    pub(crate) opened: u64,
    /// Call moments overwritten in blocks that hold no events now.
    pub(crate) overwritten: u64,
    /// The last block is cut off.
    pub(crate) truncated: bool,
    /// Compare the number of blocks found with the header, at the end.
    compare: bool,
}

impl<'a> Blocks<'a> {
    /// All blocks of a trace. At the end, blocks that the header counts and the file does not have
    /// are reported as damage.
    pub fn of(trace: &'a Trace<'a>) -> Blocks<'a> {
        Blocks { compare: true, ..Blocks::between(trace, 1, trace.places() + 1) }
    }

    /// The blocks at these places.
    pub(crate) fn between(trace: &'a Trace<'a>, next: u64, end: u64) -> Blocks<'a> {
        let line = if next == 1 { trace.clock_line() } else { ClockLine::default() };
        let (opened, overwritten, truncated, compare) = (0, 0, false, false);
        Blocks { trace, next, end, line, opened, overwritten, truncated, compare }
    }
}

impl Blocks<'_> {
    /// Reports blocks that the header counts and the file does not have, as [`Blocks::of`] does at its end.
    /// Damage within the blocks is known.
    pub(crate) fn check_extent(trace: &Trace) {
        let mut blocks = Blocks::between(trace, 1, trace.places() + 1);
        // Of a ring, the length of the file is enough.
        if trace.ring_blocks().is_none() {
            trace.again(|| blocks.by_ref().for_each(drop));
        }
        trace.check_extent(blocks.opened, blocks.truncated);
    }

    /// The block at this index, if it is one of events; the damage because of which it is left out is
    /// reported.
    pub(crate) fn find(trace: &Trace, index: u64, line: &mut ClockLine) -> Option<Block> {
        let header = trace.source().peek_block(index);
        if header.state == 0 && header.ident == 0 {
            return None;
        }
        match identify(trace, index, &header) {
            Ok(Use::Events(mut block)) => {
                block.on_line(line);
                Some(block)
            }
            Ok(_) => None,
            Err((kind, offset)) => {
                trace.report(kind, offset);
                None
            }
        }
    }
}

impl Iterator for Blocks<'_> {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        while self.next < self.end {
            let index = self.trace.place(self.next);
            self.next += 1;
            let header = self.trace.source().peek_block(index);
            if header.state == 0 && header.ident == 0 {
                // A hole, up to the end of the file at the most.
                let data = self.trace.source().next_data(index + 1).min(self.trace.places() + 1);
                self.next = self.next.saturating_add(data.saturating_sub(index + 1));
                continue;
            }
            match identify(self.trace, index, &header) {
                Ok(Use::Events(mut block)) => {
                    block.on_line(&mut self.line);
                    self.opened += 1;
                    self.truncated |= index == self.trace.size() / BLOCK_SIZE as u64;
                    return Some(block);
                }
                Ok(Use::Preparing { overwritten }) => {
                    self.overwritten = self.overwritten.saturating_add(overwritten);
                }
                Ok(Use::Other) => self.opened += 1,
                Err((kind, offset)) => self.trace.report(kind, offset),
            }
        }
        if std::mem::take(&mut self.compare) {
            self.trace.check_extent(self.opened, self.truncated);
        }
        None
    }
}

/// The present use of a block; or the damage, and its offset, because of which it is left out.
fn identify(trace: &Trace, index: u64, header: &BlockHeader) -> Result<Use, (DamageKind, u64)> {
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
            trace.report(DamageKind::BlockMagic { found: header.ident as u32 }, offset + 24);
            state
        }
        (None, true) => {
            trace.report(DamageKind::BlockState { found: header.state, block: index }, offset);
            guess_state(trace, index)
        }
        (None, false) => return Err((DamageKind::NoBlock, offset)),
    };
    let found = header.raw_kind();
    if header.has_magic() && found != BlockKind::Events as u16 {
        let known = found == BlockKind::Sites as u16;
        return if known {
            Ok(Use::Other)
        } else {
            Err((DamageKind::BlockKind { found }, offset + 28))
        };
    }
    let State { sequence, parity, .. } = state;
    let first_use = trace.ring_blocks().is_none_or(|blocks| sequence < blocks);
    Ok(Use::Events(Block {
        index,
        sequence,
        parity,
        base_ticks: header.base_ticks,
        shift: 0,
        start_ticks: header.base_ticks,
        overwritten: header.totals[(parity ^ 1) as usize],
        base_ns: header.base_ns,
        owner: header.owner,
        first_use,
    }))
}

/// The state of a block whose first word is damaged, with the parity of its first slot.
pub(super) fn guess_state(trace: &Trace, index: u64) -> State {
    let mut copy = BlockCopy::EMPTY;
    let _ = trace.source().copy_block(index, &mut copy);
    let first = copy.slots.iter().find(|slot| slot.raw_kind() != 0);
    let parity = first.map_or(1, |slot| slot.parity());
    State { sequence: index - 1, parity, phase: Phase::Open }
}
