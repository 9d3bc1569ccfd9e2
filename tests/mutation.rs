//! Traces that are changed at random, mostly where it matters.

use mallook_format::{MARK_OFFSET, MARK_SIZE};

use crate::sandbox::Random;

const BLOCK: usize = 16_384;

/// Words with a meaning somewhere: as a size, a count, a position, a state.
const WORDS: [u64; 14] = [
    0,
    1,
    2,
    3,
    15,
    16,
    BLOCK as u64,
    u32::MAX as u64,
    1 << 32,
    1 << 48,
    1 << 62,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

/// A byte that matters: mostly in the header's fields, its live words or marks, a block's header or slots.
fn place(random: &mut Random, length: usize) -> usize {
    let blocks = (length / BLOCK).max(1) as u64;
    let block = random.below(blocks) as usize * BLOCK;
    let offset = match random.below(9) {
        0 => random.below(128),
        1 => 2_048 + random.below(16),
        2 => 2_176 + random.below(256),
        7 => (MARK_OFFSET + MARK_SIZE * random.below(4) as usize) as u64 + random.below(24),
        3 | 4 => block as u64 + random.below(128),
        5 | 6 => block as u64 + 128 + random.below(1_024),
        _ => random.below(length as u64),
    };
    (offset as usize).min(length - 1)
}

/// Changes a few bytes, slots or blocks.
pub fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        let at = place(random, length);
        match random.below(10) {
            0 | 1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at] = random.word() as u8,
            3..=6 => {
                let word = match random.below(3) {
                    0 => random.word(),
                    1 => WORDS[random.below(WORDS.len() as u64) as usize],
                    _ => length as u64 / WORDS[1 + random.below(6) as usize],
                };
                let at = at / 8 * 8;
                let end = (at + 8).min(length);
                bytes[at..end].copy_from_slice(&word.to_le_bytes()[..end - at]);
            }
            7 => {
                // One slot, or a block's header, in place of another.
                let size = if random.below(2) == 0 { 16 } else { 128 };
                let from = place(random, length) / size * size;
                let to = at / size * size;
                if from.max(to) + size <= length {
                    bytes.copy_within(from..from + size, to);
                }
            }
            8 => {
                // One block in place of another, or one more of them.
                let blocks = length / BLOCK;
                let from = random.below(blocks.max(1) as u64) as usize * BLOCK;
                let block = bytes[from..(from + BLOCK).min(length)].to_vec();
                let to = random.below(blocks as u64 + 1) as usize * BLOCK;
                if to + block.len() <= length {
                    bytes[to..to + block.len()].copy_from_slice(&block);
                } else if length < 8 * BLOCK {
                    bytes.extend(block);
                }
            }
            _ => bytes.truncate(if random.below(4) == 0 { at / BLOCK * BLOCK } else { at }),
        }
    }
}
