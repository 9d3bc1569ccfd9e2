//! The protocol by which threads share the blocks of a file: a seqlock for each block.
//!
//! *The writer's half.* A thread [takes](BlockCell::take) the block of the cursor's number; if that
//! is still in use, it [skips it](take_next), since a block is never stolen from a living thread.
//! It [opens](BlockCell::open) the block, [commits](SlotCell::commit) slots, and
//! [closes](BlockCell::close) the block when it is full. The block of a dead thread is
//! [closed](BlockCell::close_abandoned) by the thread that becomes its only owner.
//!
//! *The reader's half.* [`BlockCell::snapshot`] copies a block that may change meanwhile, and says
//! whether the copy shows one single use of the block.
//!
//! The states of a block. Each arrow is one store to the state word, but for `take`, which is a
//! compare-and-swap:
//!
//! ```text
//!                              take: sequence = s, parity flips
//!  never used (0) ──────────────────────────┐
//!                                           v
//!      ┌────────┐  take: s is newer   ┌───────────┐       open       ┌────────┐
//!      │ Closed │ ──────────────────> │ Preparing │ ───────────────> │  Open  │ ─┐ commit
//!      └────────┘                     └───────────┘                  └────────┘ <┘ any number
//!           ^          nothing in it is to be read  base, owner, name    │         of slots
//!           │                                       are published        │
//!           └────────────────────────────────────────────────────────────┘
//!             close: every slot that was handed out is written; wipes the others,
//!                    sets totals[parity]
//!             close_abandoned: the owner is dead, and its unwritten slots are given up
//! ```
//!
//! The state word is the lock of a seqlock: sequence and parity change before any other word of a
//! new use does. A slot belongs to the present use if it carries its parity. Closing a block wipes
//! the slots that the use did not write, so a block holds slots of at most two successive uses at
//! any time, and one bit tells them apart without zeroing the block.

use crate::block::{BlockHeader, BlockKind, Phase, State};
use crate::kind::Kind;
use crate::layout::SLOTS;
use crate::slot::{PARITY_SHIFT, Slot};
use crate::sync::{AtomicU64, Ordering, fence};

/// Attempts of a reader to copy a block that is being reused meanwhile.
const SNAPSHOT_TRIES: usize = 16;

/// A slot in the shared mapping.
#[derive(Debug)]
#[repr(C)]
pub struct SlotCell {
    /// Publishes the slot: a kind, and the parity of the present use.
    word0: AtomicU64,
    /// Written before `word0`.
    word1: AtomicU64,
}

impl SlotCell {
    /// Writes the slot. `word0` carries the parity of the block's use.
    #[inline(always)]
    pub fn commit(&self, word0: u64, word1: u64) {
        // Relaxed: published by the store below.
        self.word1.store(word1, Ordering::Relaxed);
        // Release: pairs with the Acquire of word 0 in `BlockCell::snapshot`.
        self.word0.store(word0, Ordering::Release);
    }

    /// Its first word, for a reader that only asks whether it is written.
    pub fn peek(&self) -> Slot {
        // Relaxed: the reader copies the block if it is.
        Slot { word0: self.word0.load(Ordering::Relaxed), word1: 0 }
    }
}

/// A block in the shared mapping: a [`BlockHeader`] and its slots.
#[derive(Debug)]
#[repr(C)]
pub struct BlockCell {
    /// [`State`]. Moves from closed to preparing by compare-and-swap, otherwise written by the
    /// owner alone.
    state: AtomicU64,
    /// Written by the owner when it closes the block; `totals[1 - parity]` rests while it is open.
    totals: [AtomicU64; 2],
    ident: AtomicU64,
    base_ticks: AtomicU64,
    base_ns: AtomicU64,
    owner: AtomicU64,
    name: [AtomicU64; 2],
    reserved: [AtomicU64; 7],
    /// Written by the owner.
    slots: [SlotCell; SLOTS],
}

#[cfg(not(loom))]
const _: () =
    assert!(size_of::<BlockCell>() == crate::layout::BLOCK_SIZE, "blocks stand side by side");

/// The words of the header of a block that its owner sets when it opens the block.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// The kind of its contents.
    pub kind: BlockKind,
    /// Base of the ticks.
    pub base_ticks: u64,
    /// `CLOCK_MONOTONIC` nanoseconds at `base_ticks`.
    pub base_ns: u64,
    /// Thread ID in bits 0..32, anything in bits 32..64.
    pub owner: u64,
    /// The thread's name.
    pub name: [u64; 2],
}

/// The reason for which a block could not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is in use; the word is its [owner](Opening::owner).
    InUse(u64),
    /// Another claim is taking it, or a newer one has taken it.
    Outrun,
}

/// A copy of a block.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct BlockCopy {
    /// Its header.
    pub header: BlockHeader,
    /// Its slots, of the previous use as well.
    pub slots: [Slot; SLOTS],
}

impl BlockCopy {
    /// A block that was never used.
    pub const EMPTY: BlockCopy = BlockCopy {
        header: BlockHeader {
            state: 0,
            totals: [0; 2],
            ident: 0,
            base_ticks: 0,
            base_ns: 0,
            owner: 0,
            name: [0; 2],
            reserved: [0; 7],
        },
        slots: [Slot { word0: 0, word1: 0 }; SLOTS],
    };
}

