//! The cost of recording an event, next to the least that it can be.
//!
//! In one process that runs under the library, rounds of three things alternate: the C library's
//! allocator called directly (*unhooked*), the ordinary functions (*hooked*), and one clock read
//! with one 16-byte store for each event (*the floor*). The overhead is hooked − unhooked.

mod report;
mod rounds;
mod sections;
mod threads;

use std::env;

use anyhow::{Result, bail};
use mallook_benches::bypass::Bypass;
use mallook_benches::inside;
use mallook_format::Mode;

#[global_allocator]
static HEAP: Bypass = Bypass;

/// Measures in a process that runs under the library, and prints.
type Measure = fn() -> Result<()>;

/// Variables of the library.
type Variables = &'static [(&'static str, &'static str)];

const COARSE: Variables = &[("MALLOOK_CLOCK", "coarse")];

/// The sections, each measured in a process of its own.
const SECTIONS: [(&str, Mode, Variables, Measure); 9] = [
    ("ring, 1 thread", Mode::Ring, &[], sections::one_thread),
    ("full, 1 thread", Mode::Full, &[], sections::one_thread),
    ("ring, 1 thread, coarse clock", Mode::Ring, COARSE, sections::one_thread),
    ("full, 1 thread, coarse clock", Mode::Full, COARSE, sections::one_thread),
    ("full, mean with page faults", Mode::Full, &[], sections::mean),
    ("full, mean in warm memory", Mode::Full, &[], sections::mean_in_warm_memory),
    ("ring, two threads against one", Mode::Ring, &[], threads::two_against_one),
    ("full, two threads against one", Mode::Full, &[], threads::two_against_one),
    ("ring, mixed workloads", Mode::Ring, &[], sections::mixed),
];

fn main() -> Result<()> {
    if inside::count()? {
        return Ok(());
    }
    if let Some(section) = inside::section() {
        let Some((.., measure)) = SECTIONS.iter().find(|(name, ..)| *name == section) else {
            bail!("no section {section:?}");
        };
        return measure();
    }
    // As with other benches: arguments select by a part of the name. Cargo adds `--bench`.
    let wanted: Vec<_> =
        env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    for (name, mode, variables, _) in SECTIONS {
        if wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())) {
            println!("\n## {name}");
            inside::run_again(name, mode, variables)?;
        }
    }
    Ok(())
}
