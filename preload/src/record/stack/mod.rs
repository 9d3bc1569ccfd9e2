//! Call stacks: what a thread and its process keep of them.
//!
//! The law of the modules: a module uses only modules of rows above it, and those to the left of it
//! in its row.
//!
//! ```text
//! encoder            a block's knowledge of the stacks of its thread, and a stack's addition to it
//! memory             the memory of each thread for its last stack
//! modules listing    which modules the trace has; a place for the sites that the unwinder finds
//! ```

pub mod encoder;
pub mod listing;
pub mod memory;
pub mod modules;