/// Takes the next free block of a ring, after at most `tries` attempts. `block` maps a number of
/// the cursor to its block, if there is one now. `evict` gets the owner of a block that is in use, and returns `true` if
/// the owner was dead and the block is free now.
///
/// The cursor leaves a number only when the block is taken or skipped. A thread that stops in this
/// function therefore leaves no block whose use is older than those that are being overwritten: the
/// events of a thread in a ring have no gap.
pub fn take_next<'a>(
    cursor: &AtomicU64,
    tries: u64,
    block: impl Fn(u64) -> Option<&'a BlockCell>,
    evict: impl Fn(u64) -> bool,
) -> Option<(&'a BlockCell, State)> {
    (0..tries).find_map(|_| {
        // Acquire: pairs with the Release below.
        let sequence = cursor.load(Ordering::Acquire);
        let block = block(sequence)?;
        let mut taken = block.take(sequence);
        if let Err(Refusal::InUse(owner)) = taken
            && evict(owner)
        {
            taken = block.take(sequence);
        }
        // Release: pairs with the Acquire above: the owner of the next number comes after the end
        // of this one's turn. The exchange fails if another thread has moved the cursor.
        let (release, relaxed) = (Ordering::Release, Ordering::Relaxed);
        let _ = cursor.compare_exchange(sequence, sequence + 1, release, relaxed);
        taken.ok().map(|state| (block, state))
    })
}

impl BlockCell {
    /// Takes the block for claim `sequence`, which must come from the cursor. The caller is then
    /// the owner and must [`open`](BlockCell::open) the block.
    ///
    /// # Errors
    /// Another thread has it.
    pub fn take(&self, sequence: u64) -> Result<State, Refusal> {
        // Acquire: pairs with the Release in `finish`, so that the slots and totals of the last use
        // come before ours.
        let word = self.state.load(Ordering::Acquire);
        let Some(last) = State::from_word(word) else { return Err(Refusal::Outrun) };
        match last.phase {
            Phase::Closed if word == 0 || last.sequence < sequence => {}
            // Relaxed: the owner is a hint; a thread that acts on it synchronises by other means.
            Phase::Open => return Err(Refusal::InUse(self.owner.load(Ordering::Relaxed))),
            _ => return Err(Refusal::Outrun),
        }
        let state = State { sequence, parity: last.parity ^ 1, phase: Phase::Preparing };
        // Acquire on success: as above. On failure nothing is read after it.
        self.state
            .compare_exchange(word, state.word(), Ordering::Acquire, Ordering::Relaxed)
            .map_err(|_| Refusal::Outrun)?;
        Ok(state)
    }

    /// Opens a block that was just taken. Its slots may be written from here on.
    pub fn open(&self, taken: State, opening: &Opening) {
        // Release: pairs with the Acquire fence in `snapshot`. A reader that sees any of the
        // following stores also sees that the block has changed hands.
        fence(Ordering::Release);
        // Relaxed: published by the store of the state below.
        self.ident.store(BlockHeader::ident(opening.kind), Ordering::Relaxed);
        self.base_ticks.store(opening.base_ticks, Ordering::Relaxed);
        self.base_ns.store(opening.base_ns, Ordering::Relaxed);
        self.owner.store(opening.owner, Ordering::Relaxed);
        for (word, value) in self.name.iter().zip(opening.name) {
            word.store(value, Ordering::Relaxed);
        }
        // Release: pairs with the Acquire in `snapshot`, publishes the header of the block.
        self.state.store(taken.with_phase(Phase::Open).word(), Ordering::Release);
    }

    /// The state of the present use, for its owner.
    pub fn own_state(&self) -> Option<State> {
        // Relaxed: the owner wrote it.
        State::from_word(self.state.load(Ordering::Relaxed))
    }

    /// Closes an open block that belongs to the caller. Any thread may take it afterwards.
    ///
    /// `reserved` is the number of slots that were handed out. Returns `false` and leaves the block
    /// open if one of them is not written yet, because the signal handler that fills up the block
    /// has interrupted its hook. The caller then has to close the block later.
    #[must_use]
    pub fn close(&self, reserved: usize) -> bool {
        let Some(state) = self.own_state() else { return false };
        let (handed_out, rest) = self.slots.split_at(reserved.min(SLOTS));
        // This loop looks at every event, so it has no branches. Most blocks need nothing else.
        let moments = handed_out.iter().map(|slot| usize::from(state.is_moment(slot))).sum();
        if moments != handed_out.len() && !self.is_whole(reserved) {
            return false;
        }
        rest.iter().for_each(SlotCell::wipe);
        self.finish(state, moments);
        true
    }

    /// Closes an open block whose owner is dead. The caller must have become its only owner. Slots
    /// that were handed out and never written are given up.
    pub fn close_abandoned(&self) {
        let Some(state) = self.own_state() else { return };
        let mut moments = 0;
        for slot in &self.slots {
            match state.in_use(slot) {
                Some(kind) => moments += usize::from(kind < Kind::Start as u8),
                None => slot.wipe(),
            }
        }
        self.finish(state, moments);
    }

