//! The effects of events on the live memory.

use mallook_reader::{Call, EventKind, Kind, StackId};

use crate::live::Block;
use crate::thread::ThreadId;

/// When something happens, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Unix time in nanoseconds.
    pub time_ns: u64,
    /// The position of the trace among those that are read.
    pub trace: u32,
    /// The thread.
    pub thread: ThreadId,
}

/// A block is born.
#[derive(Clone, Copy, Debug)]
pub struct Birth<'a> {
    /// When, and in which thread.
    pub at: Moment,
    /// The block.
    pub block: &'a Block,
    /// The block that a reallocation has made it of.
    pub from: Option<Origin>,
    /// The call.
    pub call: &'a Call,
    /// The call stack, if it was recorded and asked for.
    pub stack: Option<StackId>,
}

/// The block that a reallocation has made another one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its size in bytes.
    pub size: u64,
    /// The new block is at another address.
    pub moved: bool,
    /// Its death was seen before, as one that is [`Cause::Replaced`]: the allocator had given its address
    /// to another thread before the reallocation ended.
    pub was_replaced: bool,
}

/// A block dies.
#[derive(Clone, Copy, Debug)]
pub struct Death<'a> {
    /// When, and in which thread.
    pub at: Moment,
    /// The block.
    pub block: &'a Block,
    /// Why.
    pub cause: Cause,
    /// The stack of the call, if stacks of releases were recorded and asked for.
    pub stack: Option<StackId>,
    /// Births of the thread that has made the block, since.
    pub births_of_thread: u64,
    /// Births of the process since.
    pub births: u64,
}

/// Why a block dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is freed, by this function.
    Freed(Kind),
    /// It is reallocated; the birth of the new block follows at once, in the same event.
    Grown,
    /// Its address is given out again: how it was freed is not in the trace. The birth of the new block
    /// follows at once, in the same event.
    Replaced,
}

impl Death<'_> {
    /// Another thread than that which has made it.
    pub fn is_crossed(&self) -> bool {
        self.at.thread != self.block.thread
    }

    /// Time from the birth to the death, in nanoseconds.
    pub fn age_ns(&self) -> u64 {
        self.at.time_ns.saturating_sub(self.block.birth_ns)
    }

    /// It was freed by the thread that has made it, with this number of other births of that thread in
    /// between at the most.
    pub fn is_temporary(&self, threshold: u64) -> bool {
        matches!(self.cause, Cause::Freed(_))
            && !self.is_crossed()
            && self.births_of_thread <= threshold
    }
}

/// Something that looks at changes: a step of the pass over all events. What it does not want to know
/// costs nothing.
pub trait Analysis {
    /// A function of the allocator was called; what that does follows.
    #[inline]
    fn call(&mut self, _at: &Moment, _call: &Call) {}

    /// A block is born.
    #[inline]
    fn birth(&mut self, _birth: &Birth) {}

    /// A block dies.
    #[inline]
    fn death(&mut self, _death: &Death) {}

    /// An allocation fails.
    #[inline]
    fn failure(&mut self, _at: &Moment, _call: &Call) {}

    /// A block dies that was born before the trace began, in the parent before a fork, or in an
    /// allocator that was called directly.
    #[inline]
    fn unknown_death(&mut self, _at: &Moment, _address: u64) {}

    /// Any other event: a marker, or that events are missing.
    #[inline]
    fn other(&mut self, _at: &Moment, _kind: &EventKind) {}

    /// A block is alive when its process ends, or the trace of that does.
    #[inline]
    fn left(&mut self, _at: &Moment, _block: &Block) {}

    /// A trace has ended; the blocks that were alive were said.
    #[inline]
    fn end(&mut self, _at: &Moment) {}
}

impl<A: Analysis> Analysis for Option<A> {
    #[inline]
    fn call(&mut self, at: &Moment, call: &Call) {
        if let Some(it) = self {
            it.call(at, call);
        }
    }

    #[inline]
    fn birth(&mut self, birth: &Birth) {
        if let Some(it) = self {
            it.birth(birth);
        }
    }

    #[inline]
    fn death(&mut self, death: &Death) {
        if let Some(it) = self {
            it.death(death);
        }
    }

    #[inline]
    fn failure(&mut self, at: &Moment, call: &Call) {
        if let Some(it) = self {
            it.failure(at, call);
        }
    }

    #[inline]
    fn unknown_death(&mut self, at: &Moment, address: u64) {
        if let Some(it) = self {
            it.unknown_death(at, address);
        }
    }

    #[inline]
    fn other(&mut self, at: &Moment, kind: &EventKind) {
        if let Some(it) = self {
            it.other(at, kind);
        }
    }

    #[inline]
    fn left(&mut self, at: &Moment, block: &Block) {
        if let Some(it) = self {
            it.left(at, block);
        }
    }

    #[inline]
    fn end(&mut self, at: &Moment) {
        if let Some(it) = self {
            it.end(at);
        }
    }
}
