//! Figures of the memory of traced programs, from the events of `mallook-reader`. No file, no terminal, no
//! thread of its own.
//!
//! [`Replay`] keeps the live memory of each process and tells an [`Analysis`] its births and deaths;
//! [`Figures`] is one with all figures that were asked for, after one pass:
//!
//! ```
//! use mallook_analysis::{Figures, Wanted};
//! use mallook_reader::{MergedEvents, Trace};
//!
//! # fn main() -> Result<(), mallook_reader::Error> {
//! let traces = [Trace::open("../tests/golden/v1.trace".as_ref())?];
//! // Threads of the scope decode while this one counts.
//! let figures = std::thread::scope(|scope| {
//!     let mut events = MergedEvents::prefetching(&traces, scope);
//!     Figures::of(&traces, &mut events, Wanted { lifetimes: true, ..Wanted::default() })
//! });
//! let peak = figures.totals.peak();
//! assert_eq!((peak.most.bytes, peak.most.blocks), (4_295_267_318, 2));
//! assert_eq!(figures.lifetimes.unwrap().time.count(), 15);
//! # Ok(()) }
//! ```
//!
//! # Terms
//!
//! A *birth* is a successful allocation, or the new block of a reallocation; a *death* is a free, or the
//! old block of a reallocation. A size is the one that was asked for. The *peak* is the largest live size
//! after any event, and the first moment that reached it. A block is *temporary* if the thread that made it
//! frees it with at most N other births of that thread in between, *grown* if it is reallocated, and
//! *crossed* if another thread than its maker frees or reallocates it.
//!
//! A process whose trace has ended has no memory: the peak of several processes is that of the sum over the
//! traces that had not ended. A free of an unknown block is no error: it was born in the parent before a
//! fork, or before a ring's window.
//!
//! Memory is bounded by the most blocks that live at once, 256 bytes each (64 in a table of which a quarter
//! is full when it is made), by the number of places (a million at the most; 4096 pairs of size and thread,
//! and classes of sizes beyond that), and threads (65 536).
//!
//! # The law of the modules
//!
//! A module uses only modules of rows above its own, and modules to its left.
//!
//! ```text
//! histogram thread place      counts by powers; numbers of threads and of places
//! live                        the blocks that are alive
//! change                      births and deaths
//! replay                      events to changes
//! amount peak account         numbers of blocks; the peak; the cost of a part of all memory
//! totals timeline slices      figures of all, and over time
//! pauses                      when recording paused
//! thread_accounts sizes maxima  accounts by thread, by size; the most that each has had
//! sites crossings             accounts by place; who frees whose memory
//! cell cells lives            the same over time; sizes and lifetimes
//! lifetimes chains functions  further figures
//! compare stop                two sets of runs; a pass up to a moment
//! survivors                   the live memory then
//! pages series                pages that hold memory; two sizes over time
//! fragmentation               live bytes against pages
//! pass                        all of them at once
//! frames tree                 the functions of call stacks, and trees of them
//! ```

mod account;
mod amount;
mod cell;
mod cells;
mod chains;
mod change;
mod compare;
mod crossings;
mod fragmentation;
mod frames;
mod functions;
mod histogram;
mod lifetimes;
mod live;
mod lives;
mod maxima;
mod pages;
mod pass;
mod pauses;
mod peak;
mod place;
mod replay;
mod series;
mod sites;
mod sizes;
mod slices;
mod stop;
mod survivors;
mod thread;
mod thread_accounts;
mod timeline;
mod totals;
mod tree;

pub use account::Account;
pub use amount::Amount;
pub use cell::{Cell, Key, Lived, Slice};
pub use cells::Cells;
pub use chains::Chains;
pub use change::{Analysis, Birth, Cause, Death, Moment, Origin};
pub use compare::{Comparison, Spread};
pub use crossings::Crossings;
pub use fragmentation::{Extent, Fill, Fragmentation, Pin};
pub use frames::Function;
pub use functions::{Calls, Functions};
pub use histogram::{Powers, Quantiles};
pub use lifetimes::Lifetimes;
pub use live::{Block, LiveSet};
pub use lives::{Lives, SizesOfLives};
pub use maxima::Maxima;
pub use pass::{Figures, Wanted};
pub use pauses::{Pause, Pauses};
pub use peak::Peak;
pub use place::{Place, PlaceId, Places};
pub use replay::Replay;
pub use series::{Series, Span};
pub use sites::Sites;
pub use sizes::{ExactSizes, Sizes};
pub use slices::{Slices, Top};
pub use stop::{PeakEvent, Stop, When};
pub use survivors::{Example, Group, Survival, Survivors};
pub use thread::{Thread, ThreadId, Threads};
pub use thread_accounts::ThreadAccounts;
pub use timeline::{Interval, Timeline};
pub use totals::{Sums, Totals};
pub use tree::{Costs, Name, Node, Tree};
