//! Random walks in call trees, over all kinds of frames.

use crate::programs::Program;
use crate::recorder::{Against, Recorder};

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ value >> 31) % limit
    }
}

/// A walk: mostly small steps around a depth, sometimes to the top, over these functions.
pub fn script(seed: u64, functions: &[u8], events: u64, depth: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut script = Vec::new();
    let mut level = 0u64;
    for _ in 0..events {
        let (ups, downs) = match random.below(20) {
            0 => (level, depth),
            1..4 => (random.below(level + 1), random.below(depth)),
            4..10 => (random.below(4).min(level), random.below(4)),
            _ => (random.below(2).min(level), random.below(2)),
        };
        script.extend((0..ups).map(|_| 0));
        level -= ups;
        let downs = if level + downs > depth { 0 } else { downs };
        for _ in 0..downs {
            let which = random.below(functions.len() as u64) as usize;
            script.push(functions[which] + 2);
        }
        level += downs;
        script.push(1);
    }
    // A function that goes on behind its return may take more of them.
    script.extend(std::iter::repeat_n(0, 100_000));
    script
}

fn walk(program: &Program, functions: &[u8], seed: u64, events: u64, depth: u64) {
    eprintln!("seed {seed}, {events} events, depth {depth}, functions {functions:?}");
    let script = script(seed, functions, events, depth);
    let heard =
        Recorder::new(Against::All).record(|| _ = program.call(c"run", script.as_ptr() as u64, 0));
    assert!(heard.events as u64 >= events * 9 / 10);
}

fn walks(options: &[&str]) {
    let program = Program::new("walk.c", options);
    let all: Vec<u8> = (0..program.call(c"count", 0, 0) as u8).collect();
    for seed in 0..3 {
        walk(&program, &all, seed, 1000, 6 + seed * 25);
        // Few functions at a time meet the same frames at the same places more often.
        let mut random = Random(seed);
        for round in 0..6 {
            let mut few = vec![0; 4];
            few.fill_with(|| all[random.below(all.len() as u64) as usize]);
            walk(&program, &few, seed * 100 + round, 700, 12);
        }
    }
}

#[test]
fn optimised() {
    walks(&["-O2"]);
}

#[test]
fn optimised_for_size() {
    walks(&["-Os"]);
}

#[test]
fn not_optimised() {
    walks(&["-O0"]);
}

#[test]
fn with_frame_pointers_and_wide_registers() {
    walks(&["-O3", "-mavx2", "-fno-omit-frame-pointer"]);
}

#[test]
fn with_checks_of_the_stack() {
    walks(&["-O2", "-fstack-clash-protection", "-fstack-protector-all", "-fcf-protection"]);
}

#[test]
fn with_what_functions_push_kept() {
    walks(&[
        "-O1",
        "-mno-red-zone",
        "-fno-shrink-wrap",
        "-mpush-args",
        "-mno-accumulate-outgoing-args",
    ]);
}
