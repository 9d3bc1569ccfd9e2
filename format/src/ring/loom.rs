//! Exhaustive models. Run with `RUSTFLAGS="--cfg loom" cargo test -p mallook-format
//! --release --lib ring`.

use ::loom::sync::Arc;
use ::loom::thread;

use super::*;

const OPENING: Opening =
    Opening { kind: BlockKind::Events, base_ticks: 0, base_ns: 0, owner: 1, name: [0; 2] };

/// Explores every execution with up to this many involuntary switches between the threads.
const PREEMPTIONS: usize = 2;

fn bounded(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = ::loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(model);
}

struct Ring {
    cursor: AtomicU64,
    blocks: [BlockCell; 2],
}

impl Ring {
    fn new() -> Arc<Ring> {
        let blocks = std::array::from_fn(|_| BlockCell::unused());
        Arc::new(Ring { cursor: AtomicU64::new(0), blocks })
    }

    /// The block that a number stands for.
    fn block(&self, sequence: u64) -> &BlockCell {
        &self.blocks[sequence as usize % self.blocks.len()]
    }

    /// The writer's claim.
    fn claim(&self, tries: u64) -> Option<(&BlockCell, State)> {
        let (block, state) =
            take_next(&self.cursor, tries, |sequence| Some(self.block(sequence)), |_| false)?;
        block.open(state, &OPENING);
        Some((block, state))
    }
}

/// Address and size repeat the sequence, so that a slot mixed from two uses shows.
fn commit(block: &BlockCell, state: State, position: usize) {
    let value = state.sequence + 1;
    let word0 = Slot::word0(Kind::Malloc, 0, value) | state.parity << PARITY_SHIFT;
    block.slots[position].commit(word0, value);
}

/// Every slot that the copy shows as present must be whole and of the copy's own use.
fn check(copy: &BlockCopy) -> usize {
    let state = State::from_word(copy.header.state).unwrap();
    let mut present = 0;
    if state.phase == Phase::Preparing {
        return 0;
    }
    for slot in copy.slots {
        if slot.raw_kind() != 0 && slot.parity() == state.parity {
            assert_eq!(slot.address(), state.sequence + 1, "a slot of another use");
            assert_eq!(slot.word1, state.sequence + 1, "a torn slot");
            present += 1;
        }
    }
    present
}

/// A block that was just opened shows nothing of earlier uses.
fn check_fresh(block: &BlockCell) {
    let mut copy = BlockCopy::EMPTY;
    assert!(block.try_snapshot(&mut copy));
    assert_eq!(check(&copy), 0);
}

/// Commit against a reader, over two uses of one block, the second of them partly filled, and the
/// beginning of a third one.
#[test]
fn a_reader_sees_whole_slots_of_one_use() {
    bounded(|| {
        let block = Arc::new(BlockCell::unused());
        let writer = thread::spawn({
            let block = block.clone();
            move || {
                for (sequence, slots) in [(0, 2), (1, 1)] {
                    let state = block.take(sequence).unwrap();
                    block.open(state, &OPENING);
                    (0..slots).for_each(|position| commit(&block, state, position));
                    assert!(block.close(slots));
                }
            }
        });
        let mut copy = BlockCopy::EMPTY;
        if block.try_snapshot(&mut copy) {
            check(&copy);
        }
        writer.join().unwrap();
        assert!(block.try_snapshot(&mut copy));
        assert_eq!(check(&copy), 1);
        assert_eq!(copy.header.totals, [3, 2], "all, and the overwritten");
        block.open(block.take(2).unwrap(), &OPENING);
        check_fresh(&block);
    });
}

/// Two threads that each claim, fill and close twice in a ring of two blocks: nobody writes where
/// somebody else does, and the moments that are present and that were overwritten add up.
#[test]
fn claims_are_exclusive_and_every_moment_is_accounted_for() {
    bounded(|| {
        let ring = Ring::new();
        let work = |ring: &Ring| {
            let mut written = 0;
            for _ in 0..2 {
                if let Some((block, state)) = ring.claim(2) {
                    commit(block, state, 0);
                    assert!(block.close(1), "somebody else wrote here");
                    written += 1;
                }
            }
            written
        };
        let other = thread::spawn({
            let ring = ring.clone();
            move || work(&ring)
        });
        let written = work(&ring) + other.join().unwrap();
        let mut accounted = 0;
        for block in &ring.blocks {
            let mut copy = BlockCopy::EMPTY;
            assert!(block.try_snapshot(&mut copy));
            let parity = State::from_word(copy.header.state).unwrap().parity as usize;
            accounted += check(&copy) as u64 + copy.header.totals[parity ^ 1];
        }
        assert_eq!(accounted, written);
    });
}

/// A thread that stops anywhere in its claim, as when all are killed, leaves no block with an older
/// use that the others have passed.
#[test]
fn no_older_use_is_left_between_newer_ones() {
    bounded(|| {
        let ring = Ring::new();
        for _ in 0..2 {
            let (block, _) = ring.claim(1).unwrap();
            assert!(block.close(0));
        }
        let stopping = thread::spawn({
            let ring = ring.clone();
            move || {
                ring.claim(2);
            }
        });
        for _ in 0..2 {
            let Some((block, taken)) = ring.claim(2) else { continue };
            let before = taken.sequence - 1;
            let there = ring.block(before).own_state().expect("a state");
            assert!(there.phase != Phase::Closed || there.sequence == before, "{there:?}");
            assert!(block.close(0));
        }
        stopping.join().unwrap();
    });
}

