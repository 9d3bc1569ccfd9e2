//! The slots of a block, decoded to moments.
//!
//! The law of the modules:
//!
//! ```text
//! moment              one moment, and batches of them
//! slots               the decoder of one block
//! ```

mod moment;
mod slots;

pub use moment::{Batch, Moment, Moments};
pub use slots::{Decoded, Decoder, copied, moments, moments_with_stacks, thread_name};