    /// Whether each of the first `reserved` slots of a block that belongs to the caller is written.
    pub fn is_whole(&self, reserved: usize) -> bool {
        let state = self.own_state();
        state.is_some_and(|state| {
            self.slots.iter().take(reserved).all(|slot| state.in_use(slot).is_some())
        })
    }

    fn finish(&self, state: State, moments: usize) {
        let [this, other] = [state.parity as usize & 1, state.parity as usize & 1 ^ 1];
        // Relaxed: only the owner writes totals, and the store below publishes them.
        let before = self.totals[other].load(Ordering::Relaxed);
        self.totals[this].store(before.wrapping_add(moments as u64), Ordering::Relaxed);
        // Release: pairs with the Acquire in `take`.
        self.state.store(state.with_phase(Phase::Closed).word(), Ordering::Release);
    }

    /// The slot at this position.
    pub fn slot(&self, position: usize) -> Option<&SlotCell> {
        self.slots.get(position)
    }

    /// Copies the block, which other threads may write to meanwhile. `true`: the copy shows one use
    /// of the block; slots with its parity are whole, and every slot that was written before the
    /// call is there. `false`: the block was reused during every attempt.
    #[must_use]
    pub fn snapshot(&self, copy: &mut BlockCopy) -> bool {
        (0..SNAPSHOT_TRIES).any(|_| self.try_snapshot(copy))
    }

    /// Copies the header alone. Its words may be of two uses of the block.
    pub fn peek(&self) -> BlockHeader {
        // Relaxed: ordered by the Acquire of the state, and by the fence in `try_snapshot`.
        let read = |word: &AtomicU64| word.load(Ordering::Relaxed);
        BlockHeader {
            // Acquire: pairs with the Release of the state in `open`: the rest is at least that
            // new.
            state: self.state.load(Ordering::Acquire),
            totals: [read(&self.totals[0]), read(&self.totals[1])],
            ident: read(&self.ident),
            base_ticks: read(&self.base_ticks),
            base_ns: read(&self.base_ns),
            owner: read(&self.owner),
            name: [read(&self.name[0]), read(&self.name[1])],
            reserved: [0; 7],
        }
    }

    fn try_snapshot(&self, copy: &mut BlockCopy) -> bool {
        copy.header = self.peek();
        let before = copy.header.state;
        for (to, from) in copy.slots.iter_mut().zip(&self.slots) {
            // Acquire: pairs with the Release in `commit`: word 1 is at least that new.
            to.word0 = from.word0.load(Ordering::Acquire);
            // Relaxed: ordered by the load above and the fence below.
            to.word1 = from.word1.load(Ordering::Relaxed);
        }
        // Acquire: pairs with the Release fence in `open`: if anything above came from a later use,
        // the state below is that use's.
        fence(Ordering::Acquire);
        let after = self.state.load(Ordering::Relaxed);
        // The phase may have moved from open to closed, which changes no slot that was written.
        before >> 2 == after >> 2
    }
}

impl State {
    /// The raw kind of the slot if this use of the block wrote it.
    fn in_use(self, slot: &SlotCell) -> Option<u8> {
        // Relaxed: slots of the caller, or of an owner whose death the caller has seen.
        let word0 = slot.word0.load(Ordering::Relaxed);
        let kind = Slot { word0, word1: 0 }.raw_kind();
        (kind != 0 && (word0 >> PARITY_SHIFT) & 1 == self.parity).then_some(kind)
    }

    /// Whether this use of the block wrote a call moment there.
    fn is_moment(self, slot: &SlotCell) -> bool {
        const UP: u32 = 63 - PARITY_SHIFT;
        const KIND: u64 = 1 << (48 + UP);
        // Relaxed: as in `in_use`.
        let word0 = slot.word0.load(Ordering::Relaxed);
        // The parity is the uppermost bit, the kind is below it: one comparison is enough.
        let up = (word0 << UP).wrapping_sub(self.parity << 63);
        up.wrapping_sub(KIND) < (Kind::Start as u64 - 1) * KIND
    }
}

impl SlotCell {
    /// Makes the slot one that is not written.
    fn wipe(&self) {
        // Relaxed: only the owner writes. A reader that sees a slot of an earlier use instead
        // ignores it for its parity. Slots that were never written may lie in pages that have no
        // space: those must not be touched.
        if self.word0.load(Ordering::Relaxed) != 0 {
            self.word0.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(any(test, loom))]
impl BlockCell {
    /// A block that was never used, outside of any file.
    pub fn unused() -> BlockCell {
        let zero = || AtomicU64::new(0);
        BlockCell {
            state: zero(),
            totals: [zero(), zero()],
            ident: zero(),
            base_ticks: zero(),
            base_ns: zero(),
            owner: zero(),
            name: [zero(), zero()],
            reserved: std::array::from_fn(|_| zero()),
            slots: std::array::from_fn(|_| SlotCell { word0: zero(), word1: zero() }),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom;
