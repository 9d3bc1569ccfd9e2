//! The mallook trace format, version 1, byte by byte, and the ring protocol that fills it.
//!
//! One traced process writes one file through a shared mapping. The file is a row of blocks of
//! [`BLOCK_SIZE`] bytes; block 0 is the [header](FileHeader), every other one holds 16-byte
//! [slots](Slot) of one thread at a time. All numbers are little-endian. Bytes called *reserved*
//! are zero when written and ignored when read.
//!
//! ```text
//! byte 0          16384            32768            49152
//! | header         | block of       | block of       | …
//! |                | thread 17      | thread 18      |
//! ```
//!
//! # Header
//!
//! | bytes | field | meaning |
//! |---|---|---|
//! | 0..8 | `magic` | `"MALLOOK\0"` |
//! | 8..12 | `version` | 1 |
//! | 12..16, 16..20, 20..24 | `header_size`, `block_size`, `slot_size` | 16384, 16384, 16 |
//! | 24..28 | `mode` | 1 = full, 2 = ring ([`Mode`]) |
//! | 28..32 | `clock` | 1 = TSC, 2 = `CLOCK_MONOTONIC`, 3 = coarse TSC ([`Clock`]) |
//! | 32..40 | `ring_blocks` | number of blocks behind the header in a ring, 0 in full mode; may shrink |
//! | 40..48 | `max_blocks` | the bound on blocks in full mode, 0 for none |
//! | 48..56, 56..64, 64..72 | `ticks`, `monotonic_ns`, `realtime_ns` | one moment on three clocks |
//! | 72..76, 76..80 | `pid`, `parent_pid` | in the PID namespace of the process |
//! | 80..84 | `page_size` | bytes |
//! | 84..88 | `flags` | bit 0: a forked child that goes on without exec; bit 1: its `malloc` is not the recorder's; bit 2: a cut; bit 3: made from a damaged trace |
//! | 88..96 | `epoch` | Unix seconds, as in the file's name |
//! | 96..100, 100..104 | `site_start`, `site_blocks` | the blocks behind a ring that may hold sites: the first one, their number; 0 in full mode |
//! | 104..108 | `stacks` | how call stacks were taken ([`Stacks`]) |
//! | 108..112 | `next_trace` | blocks from this header to that of the next trace in the file, 0 for none |
//! | 112..120, 120..128 | `cut_since_ns`, `cut_until_ns` | the time range of a cut, Unix time; 0 and 2^64 - 1 for no bound |
//! | 128..192 | `hostname` | padded with zeros |
//! | 192..704 | `executable` | `/proc/self/exe`, padded with zeros |
//! | 704..2048 | `command_line` | zero-separated, only when asked for |
//! | 2048..2056 | claim cursor | blocks claimed so far; bit 63: closed ([`CURSOR_CLOSED`]) |
//! | 2056..2064 | opened | blocks opened so far, by any number of uses each |
//! | 2064..2072 | writers | threads that have written so far, or are about to; 0: not known |
//! | 2176..2184 | control word | [`Control`] |
//! | 2184..2192 | paused | `CLOCK_MONOTONIC` nanoseconds since which recording pauses, 0 while it does not |
//! | 2192..2200 | pauses | pauses so far |
//! | 2200..2208 | marks | places for marks that were taken |
//! | 2304..4352 | losses | 16 stripes of 16 counters, summed by cause ([`Loss`]); the last two stay 0 |
//! | 4352..16384 | marks | 94 [marks](Mark) of 128 bytes, from the first one on |
//!
//! # Block
//!
//! A 128-byte [`BlockHeader`], then [`SLOTS`] slots. Its first word is the state of the block
//! ([`State`], [`ring`]):
//!
//! ```text
//! state   bits 0..2 phase | 2 parity | 3..64 claim sequence     (0: never used)
//! phase   0 closed · 1 being prepared · 2 open
//! ```
//!
//! Claims are numbered by the cursor. Claim *s* uses block `1 + s` of the file in full mode and
//! block `1 + s mod ring_blocks` in a ring. Each reuse of a block flips its parity; a slot belongs
//! to the present use when its own parity bit agrees. `totals[p]` holds the number of call moments
//! that were ever written to the block up to the end of its last use with parity *p*, so that
//! `totals[1 - parity]` is always the number that has been overwritten.
//!
//! `ident` is [`BLOCK_MAGIC`] in the low half and the [`BlockKind`] above it.
//!
//! # Length and holes
//!
//! The file is sized ahead of its use, and its space is reserved page by page. A reader may find
//!
//! * a file that is longer than its claimed blocks or its ring, by any amount: the rest is a hole,
//!   unless the process cut it off when it ended;
//! * pages of a block that were never reserved: holes, which read as zeros, that is as slots that
//!   were not written. They can follow any slot, also in the middle of a block;
//! * claimed blocks that were never opened: zeros. A thread keeps a claim that it finds no space
//!   for and opens that block when it does; a claim that it never opens stays a hole;
//! * a ring whose `ring_blocks` is smaller than its file: the disk was full before the first lap
//!   was done, and the ring became what had been reserved. `ring_blocks` changes at most once, in
//!   the first lap, while every claim is below both numbers: each has kept its place.
//!
//! # Slot
//!
//! ```text
//! word 0   bits 0..48 address | 48..54 kind (0: not written) | 54 parity | 55 reserved | 56..64 aux
//! word 1   bits 0..32 size    | 32..64 ticks since the base
//! ```
//!
//! Word 1 is written first, word 0 last and with release order, so a slot is there whole or not at
//! all. Slots that are not written can stand anywhere, since a signal handler can come between
//! reserving and writing; a reader passes over them. The [`Kind`] is one of three classes:
//!
//! * *call moments*: one for each allocation and each release, two for each `realloc` (the old
//!   block dies before the call, the new one is born after it; between the two another thread may
//!   own the old address). `aux` is the binary logarithm of the alignment for the aligned
//!   functions, and [`REALLOC_FRESH`] for a reallocation of `NULL`, which has no death. Of C++'s
//!   operators and of `mallocx` and its kin it is 0 where no alignment is given, and has
//!   [`DELETE_SIZED`] where an `operator delete` is given a size. An address of 0 is a failed
//!   allocation. The size is the requested one, saturated at `u64::MAX` for an
//!   overflowing `calloc`.
//! * *markers*: start, fork, exec, exit, end of the process; pauses of the recording. The address field holds a PID where
//!   there is one: that of the caller, which is not the process's in a child that shares its memory
//!   (`vfork`). An exit has its code in the size; handlers may record after it. What follows an exec
//!   of the process itself says that it failed.
//! * *prefixes*, which apply to the slots after them in the same block and carry a 64-bit value
//!   ([`Slot::prefix`]: low 48 bits in the address, the others in the low bits of the size): a new
//!   base for the ticks ([`Kind::Ticks`] followed by [`Kind::Nanos`]), a field that is too wide for
//!   the next moment ([`Kind::WideSize`], [`Kind::WideAddress`], [`Kind::WideAlignment`]), and a
//!   new owner of the block ([`Kind::Thread`], then two [`Kind::Name`] with eight bytes each).
//!
//! Within a block, times never go back from slot to slot.
//!
//! # Call stacks
//!
//! A stack is a row of [sites](Site), from the outermost frame on. [`Kind::Stack`] defines one in a
//! block of events ([`StackSlot`]): it keeps a number of outer frames of the last stack, then come
//! the sites of the [`Kind::StackMore`] before it, if there are any, then its own. The last stack is
//! that which the slots before it in the block have defined, or named by its number, with
//! number 0 left out. It has a number, by which moments name it from there on, until another stack
//! takes the number: in bits 1 to 7 of their `aux` ([`Kind::has_stack_in_aux`]), or else in a
//! [`Kind::StackOf`] before them. A stack of number 0 belongs to the next moment alone. A block, and a
//! new owner in it, begins with no stacks and an empty last one, so that every block can be read
//! alone.
//!
//! Sites are defined in blocks of [`BlockKind::Sites`], which any thread may write to at any time: a
//! [`SiteSlot`] for each, written before the first stack that has it, and a [`ModuleSlot`] with its
//! [`Kind::ModuleMore`] for each module, before its first site. In full mode such a block is claimed
//! like any other one. In a ring it lies behind the ring, and is never written over: block
//! `site_start + n` of the file has the claim *n* of a count of its own, `site_blocks` at most.
//!
//! # Clock
//!
//! The base of a block and every `Ticks`/`Nanos` pair are *clock syncs*: one moment in ticks and in
//! `CLOCK_MONOTONIC` nanoseconds. Between two clock syncs time is linear. The header relates both
//! to Unix time.
//!
//! With [`Clock::Coarse`] a thread reads the counter once for up to [`COARSE_EVENTS`] events in a
//! row: it reads again at once when they come slowly, and seldom in a burst. Then
//!
//! * the order of the slots of a thread is the order of its events, as with the other clocks;
//! * a time is never later than the event, and never earlier than the thread's last read of the
//!   clock before it, which belongs to one of the [`COARSE_EVENTS`] − 1 events before it (a prefix
//!   counts as one). A thread that pauses in the middle of a burst gives the time before the pause
//!   to the rest of the burst;
//! * markers and the first event after a block's start, a new base and a new owner carry times that
//!   were read for them;
//! * times of different threads can be wrong against each other by as much. A reader can repair, by
//!   causality, a moment of an address that has overtaken one of another thread. If threads hand
//!   the same addresses to and fro within a burst, it cannot know the true order.
//!
//! # Pauses
//!
//! Whoever may write to the file sets and clears bit 4 of the control word, atomically, through a shared
//! mapping of the header's first page. The process sees it when a thread looks, which is with each event
//! of a thread that does not record, or reads another clock than the counter for each event, and else
//! with the first event after 2^22 ticks. The first thread that sees that a pause begins or ends writes
//! the marker, [`Kind::Paused`] or [`Kind::Resumed`]. They take turns, and
//!
//! * every event that is skipped is at least [`PAUSE_MARGIN`] ticks behind the one and before the other;
//! * events between the two may be there: of threads that have not looked yet;
//! * markers are not skipped.
//!
//! So after a pause a block may have died unseen, if it was born before the end of the pause. A process
//! that starts paused has a [`Kind::Paused`] behind its [`Kind::Start`] and no event before a
//! [`Kind::Resumed`]. A forked child starts paused if its parent is paused at that moment; a program
//! that finds a file `PREFIX.control` of [`CONTROL_FILE`] bytes at the most starts as the first word of that
//! says, `paused` or `running`.
//!
//! # Marks
//!
//! A [mark](Mark) is a text with a time, by the process itself or by any program that may write to
//! the file. It reserves the space of the next place, and takes it by adding 1 to the count of marks, if
//! that has not changed ([`take_place`]); beyond the last one it is refused. Then it writes time and text,
//! and at last the state. They stand in the header, so that no ring overwrites them, and a process that
//! does not allocate can have them.
//!
//! # Cuts
//!
//! A trace with bit 2 of `flags` is a time range of another one, which a tool has written in full mode.
//! It has every moment and marker of the range, and before the range
//!
//! * the birth of every block of memory that lives at its start, at the time of that birth. A birth by
//!   reallocation stands alone there, without its death and without [`REALLOC_FRESH`];
//! * the first moment of every reallocation that is under way at its start, and the birth before it.
//!
//! Its ticks are sixteenths of nanoseconds, so that moments of one nanosecond keep their order. The
//! calls that the recorder has lost stay counted in the header; those that a ring has overwritten stand
//! in `totals[0]` of the first block of events.
//!
//! # Several traces in one file
//!
//! A file may hold traces of several processes, one behind the other. `next_trace` of each leads to
//! the next one, whose header starts at a multiple of [`BLOCK_SIZE`]; positions of blocks count from
//! the header of their own trace.
//!
//! # The law of the modules
//!
//! A module uses only modules of rows above it, and those to the left of it in its row:
//!
//! ```text
//! raw layout size      enums with raw values; sizes and offsets in the file; the grammar of sizes
//! control_file          what programs are told that start
//! sync                  the atomics: core's, or loom's
//! kind loss error      kinds of slots; causes of losses; errors of headers
//! header live          block 0: written once; changing while the process runs
//! slot block mark      a slot; the header of a block; a mark in block 0
//! stack                call stacks, sites and modules
//! ring                  the protocol of a block, both halves
//! ```
#![cfg_attr(not(any(test, loom)), no_std)]

