//! The command lines of `mallook` and of `mallook-dump`, which are two thin programs over this
//! library. A module of a command holds its options and what it does.
//!
//! The law of the modules, each of which uses only those above it and to the left of it:
//!
//! ```text
//! messages escape shell units value  lines on stderr; text of others; lines to paste; numbers for people; values of options
//! output input selection             where output goes; the traces that are read; the traces and events that are wanted
//! reading                            what the commands that read have in common
//! print dump check follow            the commands that print events
//! info                               the command that sums traces up: as text, as a table, as JSON
//! run                                the command that records a program; the preloaded library
//! generate                           the command that writes manual pages and completions
//! hint                               what was meant by a command line without a command
//! mallook_dump mallook               the two grammars
//! ```

#![warn(missing_docs)]

mod check;
mod dump;
mod escape;
mod follow;
mod generate;
mod hint;
mod info;
mod input;
pub mod mallook;
pub mod mallook_dump;
mod messages;
mod output;
mod print;
mod reading;
mod run;
mod selection;
mod shell;
mod units;
mod value;
