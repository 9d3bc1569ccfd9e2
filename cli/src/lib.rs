//! The command lines of `mallook` and of `mallook-dump`, which are two thin programs over this
//! library. A module of a command holds its options and what it does.
//!
//! The law of the modules: each uses only modules of the rows above it and to its left in its row.
//!
//! ```text
//! messages escape shell  lines on stderr; text of others; command lines to paste
//! units value fit paint  numbers for people; values of options; columns; colours
//! progress chart table   a bar for people who wait; live memory over time; tables of text
//! output                 where output goes
//! stacks                 call stacks, and the names of their frames
//! unpack input verdict   traces that are compressed; the traces that are read; limits
//! selection reading      the traces and events that are wanted; the frame of reading commands
//! print                  events as text, csv, …
//! target                 the traces of running processes
//! dump check follow      the commands that print events
//! control ctl            control of running processes; the command that has it
//! export                 the command that writes the formats of other programs
//! cut merge snapshot     the commands that write traces
//! moment place plot      moments that options name; who asks for memory; charts
//! mark paused            moments that somebody has named; ranges in which recording paused
//! coverage               gaps of the recording, and the range of a cut
//! symbolize              the command that writes names into files
//! gather suppress        traces to figures; memory that is no leak
//! leaks timeline         what is alive, and who has made it; what is alive over time
//! diff fragmentation     two runs compared; live bytes against the pages that hold them
//! summary stats          the commands that say what the memory of a program does
//! top                    the command that shows running processes
//! report                 the command that writes a page for a browser
//! serve                  the command that answers questions of that page
//! info                   the command that sums traces up: as text, as a table, as JSON
//! run                    the command that records a program; the preloaded library
//! generate               the command that writes manual pages and completions
//! hint                   the line that a mistyped command line stands for
//! mallook_dump mallook   the two grammars
//! ```

#![warn(missing_docs)]

mod chart;
mod check;
mod control;
mod coverage;
mod ctl;
mod cut;
mod diff;
mod dump;
mod escape;
mod export;
mod fit;
mod follow;
mod fragmentation;
mod gather;
mod generate;
mod hint;
mod info;
mod input;
mod leaks;
pub mod mallook;
pub mod mallook_dump;
mod mark;
mod merge;
mod messages;
mod moment;
mod output;
mod paint;
mod paused;
mod place;
mod plot;
mod print;
mod progress;
mod reading;
mod report;
mod run;
mod selection;
mod serve;
mod shell;
mod snapshot;
mod stacks;
mod stats;
mod summary;
mod suppress;
mod symbolize;
mod table;
mod target;
mod timeline;
mod top;
mod units;
mod unpack;
mod value;
mod verdict;