/// A slow thread keeps its block open: others skip it, and its late slot is not lost.
#[test]
fn an_open_block_is_skipped() {
    bounded(|| {
        let ring = Ring::new();
        let (slow, state) = ring.claim(1).unwrap();
        let other = thread::spawn({
            let ring = ring.clone();
            move || {
                for _ in 0..2 {
                    let (block, state) = ring.claim(2).expect("one block is always free");
                    assert_ne!(state.sequence % 2, 0, "the slow thread's block");
                    commit(block, state, 0);
                    assert!(block.close(1));
                }
            }
        });
        commit(slow, state, 0);
        other.join().unwrap();
        let mut copy = BlockCopy::EMPTY;
        assert!(slow.try_snapshot(&mut copy));
        assert_eq!(check(&copy), 1);
        assert!(slow.close(1));
    });
}

/// A thread dies within a hook: its first slot was handed out and never written. Whoever becomes
/// the block's owner closes it, while others claim and a reader looks: what was committed is kept,
/// the gap is no slot, and the block can be had again.
#[test]
fn the_block_of_a_dead_thread_is_reclaimed() {
    bounded(|| {
        let ring = Ring::new();
        for slots in [2, 0] {
            let (block, state) = ring.claim(1).unwrap();
            (0..slots).for_each(|position| commit(block, state, position));
            assert!(block.close(slots));
        }
        let (block, state) = ring.claim(1).unwrap();
        // A thread that has seen the death sees what the dead thread has written.
        commit(block, state, 1);
        let heir = thread::spawn({
            let ring = ring.clone();
            move || ring.blocks[0].close_abandoned()
        });
        let claimer = thread::spawn({
            let ring = ring.clone();
            move || {
                ring.claim(3).map(|(block, state)| {
                    check_fresh(block);
                    commit(block, state, 0);
                    assert!(block.close(1), "somebody else wrote here");
                })
            }
        });
        let mut copy = BlockCopy::EMPTY;
        if ring.blocks[0].try_snapshot(&mut copy) {
            assert!(check(&copy) <= 1);
        }
        heir.join().unwrap();
        claimer.join().unwrap().expect("the other block was free all the time");
        let (block, state) = ring.claim(2).expect("nobody has a block");
        check_fresh(block);
        assert!(block.close(0));
        assert!(state.sequence > 0);
        let accounted: u64 = (ring.blocks.iter())
            .map(|block| {
                assert!(block.try_snapshot(&mut copy));
                let parity = State::from_word(copy.header.state).unwrap().parity as usize;
                check(&copy) as u64 + copy.header.totals[parity ^ 1]
            })
            .sum();
        assert_eq!(accounted, 4, "the first use, what the dead thread committed, and the claimer");
    });
}

/// The number of slots from the first on without a gap, as a reader takes them from a block that is
/// being written.
fn prefix(copy: &BlockCopy) -> usize {
    let state = State::from_word(copy.header.state).unwrap();
    if state.phase == Phase::Preparing || copy.header.ident == 0 {
        return 0;
    }
    let written = |slot: &&Slot| slot.raw_kind() != 0 && slot.parity() == state.parity;
    copy.slots.iter().take_while(written).count()
}

/// A look of a live reader: how many slots it may take from a block that changes hands at most once
/// meanwhile.
fn look(block: &BlockCell) -> usize {
    let mut copy = BlockCopy::EMPTY;
    assert!((0..2).any(|_| block.try_snapshot(&mut copy)));
    check(&copy);
    prefix(&copy)
}

/// The prefix that a live reader may take from a block grows and is never taken back.
#[test]
fn a_live_reader_sees_a_growing_prefix() {
    bounded(|| {
        let ring = Ring::new();
        let (_, state) = ring.claim(1).unwrap();
        let writer = thread::spawn({
            let ring = ring.clone();
            move || {
                (0..2).for_each(|position| commit(&ring.blocks[0], state, position));
                assert!(ring.blocks[0].close(2));
            }
        });
        let first = look(&ring.blocks[0]);
        assert!(look(&ring.blocks[0]) >= first, "what was there is there");
        writer.join().unwrap();
        assert_eq!(look(&ring.blocks[0]), 2);
    });
}

/// A thread that fills one block and goes on in another: a reader that has seen anything of the
/// second one, and then looks at the first one, finds that complete.
#[test]
fn a_live_reader_misses_nothing_between_blocks() {
    bounded(|| {
        let ring = Ring::new();
        let (_, state) = ring.claim(1).unwrap();
        commit(&ring.blocks[0], state, 0);
        let writer = thread::spawn({
            let ring = ring.clone();
            move || {
                commit(&ring.blocks[0], state, 1);
                assert!(ring.blocks[0].close(2));
                let (block, state) = ring.claim(1).unwrap();
                commit(block, state, 0);
            }
        });
        let second = look(&ring.blocks[1]);
        let first = look(&ring.blocks[0]);
        assert!(second == 0 || first == 2, "the first block was full before");
        writer.join().unwrap();
    });
}
