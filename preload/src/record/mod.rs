//! One event: from the call to its slot.
//!
//! The law of the modules: a module uses only modules of rows above it, and those to the left of it
//! in its row. The memory of the process is passed down as far as `refill`; only `wiped` and the
//! paths below it name the static.
//!
//! ```text
//! burst names     the slots that share a read of the coarse clock; names of threads
//! thread_buffer   a thread's block, and its next slot
//! reclaim         closes the blocks of a buffer, of a dead thread too
//! table owner     the memory of the thread buffers, and which thread owns which
//! moment refill   the slots of an event; where the next block comes from
//! stack           what a thread and its process keep of call stacks
//! wiped           all memory of a process, which the kernel zeroes in a forked child
//! since slow      the events of a thread since a moment; one event by the slow side
//! pause           whether it records at all
//! cold hot        one event: what is rare, and what is frequent
//! call            one event with its call stack
//! ```

pub mod burst;
pub mod call;
pub mod cold;
pub mod hot;
pub mod moment;
pub mod names;
pub mod owner;
pub mod pause;
pub mod reclaim;
pub mod refill;
pub mod since;
mod slow;
pub mod stack;
pub mod table;
pub mod thread_buffer;
pub mod wiped;
