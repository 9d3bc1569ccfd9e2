//! The session: the one open trace of a process.
//!
//! The law of the modules: a module uses only modules of rows above it, and those to the left of it
//! in its row.
//!
//! ```text
//! environment config   the environment, and the settings in it
//! other_malloc stacks  whether the process has another `malloc`; whether calls have call stacks
//! other_copy pause     whether another copy of this library records it; whether it pauses
//! fork start           the settings and ancestry that forked children inherit; who starts paused
//! lifecycle            the stages of a session, from the first event to the end
//! open close confine   how it begins and ends, and goes on in a closed world
//! ```

pub mod close;
pub mod config;
pub mod confine;
pub mod environment;
pub mod fork;
pub mod lifecycle;
pub mod open;
pub mod other_copy;
pub mod other_malloc;
pub mod pause;
pub mod stacks;
pub mod start;