mod block;
mod control_file;
mod error;
mod header;
mod kind;
mod layout;
mod live;
mod loss;
mod mark;
mod raw;
pub mod ring;
mod size;
mod slot;
mod stack;
mod sync;

pub use block::{BLOCK_MAGIC, BlockHeader, BlockKind, Phase, State};
pub use control_file::{CONTROL_FILE, says_paused};
pub use error::HeaderError;
pub use header::{
    COARSE_EVENTS, Clock, FLAG_CUT, FLAG_OF_DAMAGED, FLAG_OTHER_MALLOC, FLAG_RESTART, FileHeader,
    Mode, Stacks,
};
pub use kind::Kind;
pub use layout::{
    BLOCK_HEADER_SIZE, BLOCK_SIZE, CONTROL_OFFSET, CURSOR_OFFSET, HEADER_WORDS, LOSS_OFFSET,
    LOSS_STRIPES, MAGIC, MARK_OFFSET, MARK_SIZE, MARKS, MARKS_OFFSET, OPENED_OFFSET, PAUSE_MARGIN,
    PAUSED_OFFSET, PAUSES_OFFSET, SLOT_SIZE, SLOTS, TRACE_SIZES, VERSION, WRITERS_OFFSET,
};
pub use live::{CURSOR_CLOSED, Control, LiveSnapshot, LiveWords};
pub use loss::Loss;
pub use mark::{MARK_TEXT, Mark, MarkCell, copy_words, take_place};
pub use raw::raw_enum;
pub use size::parse_size;
pub use slot::{DELETE_SIZED, PARITY_SHIFT, REALLOC_FRESH, STACK_SHIFT, Slot, WIDE_ALIGNMENT};
pub use stack::{
    MAX_DEPTH, MAX_KEEP, MAX_MODULE_SLOTS, MAX_STACK, MODULE_BYTES, MORE_SITES, ModuleField,
    ModuleSlot, STACK_SITES, Site, SiteKind, SiteSlot, StackSlot, field_of_more, module_more,
    sites_of_more, stack_more,
};
