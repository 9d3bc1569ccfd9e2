//! The same programs bare, under mallook, and under whichever other allocation tracers are found.
//!
//! `cargo bench -p mallook-benches --bench peers -- [PROGRAM…]` runs those whose names contain one of the words. Runs are interleaved: every
//! repeat runs each tool once, and its ratios are to the bare run of the same repeat. Those that take
//! very long run once only; `MALLOOK_BENCH_WITHOUT=dhat,gperftools` leaves them out.

mod files;
mod lttng;
mod measure;
mod programs;
mod tools;

use std::env;

use anyhow::Result;
use mallook_benches::scale;
use tempfile::TempDir;

fn main() -> Result<()> {
    // Cargo adds `--bench`.
    let wanted: Vec<_> = env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let scratch = TempDir::new()?;
    let (mut tools, missing) = tools::find();
    for name in missing {
        println!("{name}: not found, left out (benches/install-peers.sh installs it)");
    }
    let without = env::var("MALLOOK_BENCH_WITHOUT").unwrap_or_default();
    tools.retain(|tool| !without.split(',').any(|name| name == tool.name()));
    for tool in &tools {
        println!("{}: {}", tool.name(), tool.version());
    }
    let repeats = scale::amount("MALLOOK_BENCH_REPEATS", 5, 1);
    println!(
        "median of {repeats}; ns: processor time that a moment adds; a moment is what mallook"
    );
    println!("records: a birth or a death, a reallocation has two. Helpers of a tool count.");
    for program in programs::all(scratch.path())? {
        if wanted.is_empty() || wanted.iter().any(|word| program.name.contains(word.as_str())) {
            measure::measure(&program, &mut tools, repeats)?;
        }
    }
    Ok(())
}
