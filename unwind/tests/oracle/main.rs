//! Stacks of real programs, frame by frame, against libunwind and against a walk that keeps nothing.

mod captures;
mod edges;
mod event;
mod host;
mod libunwind;
mod programs;
mod recorder;
mod room;
mod special;
mod turns;
mod walks;
