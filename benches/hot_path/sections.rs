//! The sections with one thread.

use std::io::Write;
use std::time::Instant;

use anyhow::Result;
use mallook_benches::clock::Calibration;
use mallook_benches::inside::{Heaps, Own};
use mallook_benches::scale;
use mallook_benches::workloads::{self, Pairs, Workload};

use crate::report::{self, LOW, MEAN, MEDIAN};
use crate::rounds::Rounds;

/// Events that fill a ring of 64 MiB once: then all of its pages were touched.
const LAP: u64 = (64 << 20) / mallook_format::SLOT_SIZE as u64;

/// Rounds of a section.
pub fn rounds() -> u64 {
    scale::amount("MALLOOK_BENCH_ROUNDS", 1000, 10)
}

/// Pairs of a birth and a death in a round.
fn pairs_in_round() -> u64 {
    scale::amount("MALLOOK_BENCH_ROUND_PAIRS", 20_000, 20_000)
}

/// The workload that most sections use.
pub fn pairs() -> Pairs {
    Pairs::of_64_bytes(pairs_in_round())
}

/// Lets a workload run until a ring has gone round once; the number of moments.
pub fn warm_up(heaps: &Heaps, workload: &mut dyn Workload) -> u64 {
    let rounds = scale::pick(LAP, LAP / 100).div_ceil(workload.moments());
    (0..rounds).for_each(|_| workload.round(&heaps.hooked));
    rounds * workload.moments()
}

/// Does rounds of a workload and checks them against the trace.
fn measure(own: &Own, heaps: &Heaps, workload: &mut dyn Workload, count: u64) -> Result<Rounds> {
    own.checked(|| {
        let warm = warm_up(heaps, workload);
        let rounds = Rounds::measure(heaps, workload, count, || ());
        (rounds, warm + count * workload.moments())
    })
}

/// Pairs of 64 bytes.
pub fn one_thread() -> Result<()> {
    let (heaps, own) = begin()?;
    let calibration = Calibration::start();
    let rounds = measure(&own, &heaps, &mut pairs(), rounds())?;
    report::table(&rounds, calibration.ns_per_tick(), &[LOW, MEDIAN]);
    Ok(())
}

/// GiB of a long trace.
fn gib() -> f64 {
    scale::amount("MALLOOK_BENCH_GIB", 1.0, 1.0 / 64.0)
}

/// As [`mean`], in memory that was in use until just now: a virtual machine may have given what was
/// free for longer back to its host, which then has to find it again, page by page.
pub fn mean_in_warm_memory() -> Result<()> {
    const PIECE: usize = 1 << 20;
    let mut file = tempfile::tempfile()?;
    for _ in 0..(1.25 * gib() * (1 << 30) as f64) as usize / PIECE {
        file.write_all(&[1; PIECE])?;
    }
    drop(file);
    mean()
}

/// The mean over a long trace, with all that the kernel does for it.
pub fn mean() -> Result<()> {
    let gib = gib();
    let mut workload = pairs();
    let events = gib * (1u64 << 30) as f64 / mallook_format::SLOT_SIZE as f64;
    let count = (events / workload.moments() as f64).ceil() as u64;
    let (heaps, own) = begin()?;
    let (calibration, start) = (Calibration::start(), Instant::now());
    let (rounds, passed) = own.checked(|| {
        let rounds = Rounds::measure(&heaps, &mut workload, count, || ());
        ((rounds, start.elapsed()), count * workload.moments())
    })?;
    println!("{gib} GiB of trace in {:.1} s", passed.as_secs_f64());
    report::table(&rounds, calibration.ns_per_tick(), &[MEAN, LOW, MEDIAN]);
    Ok(())
}

/// All workloads.
pub fn mixed() -> Result<()> {
    let (heaps, own) = begin()?;
    let calibration = Calibration::start();
    for (_, make) in workloads::ALL {
        let mut workload = make(pairs_in_round());
        let rounds = measure(&own, &heaps, &mut *workload, rounds().div_ceil(2))?;
        println!("\n### {}", workload.name());
        report::table(&rounds, calibration.ns_per_tick(), &[LOW, MEDIAN]);
    }
    Ok(())
}

/// The two ways to the allocator, and the trace, which the first event begins.
pub fn begin() -> Result<(Heaps, Own)> {
    let heaps = Heaps::new()?;
    Pairs::of_64_bytes(1).round(&heaps.hooked);
    Ok((heaps, Own::find()?))
}
