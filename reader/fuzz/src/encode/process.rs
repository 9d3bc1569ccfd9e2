//! The content of a trace to be written.

use std::collections::BTreeMap;

use mallook_format::Stacks;

/// A moment to be written.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    pub thread: u32,
    /// The raw [`Kind`].
    pub kind: u8,
    pub address: u64,
    pub size: u64,
    /// The part of `aux` that is no number of a stack.
    pub aux: u8,
    /// From the outermost frame on; empty for none.
    pub stack: Vec<u32>,
    /// How it is written, where the format leaves a choice.
    pub way: Way,
}

/// How a moment is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Way {
    /// Defines a stack anew that has a number already.
    pub again: bool,
    /// Names the stack in a slot of its own.
    pub in_slot: bool,
    /// Gives the stack no number.
    pub apart: bool,
    /// Keeps fewer frames of the last stack than it could: this many.
    pub fewer: usize,
    /// Begins a new block.
    pub block: bool,
    /// The thread goes on in the block of this one, which has ended.
    pub heir_of: Option<u32>,
}

/// A module of the process.
#[derive(Clone, Debug)]
pub struct Module {
    pub path: Vec<u8>,
    pub build_id: Vec<u8>,
    pub start: u64,
    pub pages: u32,
    pub bias: u64,
    pub generation: u32,
}

/// Where a site is, and its kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    pub address: u64,
    /// The raw [`SiteKind`](mallook_format::SiteKind).
    pub kind: u8,
    /// From 1 on; 0 for none.
    pub module: u32,
}

/// The properties of the process.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// Number of the blocks of a ring.
    pub ring: Option<u64>,
    pub modules: Vec<Module>,
    /// Sites without a place are written with one.
    pub places: BTreeMap<u32, Place>,
    /// Ticks after [`START`](super::START), and texts.
    pub marks: Vec<(u64, Vec<u8>)>,
    /// How stacks were taken.
    pub stacks: Option<Stacks>,
}
