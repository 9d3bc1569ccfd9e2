//! The call stacks of a trace.
//!
//! A stack is a path of call sites, from the outermost frame on. Paths that begin alike share their
//! beginning: they are a trie, and a stack is one of its nodes. Equal stacks are the same node,
//! whatever thread or block they come from.
//!
//! The law of the modules:
//!
//! ```text
//! nodes interner      the trie; finds or makes the nodes of stacks
//! dictionary trie     the stacks of a block, by the numbers that its slots give them; of all blocks
//! module sites name   the modules, and the call sites, as the trace lists them; their names
//! stacks              a stack's frames
//! symbolize           finds the names of call sites
//! ```

mod dictionary;
mod interner;
mod module;
mod name;
mod nodes;
mod sites;
mod stacks;
#[cfg(feature = "symbols")]
mod symbolize;
mod trie;

pub use dictionary::{Dictionary, NoStacks, Outermost, SlotStacks};
pub use module::Module;
pub use name::FrameName;
pub use stacks::{Frame, FrameKind, Frames, SiteNames, StackId, Stacks};
#[cfg(feature = "symbols")]
pub use symbolize::ModuleNames;
pub use trie::Trie;
