//! Incremental verified unwinding: complete call stacks of the own thread, without frame pointers,
//! at the price of comparing them with the last one.
//!
//! For tracers and profilers inside a process, which want the stack of every event: an allocation, a
//! lock, a system call. No allocation, no lock, no libc; signal handlers may use it, and what it
//! takes of the host's stack is less than a kilobyte. Linux on x86-64.
//!
//! # How
//!
//! A thread keeps its last stack, with all that the steps between its frames have looked at: the
//! words of the stack and their values ([`Thread`]). For a new event the innermost frames are
//! unwound by the rules of `.eh_frame`, until one of them is a kept frame: the same return address,
//! stack pointer, and frame pointer where that matters. From there outward nothing is unwound any
//! more: the words are compared. Loads that do not depend on each other overlap in the processor,
//! where an unwinder waits for each return address before it knows where the next one is.
//!
//! # Why it is exact
//!
//! A step is a function of the return address, the stack pointer, the frame pointer, and of at most
//! three words of the stack: the return address, the saved frame pointer, and of an aligned frame
//! the place of its CFA. The rule depends on the return address alone. So where the state of a
//! frame and the words of its step are what they were, the state of the next frame is, too, and by
//! induction that of all. Words are compared from inside outward, each only when those which led to
//! it were equal, so that no load is one which unwinding would not do.
//!
//! The saved frame pointer counts only where it is *live*: where a frame further out uses it before
//! another one restores it.
//!
//! # When it is not
//!
//! * Code that no table describes, written by the program itself or in assembly, is taken to keep a
//!   frame pointer; its sites say so ([`Kind::Guessed`]).
//! * Rules are those of the modules as of the last [`Unwinder::modules_changed`]. If memory of
//!   generated code is unmapped and a library is loaded there, its code is taken for generated.
//! * A stack that was unmapped and has come again smaller, together with tables that lie, may lead a
//!   step out of it. What a guess reads of a stack that is not the thread's own is read by the
//!   kernel.
//! * Frames whose CFA is in another register than `rsp` and `rbp` end a stack ([`Kind::NoRule`]):
//!   some instructions of aligned frames, if a signal interrupts there, the loader's resolver of
//!   symbols, and hand-written assembly.
//!
//! # Use
//!
//! ```ignore
//! // All three are zero at first: they may lie in memory that is wiped in a forked child.
//! static UNWINDER: Unwinder = Unwinder::new();
//! let thread: &Thread = /* of this thread */;
//!
//! // In a hook: where it returns to, the stack pointer when it has, and rbp.
//! let at = Registers { pc, sp, bp };
//! if let Some(mut turn) = unsafe { thread.turn(&host, at.sp) } {
//!     let kept = unsafe { turn.capture(&UNWINDER, &host, at) };
//!     // `turn.sites()[..kept]` are those of the last event, the rest is new.
//! } else {
//!     // A signal has interrupted another event of the thread.
//!     let length = unsafe { walk(&UNWINDER, &host, at, &mut sites) };
//! }
//! ```
//!
//! A stack is a list of [`Site`]s, the outermost one first. The [`Host`] hears of each site before a
//! stack holds it. [`Site::CUT`] or [`Site::BROKEN`] at the outer end, or a site of kind
//! [`Kind::NoRule`], say that the stack is not complete.
//!
//! The law of the modules: a module uses only modules of rows above it, and those to the left of it
//! in its row.
//!
//! ```text
//! syscall bytes          the kernel; reading of tables
//! maps module ranges     what is mapped, and what a module says of itself
//! find                   from an address to its module
//! expression eh_frame    DWARF's expressions and entries
//! cfi                    the row of an address
//! rule                   the rule of a step, in 32 bits
//! site host              what is handed out, and what is asked for
//! table                  from an address to its site and rule
//! unwinder               the state of a process
//! bounds                 the stacks of a thread
//! step                   one step outward
//! kept                   a thread's last stack
//! thread walk            captures, with and without it
//! ```
#![cfg_attr(not(test), no_std)]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod bounds;
mod bytes;
mod cfi;
mod eh_frame;
mod expression;
mod find;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod host;
mod kept;
mod maps;
mod module;
mod ranges;
mod rule;
mod site;
mod step;
mod syscall;
mod table;
#[cfg(test)]
mod tests;
mod thread;
mod unwinder;
mod walk;

pub use find::{FindObject, FoundObject};
pub use host::Host;
pub use site::{Kind, Site, hash_of};
pub use step::Registers;
pub use thread::{Thread, Turn};
pub use unwinder::Unwinder;
pub use walk::walk;

/// Frames of a stack at most, those apart that stand for others.
pub const DEPTH: usize = kept::DEPTH;
