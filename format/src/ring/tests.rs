use super::*;

const OPENING: Opening =
    Opening { kind: BlockKind::Events, base_ticks: 5, base_ns: 6, owner: 7, name: [8, 9] };

fn word0(state: State, kind: Kind, address: u64) -> u64 {
    Slot::word0(kind, 0, address) | state.parity << PARITY_SHIFT
}

/// Uses the block once: `count` mallocs with addresses from `first`, then one unwritten slot.
fn use_block(block: &BlockCell, sequence: u64, first: u64, count: u64) -> State {
    let state = block.take(sequence).unwrap();
    block.open(state, &OPENING);
    for i in 0..count {
        block.slot(i as usize).unwrap().commit(word0(state, Kind::Malloc, first + i), i);
    }
    state
}

fn present(copy: &BlockCopy) -> Vec<u64> {
    let state = State::from_word(copy.header.state).unwrap();
    let mine = |slot: &&Slot| slot.raw_kind() != 0 && slot.parity() == state.parity;
    copy.slots.iter().filter(mine).map(|slot| slot.address()).collect()
}

#[test]
fn a_reused_block_shows_one_use_and_counts_the_others() {
    let block = BlockCell::unused();
    let mut copy = BlockCopy::EMPTY;
    let mut written = 0;
    for (round, count) in [1016u64, 3, 0, 1000, 7, 1016].into_iter().enumerate() {
        let sequence = round as u64 * 4;
        let state = use_block(&block, sequence, sequence * 10_000, count);
        assert_eq!(block.take(sequence + 1), Err(Refusal::InUse(7)));
        assert!(block.snapshot(&mut copy));
        let expected: Vec<u64> = (0..count).map(|i| sequence * 10_000 + i).collect();
        assert_eq!(present(&copy), expected, "open, round {round}");
        assert_eq!(copy.header.totals[(state.parity ^ 1) as usize], written);
        assert!(block.close(count as usize));
        assert!(block.snapshot(&mut copy));
        assert_eq!(present(&copy), expected, "closed, round {round}");
        written += count;
        assert_eq!(copy.header.totals[state.parity as usize], written);
        assert_eq!(block.take(sequence), Err(Refusal::Outrun));
    }
}

#[test]
fn a_block_with_an_unwritten_slot_stays_open_until_its_owner_is_dead() {
    let block = BlockCell::unused();
    let state = use_block(&block, 0, 100, 5);
    assert!(!block.close(6), "slot 5 was handed out");
    assert_eq!(block.take(1), Err(Refusal::InUse(7)));
    block.slot(5).unwrap().commit(word0(state, Kind::End, 0), 0);
    assert!(block.close(6));

    let state = use_block(&block, 1, 200, 2);
    block.slot(9).unwrap().commit(word0(state, Kind::Free, 209), 0);
    block.close_abandoned();
    let mut copy = BlockCopy::EMPTY;
    assert!(block.snapshot(&mut copy));
    assert_eq!(present(&copy), [200, 201, 209]);
    assert_eq!(copy.header.totals, [5 + 3, 5], "a marker is no moment");
    assert_eq!(copy.slots[2], Slot { word0: 0, word1: 2 }, "the old use's slot is wiped");
}
