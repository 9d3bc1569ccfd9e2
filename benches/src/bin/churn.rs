//! A program that allocates and releases, for tools that look at whole programs.
//!
//! `churn WORKLOAD THREADS PAIRS [mtrace]` prints how many moments it has made; `mtrace` asks glibc
//! to log them, if its debugging library is preloaded.

use std::env;
use std::thread;

use anyhow::{Context, Result};
use mallook_benches::heap::Heap;
use mallook_benches::workloads;

const USAGE: &str = "usage: churn WORKLOAD THREADS PAIRS [mtrace]";
/// Pairs in a round.
const ROUND: u64 = 10_000;

unsafe extern "C" {
    /// glibc's, which writes to the file that `MALLOC_TRACE` names.
    fn mtrace();
}

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [workload, threads, pairs, rest @ ..] = &arguments[..] else { anyhow::bail!(USAGE) };
    let threads: u64 = threads.parse().context(USAGE)?;
    let pairs: u64 = pairs.parse().context(USAGE)?;
    if rest.first().is_some_and(|word| word == "mtrace") {
        // SAFETY: no other thread is there yet.
        unsafe { mtrace() };
    }
    let heap = Heap::ordinary();
    let moments = thread::scope(|scope| {
        let churn = || churn(&heap, workload, pairs);
        let threads: Vec<_> = (1..threads).map(|_| scope.spawn(churn)).collect();
        let mine = churn()?;
        threads.into_iter().try_fold(mine, |sum, thread| {
            anyhow::Ok(sum + thread.join().expect("no thread panics")?)
        })
    })?;
    println!("{moments}");
    Ok(())
}

/// Rounds of a workload; the number of moments.
fn churn(heap: &Heap, name: &str, pairs: u64) -> Result<u64> {
    let mut workload = workloads::named(name, ROUND.min(pairs))
        .with_context(|| format!("no workload {name:?}"))?;
    let rounds = pairs.div_ceil(ROUND);
    (0..rounds).for_each(|_| workload.round(heap));
    Ok(rounds * workload.moments())
}
