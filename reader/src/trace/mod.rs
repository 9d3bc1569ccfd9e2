//! One trace: its header, its blocks, its clock, and its damage.
//!
//! The law of the modules:
//!
//! ```text
//! process             whether a process still writes its trace
//! damage range        damaged places; time ranges
//! clock_sync          instants on both clocks
//! clock_line          a clock that was set back
//! block               where one block of events is
//! file                the header, and access to the blocks of a file
//! ending              how recording ended, and whether the process still runs
//! control             pauses, and moments that somebody has named
//! blocks site_blocks  find the blocks of events, and those of call sites
//! clock               ticks to Unix time
//! ```

mod block;
mod blocks;
mod clock;
mod clock_line;
mod clock_sync;
mod control;
mod damage;
mod ending;
mod file;
mod process;
mod range;
mod site_blocks;

pub use block::Block;
pub use blocks::Blocks;
pub use clock::ClockMap;
pub(crate) use clock::{Converter, FIRST_BLOCKS};
pub(crate) use clock_line::{ClockLine, FAR};
pub(crate) use clock_sync::{ClockSync, syncs_within};
pub use control::Mark;
pub use damage::{Damage, DamageKind};
pub use file::Trace;
pub use process::Liveness;
pub use range::Range;
pub(crate) use site_blocks::SiteBlocks;
