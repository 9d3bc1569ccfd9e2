//! Finds the blocks of call sites.

use mallook_format::{BLOCK_SIZE, BlockHeader, BlockKind, Phase, State};

use super::block::Block;
use super::blocks::guess_state;
use super::file::Trace;

/// The blocks of call sites of a trace, in the order of their places: among the blocks of events in a
/// growing file, behind them in a ring.
#[derive(Debug)]
pub struct SiteBlocks<'a> {
    trace: &'a Trace<'a>,
    next: u64,
    end: u64,
}

impl<'a> SiteBlocks<'a> {
    pub(crate) fn of(trace: &'a Trace<'a>) -> SiteBlocks<'a> {
        let there = trace.size().div_ceil(BLOCK_SIZE as u64);
        let (next, end) = match trace.ring_blocks() {
            None => (1, trace.places() + 1),
            Some(_) => {
                let header = trace.header();
                let start = u64::from(header.site_start);
                // Those of the ring hold events.
                let start = start.max(trace.places() + 1);
                (start, u64::from(header.site_start) + u64::from(header.site_blocks))
            }
        };
        SiteBlocks { trace, next, end: end.min(there) }
    }
}

impl Iterator for SiteBlocks<'_> {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        while self.next < self.end {
            let index = self.next;
            self.next += 1;
            let header = self.trace.source().peek_block(index);
            if header.state == 0 && header.ident == 0 {
                self.next = self.next.max(self.trace.source().next_data(index + 1));
            } else if header.has_magic() && header.raw_kind() == BlockKind::Sites as u16 {
                let state = State::from_word(header.state);
                match state.unwrap_or_else(|| guess_state(self.trace, index)) {
                    State { phase: Phase::Preparing, .. } => {}
                    State { sequence, parity, .. } => {
                        return Some(of_sites(index, sequence, parity, &header));
                    }
                }
            }
        }
        None
    }
}

fn of_sites(index: u64, sequence: u64, parity: u64, header: &BlockHeader) -> Block {
    Block {
        index,
        sequence,
        parity,
        base_ticks: header.base_ticks,
        shift: 0,
        start_ticks: header.base_ticks,
        overwritten: 0,
        base_ns: header.base_ns,
        owner: header.owner,
        first_use: true,
    }
}
