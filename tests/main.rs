//! Whole-process tests of mallook: real programs run under the built library, and what
//! `mallook-dump` reads from their traces is compared with what they did.
//!
//! * [`artifacts`] builds the library, both programs and the C programs, once.
//! * [`sandbox`] gives each test a directory of its own and runs programs in it.
//! * [`trace`] reads a trace back through `mallook-dump`.
//! * [`invented`] and [`mutation`] make traces that no recorder has written.
//! * Every other module is an area. Each behaviour has a tiny program under `programs/`, whose
//!   allocations have unique odd sizes that identify them.
//!
//! No test depends on how fast anything is. A test that needs a tool which is not installed says
//! `SKIPPED: <test>: <tool> is missing`, or fails if `MALLOOK_REQUIRE_ALL` is set.

mod artifacts;
mod building;
mod call_trees;
mod counting;
#[path = "../reader/fuzz/src/lib.rs"]
mod fuzz;
mod invented;
mod mutation;
mod sandbox;
mod trace;

mod allocators;
mod cgroup;
mod cli;
mod cli_info;
mod cli_pages;
mod clock_back;
mod coarse;
mod compared;
mod confinement;
mod control;
mod copies;
mod crowds;
mod csv;
mod cuts;
mod descriptors;
mod disassembly;
mod disk;
mod docs;
mod ends;
mod environment;
mod exact;
mod exec;
mod exports;
mod follow;
mod followed;
mod fork;
mod formats;
mod heaptracked;
mod hooks;
mod hostile;
mod hostile_pauses;
mod hostile_stacks;
mod hosts;
mod incomplete;
mod invariants;
mod kill;
mod languages;
mod launcher;
mod law;
mod library;
mod limits;
mod loading;
mod named_trees;
mod only;
mod operators;
mod oracle;
mod outputs;
mod places;
mod processes;
mod reports;
mod resources;
mod ring;
mod schemas;
mod servers;
mod signals;
mod snapshots;
mod soak;
mod stack_formats;
mod stacks;
mod stats;
mod summary;
mod symbols;
mod threads;
mod tops;
mod views;
mod waiting;
mod widths;
mod windows;
