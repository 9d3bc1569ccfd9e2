//! Traces with any slots.

use mallook_format::{BlockHeader, BlockKind, Kind, Phase, Slot, Stacks, State};

use crate::artifacts::tests;

const BLOCK: usize = 16_384;

/// A trace of this many blocks of events, with these slots in each.
pub fn invented(
    blocks: usize,
    owner: impl Fn(usize) -> u64,
    slots: impl Fn(usize) -> Vec<Slot>,
) -> Vec<u8> {
    invented_of(|_| BlockKind::Events, blocks, owner, slots)
}

/// The same with blocks of any kind, of a process whose stacks were taken.
pub fn invented_of(
    kind: impl Fn(usize) -> BlockKind,
    blocks: usize,
    owner: impl Fn(usize) -> u64,
    slots: impl Fn(usize) -> Vec<Slot>,
) -> Vec<u8> {
    let golden = std::fs::read(tests().join("golden/v1.trace")).unwrap();
    let mut bytes = golden[..BLOCK].to_vec();
    for (offset, word) in [(2_048, blocks as u64), (2_056, blocks as u64), (2_064, 2)] {
        bytes[offset..offset + 8].copy_from_slice(&word.to_le_bytes());
    }
    bytes[104..108].copy_from_slice(&(Stacks::Full as u32).to_le_bytes());
    for block in 0..blocks {
        let header = BlockHeader {
            state: State { sequence: block as u64, parity: 0, phase: Phase::Closed }.word(),
            totals: [0; 2],
            ident: BlockHeader::ident(kind(block)),
            base_ticks: 1_000,
            base_ns: 1_000,
            owner: owner(block),
            name: [0; 2],
            reserved: [0; 7],
        };
        bytes.extend_from_slice(bytemuck::bytes_of(&header));
        for slot in slots(block) {
            bytes.extend_from_slice(bytemuck::bytes_of(&slot));
        }
        bytes.resize((block + 2) * BLOCK, 0);
    }
    bytes
}

pub fn slot(kind: Kind, address: u64, size: u64, ticks: u32) -> Slot {
    Slot { word0: Slot::word0(kind, 0, address), word1: Slot::word1(size, ticks) }
}
