//! A trace in short: of each 16 KiB block only the beginning, where everything is decided.

use mallook_format::{BLOCK_SIZE, CURSOR_OFFSET, LOSS_OFFSET, MARK_OFFSET, MARKS_OFFSET};

/// Bytes of each block that a short trace keeps.
const KEPT: usize = 512;
/// Bytes kept from the start of the header; the rest are kept from the changing words on.
const HEADER_KEPT: usize = 128;
/// Where the changing words have a gap, which the first mark takes in a short trace.
const GAP: std::ops::Range<usize> = MARKS_OFFSET + 8..LOSS_OFFSET;
/// More blocks than this teach nothing new.
const MOST_BLOCKS: usize = 64;

/// Where the kept bytes of a block stand, as (short, full, length).
fn pieces(block: usize) -> Vec<(usize, usize, usize)> {
    let (short, full) = (block * KEPT, block * BLOCK_SIZE);
    if block != 0 {
        return vec![(short, full, KEPT)];
    }
    let at = |full: usize| HEADER_KEPT + full - CURSOR_OFFSET;
    vec![
        (0, 0, HEADER_KEPT),
        (at(CURSOR_OFFSET), CURSOR_OFFSET, GAP.start - CURSOR_OFFSET),
        (at(GAP.start), MARK_OFFSET, GAP.len()),
        (at(GAP.end), GAP.end, KEPT - at(GAP.end)),
    ]
}

/// The whole trace, zero where nothing was kept. A last incomplete piece leaves an incomplete
/// block.
pub fn expand(short: &[u8]) -> Vec<u8> {
    let blocks = short.len().div_ceil(KEPT).min(MOST_BLOCKS);
    let mut full = vec![0; blocks * BLOCK_SIZE];
    for (from, to, length) in (0..blocks).flat_map(pieces) {
        let there = short.len().saturating_sub(from).min(length);
        if let Some(kept) = short.get(from..from + there) {
            full[to..to + there].copy_from_slice(kept);
        }
    }
    let cut = short.len() % KEPT;
    full.truncate(full.len() - if cut == 0 { 0 } else { KEPT - cut });
    full
}

/// The kept bytes of a trace.
pub fn shorten(full: &[u8]) -> Vec<u8> {
    let blocks = (full.len() / BLOCK_SIZE).min(MOST_BLOCKS);
    let kept = |(_, from, length): (_, usize, usize)| full[from..from + length].to_vec();
    (0..blocks).flat_map(pieces).flat_map(kept).collect()
}
